// The administrators' dashboard, used as they do, and what those whose text it shows could do with it.
import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, statSync } from 'node:fs'
import { after, afterEach, before, test } from 'node:test'
import axe from 'axe-core'
import { DESKTOP, launch, open, PHONE } from './support/browser.mjs'
import { DashboardSite } from './support/dashboard.mjs'
import { root } from './support/demo.mjs'
import { until } from './support/until.mjs'

const ATTACKS = ['<img/src=x/onerror=attacked=1>', '</script><script>attacked=1</script>', '"><svg/onload=attacked=1>']
/** The part of the page that a picture in the manual has. */
const TALL = { ...DESKTOP, height: 1420 }
/** A picture for the manual has a minute's load; a test needs little. */
const isForManual = process.env.README_SCREENSHOTS === '1'
const folder = `${root}build/screenshots`
let browser, site

before(async () => {
  mkdirSync(folder, { recursive: true })
  // At this level the log names topics.
  site = await DashboardSite.start('view disconnect events', { 'sse.log_level': 'debug', 'sse.retry': 200 })
  browser = await launch()
})
after(async () => {
  await browser?.close()
  await site?.stop()
})
afterEach(() => site.leave())

async function dashboard(t, options) {
  const page = await open(t, browser, site.dashboard, options)
  await page.locator('#state[data-kind=open]').waitFor()
  await page.getByText(/^Hub /).waitFor()
  return page
}

const figure = async (page, title) => Number((await page.locator(`[data-figure="${title}"]`).textContent()).replace('–', '0'))

test('the figures move when something is published, without a request of the page', async (t) => {
  await site.watch('stream', { topics: 'news' })
  const page = await dashboard(t)
  await until('the stream is counted', async () => (await figure(page, 'Open streams')) >= 2)
  const requests = []
  page.on('request', (request) => requests.push(request.url()))
  await site.publish('news', 'x', { count: '200' })
  await until('the rates have risen', async () => (await figure(page, 'Events published')) > 0)
  const row = page.locator('#topics tr', { has: page.getByRole('button', { name: 'news', exact: true }) })
  await until('the topic is listed with its one watcher', async () => (await row.locator('td').nth(1).textContent()) === '1')
  await until('its script is listed', async () => (await page.locator('#scripts').textContent()).includes('/dashboard.php'))
  assert.match(await page.locator('#log').textContent(), /INFO attached/)
  assert.deepEqual(requests, [])
  // What is read out is only what changes seldom.
  await page.evaluate(() => {
    window.told = []
    for (const region of document.querySelectorAll('[role=status], [aria-live]')) {
      new MutationObserver(() => window.told.push(region.id)).observe(region, { childList: true, characterData: true, subtree: true })
    }
  })
  const published = async () => Number((await page.locator('[data-path="renders.done"]').textContent()).replaceAll(',', ''))
  const before = await published()
  await until('figures have come twice more', async () => (await published()) >= before + 2)
  assert.deepEqual(await page.evaluate(() => window.told), [])
})

test('topics, users, members, events and lines of the log are text, whatever is in them', async (t) => {
  for (const [nth, attack] of ATTACKS.entries()) {
    await site.watch('stream', { topics: attack, user: attack })
    await site.watch('presence', { topics: attack, id: attack })
    await site.publish(attack, attack)
    await until('it is watched', async () => (await site.stats()).presence.members > nth)
  }
  const page = await dashboard(t)
  for (const attack of ATTACKS) {
    const topic = page.getByRole('button', { name: attack, exact: true })
    // It is listed until no more came for some seconds.
    const again = site.publish(attack, attack)
    await topic.click()
    await again
    const row = page.locator('#streams tr', { has: page.locator('td:nth-child(2)', { hasText: attack }) })
    await row.getByRole('button', { name: /^Follow/ }).click()
    await page.getByText('It is open.').waitFor()
    await until('the event is shown', async () => {
      await site.publish(attack, attack)
      return (await page.locator('#events').textContent()).includes(`message: ${attack}`)
    })
    await page.getByRole('button', { name: 'Follow no longer' }).click()
    await page.locator('#who-topic').fill(attack)
    await page.getByRole('button', { name: 'Who is there?' }).click()
    await page.locator('#members td', { hasText: attack.toUpperCase().slice(0, 5) }).first().waitFor()
  }
  await until('the log has it', async () => (await page.locator('#log').textContent()).includes('onerror'))
  assert.equal(await page.evaluate(() => 'attacked' in window), false)
  assert.equal(await page.locator('main img, main svg, main script, main iframe').count(), 0)
})

