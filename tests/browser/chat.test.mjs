// The chat, as two people and a shell use it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { enter, Pane, stage, start } from './support/browser.mjs'
import { until } from './support/until.mjs'

const { demo, browser } = await start()

test('two people in two browsers talk, see each other typing, and leave', async (t) => {
  const carol = await enter(t, browser, demo, 'tea', 'Carol')
  const dan = await enter(t, browser, demo, 'tea', 'Dan')
  await carol.page.getByText('you, Dan').waitFor()
  await dan.page.getByText('you, Carol').waitFor()

  await carol.page.getByRole('textbox', { name: 'Message' }).pressSequentially('Hi')
  await dan.page.getByText('Carol is typing…').waitFor()
  await carol.page.keyboard.press('Enter')
  await dan.pane.has(['Hi'])
  assert.equal(await dan.page.locator('#typing').textContent(), '')
  await dan.pane.say('Hello Carol')
  await carol.pane.has(['Hi', 'Hello Carol'])

  await dan.page.getByRole('link', { name: 'Leave' }).click()
  await until('Dan is gone', async () => (await carol.page.locator('#present').textContent()) === 'you')
})

test('a third person opens the link later and has what was said', async (t) => {
  const carol = await enter(t, browser, demo, 'late', 'Carol')
  await carol.pane.say('one')
  await carol.pane.say('two')
  await carol.pane.has(['one', 'two'])
  const erin = await enter(t, browser, demo, 'late', 'Erin')
  await erin.pane.has(['one', 'two'])
  await carol.pane.say('three')
  await erin.pane.has(['one', 'two', 'three'])
})

test('a reload neither loses nor doubles', async (t) => {
  const { page, pane } = await enter(t, browser, demo, 'again', 'Carol')
  await pane.say('one')
  await pane.has(['one'])
  await page.reload()
  assert.equal(await page.getByLabel('Your name').inputValue(), 'Carol')
  await page.getByRole('button', { name: 'Come in', exact: true }).click()
  await new Pane(page).live()
  await pane.say('two')
  await pane.has(['one', 'two'])
  assert.equal(await page.locator('#messages .chat-end').count(), 2)
})

test('rooms are apart', async (t) => {
  const carol = await enter(t, browser, demo, 'red', 'Carol')
  const dan = await enter(t, browser, demo, 'blue', 'Dan')
  await carol.pane.say('for red')
  await carol.pane.has(['for red'])
  await dan.pane.say('for blue')
  await dan.pane.has(['for blue'])
})

test("the timeline has every step of a message, in order, and the whole way's time", async (t) => {
  const { page, alice, bob } = await stage(t, browser, demo, 'steps')
  for (const text of ['one', 'two', 'three']) {
    await alice.say(text)
    await page.locator('#feed li:first-child .feed-took', { hasText: / (ms|s)$/ }).waitFor()
  }
  await bob.has(['one', 'two', 'three'])
  await until('all six steps have a time', async () => (await page.locator('#steps li[data-at]').count()) === 6)
  const steps = await page.locator('#steps li').evaluateAll((items) => items.map(({ dataset }) => [dataset.step, Number(dataset.at)]))
  assert.deepEqual(steps.map(([name]) => name), ['sender', 'php', 'sqlite', 'notification', 'hub', 'receiver'])
  const at = Object.fromEntries(steps)
  assert.equal(at.sender, 0)
  assert.ok(0 <= at.php && at.php < at.sqlite && at.sqlite <= at.notification && at.notification < at.hub, JSON.stringify(at))
  assert.ok(at.notification <= at.receiver && at.receiver < 20_000, JSON.stringify(at))
  // The feed has the same time for the whole way.
  assert.equal(await page.locator('#feed li:first-child .feed-took').textContent(), `${at.receiver.toFixed(1)} ms`)

  // An earlier message can be looked at.
  await page.getByRole('button', { name: /#1 one/ }).click()
  await page.getByText('Alice’s message #1: “one”').waitFor()
})

test('the conversation plays itself, letter by letter, until it is stopped', async (t) => {
  const { page, alice, bob } = await stage(t, browser, demo, 'play')
  const field = alice.where.getByRole('textbox', { name: 'Message' })
  await field.evaluate((field) => {
    window.seen = []
    field.addEventListener('input', () => window.seen.push(field.value))
  })
  await page.getByRole('button', { name: 'Play a conversation', exact: true }).click()
  await until('a line was typed and has arrived', async () => (await bob.texts()).length > 0)
  const seen = await field.evaluate(() => window.seen)
  assert.ok(new Set(seen).size > 5, `the text was put in at once: ${seen}`)
  await bob.where.getByText('Bob').first().waitFor()
  await until('Bob answers', async () => (await alice.texts()).length === 2)
  assert.match((await alice.texts())[1], /took [0-9.]+ m?s from your button to me/)
  await page.getByRole('button', { name: 'Stop the conversation', exact: true }).click()
  await page.getByRole('button', { name: 'Play a conversation', exact: true }).waitFor()
  // The last line may still be on its way to one of them.
  await until('both have the same', async () => JSON.stringify(await alice.texts()) === JSON.stringify(await bob.texts()))
})

test('who writes in person while the conversation plays has the field, and the conversation stops', async (t) => {
  const { page, alice, bob } = await stage(t, browser, demo, 'taken')
  await page.getByRole('button', { name: 'Play a conversation', exact: true }).click()
  const field = alice.where.getByRole('textbox', { name: 'Message' })
  await until('a line is being typed', async () => (await field.inputValue()).length > 3)
  await field.pressSequentially('My own words', { delay: 20 })
  assert.equal(await field.inputValue(), 'My own words')
  await page.getByRole('button', { name: 'Play a conversation', exact: true }).waitFor()
  await field.press('Enter')
  await bob.has(['My own words'])
})

test('a shell reads and writes the same room', async (t) => {
  const { pane } = await enter(t, browser, demo, 'general', 'Carol')
  const abort = new AbortController()
  const stream = await fetch(`${demo.url}stream.php`, { signal: abort.signal })
  assert.match(stream.headers.get('content-type'), /^text\/event-stream/)
  const answer = await (await demo.post('send.php', { from: 'shell', text: 'hello' })).json()
  assert.equal(answer.seq, 1)
  await demo.php('sse_publish("chat.general", ["from" => "cron", "text" => "from PHP"]);')
  await pane.has(['hello', 'from PHP'])
  let read = ''
  for await (const bytes of stream.body) {
    read += Buffer.from(bytes)
    if (read.includes('from PHP')) break
  }
  assert.match(read, /data: \{"seq":1,.*"from":"shell","text":"hello"/)
  abort.abort()
})

test('what is no message of the chat does no harm', async (t) => {
  const { pane } = await enter(t, browser, demo, 'general', 'Dan')
  const before = await pane.texts()
  await demo.php('sse_publish("chat.general", "no json"); sse_publish("chat.general", [1]); sse_publish("chat.general", ["from" => 1, "text" => []]);')
  await pane.say('still there')
  await pane.has([...before, 'still there'])
})
