// A job with a progress bar, whose stream ends for good.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { open, start } from './support/browser.mjs'
import { until } from './support/until.mjs'

const { demo, browser } = await start()
const run = promisify(execFile)
const rows = (page) => page.locator('#rows').textContent()
const done = async (page) => Number(/^(\d+) of 2000 rows/.exec(await rows(page))?.[1] ?? 0)
const ended = (page) => page.locator('#state', { hasText: 'Ended for good' }).waitFor()

test('a job is watched in two windows, by a page that is loaded again, and through a kill of the hub; then no page comes back', async (t) => {
  const page = await open(t, browser, `${demo.url}job.php`)
  const asked = []
  page.on('request', (request) => asked.push(request.url()))
  await page.getByRole('button', { name: 'Start a job', exact: true }).click()
  await until('some rows are done', async () => (await done(page)) > 100)
  const other = await page.context().newPage()
  await other.goto(page.url())
  await until('the other window has the job', async () => (await done(other)) > 100)
  const { pid } = await demo.stats()
  process.kill(pid, 'SIGKILL')
  const before = await done(page)
  await page.reload()
  await until('the bar goes on', async () => (await done(page)) > before)
  for (const window of [page, other]) {
    await ended(window)
    assert.match(await rows(window), /^2000 of 2000 rows, from \d\d:\d\d:\d\d to \d\d:\d\d:\d\d$/)
    assert.equal(await window.locator('#bar').evaluate((bar) => bar.value), 1)
    await window.getByText('That was the last event').waitFor()
  }
  await until('no stream is open', async () => (await demo.stats()).streams.open === 0)

  // Who comes only now has the end too, and does not come back either.
  const late = await page.context().newPage()
  await late.goto(page.url())
  await ended(late)
  assert.match(await rows(late), /^2000 of 2000 rows/)
  // Whoever came back would have done so within the second of their streams' retry; the next job's stream is asked for after that.
  const streams = asked.filter((url) => url.includes('job-stream.php')).length
  await page.getByRole('button', { name: 'Start a job', exact: true }).click()
  await until('the next job has begun', async () => (await done(page)) > 0 && (await done(page)) < 2000)
  assert.equal(asked.filter((url) => url.includes('job-stream.php')).length, streams + 1)
  await ended(page)
})

test('nobody but the page itself can start one', async () => {
  const start = (headers) => demo.post('job-start.php', {}, headers)
  assert.equal((await start({})).status, 403, 'a form can send no such header')
  assert.equal((await start({ 'X-Demo': 'job', Origin: 'http://evil.example' })).status, 403)
  assert.equal((await fetch(`${demo.url}job-start.php`)).status, 405)
  for (const id of ['', '**', 'a'.repeat(16) + '.x', '../x']) {
    assert.equal((await fetch(`${demo.url}job-stream.php?job=${encodeURIComponent(id)}`)).status, 422, id)
  }
  await until('the job before has ended', () => run('flock', ['--nonblock', `${demo.data}/job-worker.pid`, 'true']).then(() => true, () => false))
  const answers = await Promise.all(Array.from({ length: 20 }, () => start({ 'X-Demo': 'job' })))
  const jobs = await Promise.all(answers.map((answer) => answer.json()))
  assert.equal(new Set(jobs.map(({ job }) => job)).size, 1, 'one at a time')
})
