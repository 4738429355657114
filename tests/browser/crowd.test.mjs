// Many streams at once, and that they cost PHP no worker.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { test } from 'node:test'
import { open, stage, start } from './support/browser.mjs'
import { Demo } from './support/demo.mjs'
import { until } from './support/until.mjs'

const { demo, browser } = await start()
const crowd = (fields, headers = {}, at = demo) => at.post('crowd.php', fields, { 'X-Demo': 'crowd', ...headers })
const streams = async (at = demo) => (await at.stats()).streams.open

test('200 more streams: their number is shown, no worker is busy, and all have the next message', async (t) => {
  const { page, alice, bob } = await stage(t, browser, demo, 'crowd')
  const shown = (id) => page.locator(`#${id}`).textContent()
  const before = await streams()
  await until('the streams of before', async () => (await shown('streams')) === String(before))
  // On a busy machine an answer may be late, which is shown until it comes; a worker that streams held would give none.
  await until('no worker is busy', async () => (await shown('busy')) === '0 of 1')

  await page.getByRole('button', { name: 'Open 200 more streams', exact: true }).click()
  await until('all are open', async () => (await shown('streams')) === String(before + 200))
  await until('no worker is busy', async () => (await shown('busy')) === '0 of 1')
  await until('an answer has come', async () => /^[0-9.]+ m?s$/.test(await shown('took')))
  assert.equal(await streams(), before + 200)
  const { delivered } = await demo.stats()
  await alice.say('to everybody')
  await bob.has(['to everybody'])
  await until('each has it', async () => (await demo.stats()).delivered >= delivered + 202)
  assert.equal((await crowd({})).status, 409, 'one crowd at a time')

  await page.getByRole('button', { name: 'Close them', exact: true }).click()
  await until('they are closed', async () => (await shown('streams')) === String(before))
  await page.getByRole('button', { name: 'Open 200 more streams', exact: true }).waitFor()
  await page.locator('#feed', { hasText: 'The other clients have left' }).waitFor()
})

test('they come back after the hub was killed, as browsers do, and the page of the hub sees them', async (t) => {
  const own = await Demo.start()
  t.after(() => own.stop())
  const page = await open(t, browser, `${own.url}hub.php`)
  await page.locator('#process', { hasText: 'Process' }).waitFor()
  assert.equal((await crowd({}, {}, own)).status, 200)
  const shown = page.locator('[data-figure="Open streams"]')
  await until('all are shown', async () => (await shown.textContent()) === '201')
  const { pid } = await own.stats()
  process.kill(pid, 'SIGKILL')
  await page.locator('#note', { hasText: 'all 201 streams are back' }).waitFor()
  assert.notEqual((await own.stats()).pid, pid)

  // Those that are gone are not waited for.
  assert.equal((await crowd({ seconds: '0' }, {}, own)).status, 200)
  process.kill((await own.stats()).pid, 'SIGKILL')
  await page.locator('#note', { hasText: /1 of \d+ streams are back, the clients of the others are gone|all 1 streams are back/ }).waitFor()
})

test('the page says so when every worker is busy', async (t) => {
  const own = await Demo.start()
  t.after(() => own.stop())
  const page = await open(t, browser, `${own.url}?room=busy`)
  const busy = page.locator('#busy')
  await busy.filter({ hasText: '0 of 1' }).waitFor()
  // It answers nobody, as with a worker that is held.
  const [php] = (await readFile(`/proc/${own.child.pid}/task/${own.child.pid}/children`, 'utf8')).split(' ')
  process.kill(Number(php), 'SIGSTOP')
  try {
    await busy.filter({ hasText: '1 of 1' }).waitFor()
  } finally {
    process.kill(Number(php), 'SIGCONT')
  }
  await busy.filter({ hasText: '0 of 1' }).waitFor()
})

test('the streams end by themselves', async () => {
  const before = await streams()
  assert.equal((await crowd({ seconds: '3' })).status, 200)
  await until('they are there', async () => (await streams()) > before)
  await until('they have ended', async () => (await streams()) === before)
  await until('so has their process', async () => !(await (await fetch(`${demo.url}workers.php`)).json()).crowd)
})

test('they end with the server, and leave its port free', async () => {
  const own = await Demo.start()
  assert.equal((await crowd({}, {}, own)).status, 200)
  await until('they are there', async () => (await streams(own)) > 100)
  await own.stop()
  const isTaken = () => new Promise((resolve) => connect(own.port, '127.0.0.1', () => resolve(true)).once('error', () => resolve(false)))
  assert.equal(await isTaken(), false)
  const next = await Demo.start(own.port)
  await next.stop()
})

test('nobody but the page itself can open them', async () => {
  const before = await streams()
  const host = new URL(demo.url).host
  assert.equal((await demo.post('crowd.php', {})).status, 403, 'a form can send no such header')
  assert.equal((await crowd({}, { Origin: 'http://evil.example' })).status, 403)
  assert.equal((await crowd({}, { Origin: `http://${host}.evil.example` })).status, 403)
  assert.equal((await crowd({}, { 'Sec-Fetch-Site': 'cross-site' })).status, 403)
  assert.equal((await fetch(`${demo.url}crowd.php`)).status, 405)
  for (const seconds of ['61', '-1', '1e1', 'x']) assert.equal((await crowd({ seconds })).status, 422, seconds)
  assert.equal((await crowd({ room: '**' })).status, 422)
  const { request } = await import('node:http')
  const rebound = await new Promise((resolve) => {
    const headers = { 'X-Demo': 'crowd', Host: 'evil.example', Origin: 'http://evil.example', 'Sec-Fetch-Site': 'same-origin' }
    request(`${demo.url}crowd.php`, { method: 'POST', headers }, (response) => resolve(response.statusCode)).end()
  })
  assert.equal(rebound, 403)
  assert.equal(await streams(), before)
})
