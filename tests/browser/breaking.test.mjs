// Everything that the page offers to break, and that nothing is lost by it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isAlive } from '../node/alive.mjs'
import { open, stage, start } from './support/browser.mjs'
import { until } from './support/until.mjs'

const { demo, browser } = await start()

const openStreams = async () => (await demo.stats()).streams.open
const verdict = (page, text) => page.locator('#verdict', { hasText: text }).waitFor()

test('the hub is killed in the middle of a conversation, and nothing is lost', async (t) => {
  const { page, alice, bob } = await stage(t, browser, demo, 'kill')
  const texts = []
  const say = async (who, text) => {
    texts.push(text)
    await who.say(text)
  }
  await say(alice, 'before')
  await bob.has(texts)
  const { pid } = await demo.stats()

  await page.getByRole('button', { name: 'Kill the hub', exact: true }).click()
  await page.getByText(`The hub, process ${pid}, was killed`).first().waitFor()
  await until('it is dead', () => !isAlive(pid))
  // Said while both are without a stream.
  for (const text of ['meanwhile 1', 'meanwhile 2']) await say(alice, text)
  await alice.live()
  await bob.live()
  await say(bob, 'after')
  await alice.has(texts)
  await bob.has(texts)
  await verdict(page, 'Alice and Bob have messages 1 to 4: none lost, none twice')
  assert.notEqual((await demo.stats()).pid, pid)
  assert.equal((await demo.stats()).history.gaps, 0)
})

test('the hub is killed again and again while messages are sent', async (t) => {
  const { page, alice, bob } = await stage(t, browser, demo, 'kills')
  const texts = []
  for (let round = 0; round < 3; round++) {
    for (let number = 0; number < 5; number++) {
      const text = `${round}.${number}`
      texts.push(text)
      await alice.say(text)
      if (number === 2) await page.getByRole('button', { name: 'Kill the hub', exact: true }).click()
    }
    await bob.has(texts)
  }
  await alice.has(texts)
  await verdict(page, 'messages 1 to 15: none lost, none twice')
})

test("Bob's Wi-Fi is gone: his connection is closed, his messages are kept, and he gets them once", async (t) => {
  const { page, alice, bob } = await stage(t, browser, demo, 'wifi')
  await alice.say('before')
  await bob.has(['before'])
  const streams = await openStreams()
  await page.getByRole('button', { name: 'Drop Bob’s Wi-Fi', exact: true }).click()
  await bob.where.getByText('No Wi-Fi').waitFor()
  await until('the server has seen him go', async () => (await openStreams()) === streams - 1)

  const missed = ['one', 'two', 'three']
  for (const text of missed) await alice.say(text)
  await alice.has(['before', ...missed])
  await verdict(page, '4 messages; 3 kept for Bob')
  assert.deepEqual(await bob.texts(), ['before'])
  assert.equal(await openStreams(), streams - 1)

  await page.getByRole('button', { name: 'Bring Bob’s Wi-Fi back', exact: true }).click()
  await bob.has(['before', ...missed])
  await verdict(page, 'none lost, none twice')
  await until('one stream is his again', async () => (await openStreams()) === streams)
  const told = (await page.locator('#feed .feed-event span').allTextContents()).filter((text) => text.startsWith('Bob'))
  assert.deepEqual(told.reverse(), ['Bob is live', 'Bob has no Wi-Fi', 'Bob is live'])
})

test("Alice's Wi-Fi is gone: what she writes waits, and is sent once", async (t) => {
  const { page, alice, bob } = await stage(t, browser, demo, 'outbox')
  await page.getByRole('button', { name: 'Drop Alice’s Wi-Fi', exact: true }).click()
  await alice.where.getByText('No Wi-Fi').waitFor()
  for (const text of ['one', 'two']) await alice.say(text)
  assert.equal(await alice.where.locator('.outgoing').count(), 2)
  await verdict(page, '2 to be sent')
  await bob.say('where are you?')
  await bob.has(['where are you?'])
  await page.getByRole('button', { name: 'Bring Alice’s Wi-Fi back', exact: true }).click()
  await bob.has(['where are you?', 'one', 'two'])
  await alice.has(['where are you?', 'one', 'two'])
  assert.equal(await alice.where.locator('.outgoing').count(), 0)
  await verdict(page, 'none lost, none twice')
})