test('a stream is found, followed and disconnected by the keyboard alone', async (t) => {
  const alice = await site.watch('stream', { topics: 'chat.a', user: 'alice' })
  await site.watch('stream', { topics: 'chat.b', user: 'bob' })
  const page = await dashboard(t)
  const { keyboard } = page
  /** The name of what has the focus. */
  const focused = () => page.evaluate(() => (document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent).trim())
  const tabTo = async (name) => {
    for (let steps = 0; steps < 60; steps++) {
      await keyboard.press('Tab')
      if (name.test(await focused())) return
    }
    assert.fail(`the focus never got to ${name}`)
  }
  await tabTo(/^To the content$/)
  await keyboard.press('Enter')
  await tabTo(/^topic that they get/)
  await keyboard.press('ArrowDown')
  await keyboard.press('Tab')
  await keyboard.type('alice')
  await keyboard.press('Enter')
  await page.getByText('1 stream found.').waitFor()
  await tabTo(/^Follow the stream/)
  await keyboard.press('Enter')
  await page.getByText('It is open.').waitFor()
  assert.match(await focused(), /^Followed stream/)
  await page.locator('#followed-figures', { hasText: 'chat.a' }).waitFor()
  await tabTo(/^Disconnect$/)
  // The dialog begins at what does nothing.
  await keyboard.press('Enter')
  await page.getByText(/of the user alice ends/).waitFor()
  assert.equal(await focused(), 'Leave it')
  await keyboard.press('Escape')
  await page.locator('#sure').waitFor({ state: 'hidden' })
  assert.equal(alice.ended, false)
  assert.equal(await focused(), 'Disconnect')
  await keyboard.press('Enter')
  await keyboard.press('Tab')
  await keyboard.press('Enter')
  await page.getByText('It has ended.').waitFor()
  await until('her stream has ended', () => alice.ended)
  assert.equal((await site.stats()).streams.closed.disconnected, 1)
})

test('a question that is asked again at once is not taken for answered by the end of the one before', async (t) => {
  const alice = await site.watch('stream', { topics: 'chat.a', user: 'alice' })
  const bob = await site.watch('stream', { topics: 'chat.a', user: 'bob' })
  const before = (await site.stats()).streams.closed.disconnected
  const page = await dashboard(t)
  await page.getByRole('textbox', { name: 'Topic' }).first().fill('chat.a')
  await page.getByRole('button', { name: 'Search', exact: true }).click()
  await page.getByText('2 streams found.').waitFor()
  const disconnect = (user) => page.locator('#streams tr', { hasText: user }).getByRole('button', { name: /^Disconnect/ })
  const buttons = [await disconnect('alice').elementHandle(), await disconnect('bob').elementHandle()]
  // In one task, before the browser can tell the page that the dialog was closed.
  await page.evaluate(([ofAlice, ofBob]) => {
    ofAlice.click()
    document.getElementById('sure').close()
    ofBob.click()
  }, buttons)
  await page.getByText(/of the user bob ends/).waitFor()
  await page.locator('#sure').getByRole('button', { name: 'Disconnect' }).click()
  await until('his stream has ended', () => bob.ended)
  assert.equal((await site.stats()).streams.closed.disconnected, before + 1)
  assert.equal(alice.ended, false)
})

