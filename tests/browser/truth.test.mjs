// What the demo says about itself is true, also at odd moments.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { enter, open, Pane, stage, start } from './support/browser.mjs'
import { Demo } from './support/demo.mjs'
import { until } from './support/until.mjs'

const { demo, browser } = await start()

test('a demo that is started anew while a tab is open: the tab says so, and what is sent from then on arrives', async (t) => {
  const own = await Demo.start()
  let current = own
  t.after(() => current.stop())
  const { page, alice, bob } = await stage(t, browser, own, 'anew')
  for (const text of ['one', 'two', 'three']) await alice.say(text)
  await bob.has(['one', 'two', 'three'])
  await own.stop()
  current = await Demo.start(own.port)
  await alice.say('four')
  await bob.has(['four'])
  await alice.has(['four'])

  await page.locator('#feed', { hasText: 'The server has begun anew' }).waitFor()
  await bob.where.getByText('The server has begun anew; the messages of before are gone.').waitFor()
  await page.locator('#verdict', { hasText: 'messages 1 to 1: none lost, none twice' }).waitFor()
})

test('a message that comes while a page asks what the new server has is not lost', async (t) => {
  const own = await Demo.start()
  let current = own
  t.after(() => current.stop())
  const { page, alice, bob } = await stage(t, browser, own, 'meanwhile')
  await alice.say('of before')
  await bob.has(['of before'])
  let asked = 0
  let letGo
  const held = new Promise((resolve) => (letGo = resolve))
  await page.route(/messages\.php\?room=meanwhile$/, async (route) => {
    const response = await route.fetch()
    asked++
    await held
    await route.fulfill({ response })
  })
  await own.stop()
  current = await Demo.start(own.port)
  await alice.live()
  await bob.live()
  await alice.say('one')
  await until('both have asked', () => asked === 2)
  await current.post('send.php', { room: 'meanwhile', client: 'zoe', key: 'zoe-1', from: 'Zoe', text: 'two' })
  await current.post('typing.php', { room: 'meanwhile', client: 'zoe', name: 'Zoe', typing: '1' })
  for (const pane of [alice, bob]) await pane.where.getByText('Zoe is typing…').waitFor()
  letGo()

  await bob.has(['one', 'two'])
  await alice.has(['one', 'two'])
})

test('a message that others have is not said to be unsent', async (t) => {
  const { page, alice, bob } = await stage(t, browser, demo, 'unsent')
  await page.getByRole('button', { name: 'Stall Bob', exact: true }).click()
  await bob.where.getByText('Stalled: not reading').waitFor()
  await bob.say('for Alice')
  await alice.has(['for Alice'])
  await bob.where.locator('.outgoing', { hasText: 'sent; not back by the stream yet' }).waitFor()
  await page.getByRole('button', { name: 'Let Bob read again', exact: true }).click()
  await bob.has(['for Alice'])

  await page.getByRole('button', { name: 'Drop Alice’s Wi-Fi', exact: true }).click()
  await alice.where.getByText('No Wi-Fi').waitFor()
  await alice.say('later')
  await alice.where.locator('.outgoing', { hasText: 'no answer yet; it is sent again by itself' }).waitFor()
  await page.getByRole('button', { name: 'Bring Alice’s Wi-Fi back', exact: true }).click()
  await bob.has(['for Alice', 'later'])
})

test('tabs that are opened in the background have no streams, and get them when they are seen', async (t) => {
  await until('the pages of the test before have gone', async () => (await demo.stats()).streams.open === 0)
  const context = await browser.newContext()
  t.after(() => context.close())
  await context.addInitScript(() => {
    window.isHidden = true
    Object.defineProperty(document, 'hidden', { get: () => window.isHidden, configurable: true })
  })
  const pages = []
  for (let number = 0; number < 7; number++) {
    const page = await context.newPage()
    await page.goto(`${demo.url}?room=background`)
    // Its clients have asked for the room, and would have begun their streams.
    await page.locator('#verdict', { hasText: 'No messages yet' }).waitFor()
    pages.push(page)
  }
  assert.equal((await demo.stats()).streams.open, 0)
  const seen = pages[6]
  for (const frame of seen.frames()) {
    await frame.evaluate(() => {
      window.isHidden = false
      document.dispatchEvent(new Event('visibilitychange'))
    })
  }
  await Pane.in(seen, 'alice').live()
  const bob = await Pane.in(seen, 'bob').live()
  await demo.post('send.php', { room: 'background', from: 'shell', text: 'seen' })
  await bob.has(['seen'])
  await until('two streams are open', async () => (await demo.stats()).streams.open === 2)
})

test("Escape at a room's door leads nowhere else", async (t) => {
  const page = await open(t, browser, `${demo.url}room.php?room=door`)
  const name = page.getByLabel('Your name')
  await name.waitFor()
  for (let times = 0; times < 3; times++) await page.keyboard.press('Escape')
  await page.keyboard.press('Enter')
  await name.fill('Carol')
  await page.keyboard.press('Enter')
  const pane = await new Pane(page).live()
  await pane.say('in the room')
  await pane.has(['in the room'])

  assert.equal(new URL(page.url()).searchParams.get('room'), 'door')
  const dan = await enter(t, browser, demo, 'door', 'Dan')
  await dan.pane.has(['in the room'])
})

test('after a kill the page counts who is back', async (t) => {
  const page = await open(t, browser, `${demo.url}hub.php`)
  await page.locator('#state[data-kind=open]').waitFor()
  const abort = new AbortController()
  t.after(() => abort.abort())
  // Clients that do not come back.
  for (let number = 0; number < 4; number++) {
    const response = await fetch(`${demo.url}stream.php?room=gone`, { signal: abort.signal })
    response.body.getReader().closed.catch(() => {})
  }
  await until('the page shows them', async () => (await page.locator('[data-path="streams.open"]').textContent()) === '5')
  await page.getByRole('button', { name: 'Kill the hub', exact: true }).click()
  await page.locator('#note', { hasText: /There is a new hub, .*1 of 5 streams are back so far/ }).waitFor()
})