test("somebody whose Wi-Fi is gone is soon not shown as there", async (t) => {
  const { page, alice } = await stage(t, browser, demo, 'presence')
  await alice.where.getByText('you, Bob').waitFor()
  await page.getByRole('button', { name: 'Drop Bob’s Wi-Fi', exact: true }).click()
  await until('Bob is gone', async () => (await alice.where.locator('#present').textContent()) === 'you')
  await page.getByRole('button', { name: 'Bring Bob’s Wi-Fi back', exact: true }).click()
  await alice.where.getByText('you, Bob').waitFor()
})

test('Bob stalls: nobody else waits for him, and he has it all when he reads again', async (t) => {
  const { page, alice, bob } = await stage(t, browser, demo, 'stall')
  await page.getByRole('button', { name: 'Stall Bob', exact: true }).click()
  await bob.where.getByText('Stalled: not reading').waitFor()
  const texts = ['one', 'two', 'three']
  for (const text of texts) await alice.say(text)
  await alice.has(texts)
  await verdict(page, '3 messages; 3 kept for Bob')
  assert.deepEqual(await bob.texts(), [])
  await page.getByRole('button', { name: 'Let Bob read again', exact: true }).click()
  await bob.has(texts)
  await verdict(page, 'none lost, none twice')
})

test('a hidden page lets its streams go, and has everything when it is seen again', async (t) => {
  const { page, alice, bob } = await stage(t, browser, demo, 'hidden')
  const streams = await openStreams()
  const hide = (hidden) =>
    Promise.all(
      page.frames().map((frame) =>
        frame.evaluate((hidden) => {
          Object.defineProperty(document, 'hidden', { value: hidden, configurable: true })
          document.dispatchEvent(new Event('visibilitychange'))
        }, hidden),
      ),
    )
  await hide(true)
  await until('both streams are closed', async () => (await openStreams()) === streams - 2)
  await demo.post('send.php', { room: 'hidden', from: 'shell', text: 'anybody there?' })
  await hide(false)
  await alice.has(['anybody there?'])
  await bob.has(['anybody there?'])
})

test('nobody but the page itself can kill the hub', async (t) => {
  const page = await open(t, browser, demo.url)
  await page.getByRole('button', { name: 'Kill the hub', exact: true }).waitFor()
  const host = new URL(demo.url).host
  const own = { 'X-Demo': 'kill' }
  const status = async (headers, options = {}) => (await fetch(`${demo.url}kill.php`, { method: 'POST', headers, ...options })).status
  const { pid } = await demo.stats()
  assert.equal(await status({}), 403, 'a form can send no such header')
  assert.equal(await status({ ...own, Origin: 'http://evil.example' }), 403)
  assert.equal(await status({ ...own, Origin: `http://${host}.evil.example` }), 403)
  assert.equal(await status({ ...own, Origin: 'http://127.0.0.1:1' }), 403, 'another port is another site')
  assert.equal(await status({ ...own, Origin: 'null' }), 403)
  assert.equal(await status({ ...own, 'Sec-Fetch-Site': 'cross-site' }), 403)
  assert.equal(await status(own, { method: 'GET' }), 405)
  // A name of the attacker's that points at this machine.
  const { request } = await import('node:http')
  const rebound = await new Promise((resolve) => {
    request(`${demo.url}kill.php`, { method: 'POST', headers: { ...own, Host: 'evil.example', Origin: 'http://evil.example', 'Sec-Fetch-Site': 'same-origin' } }, (response) => resolve(response.statusCode)).end()
  })
  assert.equal(rebound, 403)
  assert.equal((await demo.stats()).pid, pid)
})