test('searches go on where they ended, and say what is wrong', async (t) => {
  for (let nth = 0; nth < 54; nth++) await site.watch('stream', { topics: 'crowd' })
  const page = await dashboard(t)
  const by = (value) => page.locator('#by').selectOption(value)
  const search = page.getByRole('button', { name: 'Search', exact: true })
  await page.getByRole('textbox', { name: 'Topic' }).first().fill('crowd')
  await search.click()
  await page.getByText('50 streams found, after a look at 50; there are more.').waitFor()
  await page.getByRole('button', { name: 'Search on' }).click()
  await page.getByText('54 streams found.').waitFor()
  assert.equal(await page.locator('#more').isVisible(), false)
  await by('address')
  await page.getByRole('textbox', { name: 'Address' }).fill('127.0.0.300')
  await search.click()
  await page.getByText("'127.0.0.300' is not an address").waitFor()
  await by('slow')
  assert.equal(await page.locator('#what').isVisible(), false)
  await search.click()
  await page.getByText('0 streams found.').waitFor()
})

test('it goes on after the hub was killed, and rests when it is told to', async (t) => {
  const page = await dashboard(t)
  const process = await page.locator('#process').textContent()
  await site.killHub()
  await until('another hub is shown', async () => (await page.locator('#process').textContent()) !== process)
  await page.locator('#state[data-kind=open]').waitFor()
  await page.getByRole('button', { name: 'Pause' }).click()
  await until('no stream is open', async () => (await site.stats()).streams.open === 0)
  await page.getByText('Paused').waitFor()
  await page.getByRole('button', { name: 'Go on' }).click()
  await page.locator('#state[data-kind=open]').waitFor()
})

const looks = [['dark', TALL, 'dark'], ['phone', PHONE, 'light']]
// Both schemes and both widths are among the others already.
if (isForManual) looks.unshift(['light', TALL, 'light'])
for (const [look, viewport, colorScheme] of looks) {
  test(`axe finds nothing serious, and nothing is wider than the page: ${look}`, async (t) => {
    const people = ['alice', 'bob', 'carol', 'dan', 'erin'].slice(0, isForManual ? 5 : 2)
    for (const user of people) {
      await site.watch('stream', { topics: `news,chat.room-7,users.${user}`, user })
      await site.watch('presence', { topics: 'chat.room-7', id: user })
    }
    const page = await dashboard(t, { viewport, colorScheme })
    const publish = async (beat) => {
      await site.publish('news', 'x', { count: String(5 + Math.round(4 * Math.sin(beat / 12))) })
      await site.publish('chat.room-7', '{"from":"alice","text":"Tea at five?"}')
      if (beat % 3 === 0) await site.publish(`users.${people[beat % people.length]}`, 'mail')
    }
    await publish(0)
    let isDrawn = !isForManual
    const load = (async () => {
      for (let beat = 1; !isDrawn; beat++) {
        await publish(beat)
        await page.waitForTimeout(200)
      }
    })()
    await page.locator('#by').selectOption('topic')
    await page.getByRole('textbox', { name: 'Topic' }).first().fill('chat.room-7')
    await page.getByRole('button', { name: 'Search', exact: true }).click()
    await page.getByText(`${2 * people.length} streams found.`).waitFor()
    await page.locator('#who-topic').fill('chat.room-7')
    await page.getByRole('button', { name: 'Who is there?' }).click()
    await page.getByText(`${people.length} users are present.`).waitFor()
    await until('the topics are listed', async () => (await page.locator('#topics tr').count()) >= 3)
    await page.locator('details summary').click()
    await page.evaluate(axe.source)
    const { violations, passes } = await page.evaluate(() => window.axe.run())
    assert.ok(passes.length > 10)
    assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`).join('; ')}`), [])
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true)
    await page.locator('details summary').click()
    await page.evaluate(() => scrollTo(0, 0))
    if (isForManual) await page.waitForTimeout(40_000)
    const path = `${folder}/dashboard-${look}.png`
    await page.screenshot({ path, animations: 'disabled' })
    isDrawn = true
    await load
    assert.ok(statSync(path).size > 5000)
    if (isForManual) copyFileSync(path, `${root}docs/screenshots/dashboard-${look}.png`)
  })
}
