// What the pages look like: kept in build/screenshots, to be looked at. README_SCREENSHOTS=1 renews those of README.md.
import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, statSync } from 'node:fs'
import { test } from 'node:test'
import { DESKTOP, enter, open, PHONE, stage, start } from './support/browser.mjs'
import { root } from './support/demo.mjs'
import { until } from './support/until.mjs'

const folder = `${root}build/screenshots`
const readme = ['chat-light', 'table-light', 'hub-dark', 'room-phone']
mkdirSync(folder, { recursive: true })
const { demo, browser } = await start()

async function keep(page, name) {
  const path = `${folder}/${name}.png`
  await page.screenshot({ path, animations: 'disabled' })
  assert.ok(statSync(path).size > 5000)
  if (process.env.README_SCREENSHOTS === '1' && readme.includes(name)) copyFileSync(path, `${root}docs/screenshots/${name}.png`)
}

const looks = [
  ['light', DESKTOP, 'light'],
  ['dark', DESKTOP, 'dark'],
  ['phone', PHONE, 'light'],
]

for (const [look, viewport, colorScheme] of looks) {
  test(`the chat, ${look}`, async (t) => {
    const { page, alice, bob } = await stage(t, browser, demo, `look-${look}`, { viewport, colorScheme })
    const texts = []
    for (const [who, text] of [
      [alice, 'Hi Bob! Can you see me?'],
      [bob, 'I can, and PHP is free again already.'],
      [alice, 'And if I kill the hub now?'],
    ]) {
      await who.say(text)
      texts.push(text)
      await alice.has(texts)
      await bob.has(texts)
    }
    const { pid } = await demo.stats()
    await page.getByRole('button', { name: 'Kill the hub', exact: true }).click()
    await until('there is another hub', async () => demo.stats().then((stats) => stats.pid !== pid, () => false))
    for (const who of [alice, bob]) await who.live()
    const streams = async () => Number(await page.locator('#streams').textContent())
    await page.getByRole('button', { name: 'Open 200 more streams', exact: true }).click()
    t.after(async () => {
      await demo.post('crowd.php', { seconds: '0' }, { 'X-Demo': 'crowd' })
      await until('they have left', async () => (await demo.stats()).streams.open < 200)
    })
    await until('all are open', async () => (await streams()) >= 202)
    for (const [who, text] of [
      [bob, 'Then there is a new one, and nothing is lost.'],
      [alice, '<b>Nothing</b> at all?'],
    ]) {
      await who.say(text)
      texts.push(text)
      await alice.has(texts)
      await bob.has(texts)
    }
    await page.getByRole('button', { name: 'Drop Bob’s Wi-Fi', exact: true }).click()
    await alice.say('See for yourself, when you are back.')
    await alice.has([...texts, 'See for yourself, when you are back.'])
    await page.locator('#verdict', { hasText: '1 kept for Bob' }).waitFor()
    await page.locator('#feed li:nth-child(3)').click()
    await keep(page, `chat-${look}`)
  })

  test(`the table, ${look}`, async (t) => {
    const page = await open(t, browser, `${demo.url}table.php`, { viewport, colorScheme })
    const [first, second] = ['first', 'second'].map((name) => page.frameLocator(`[title="The ${name} window"]`))
    for (const window of [first, second]) await window.locator('#state[data-kind=open]').waitFor()
    const field = first.getByLabel('Quantity of Oat milk')
    await field.fill(String(Number(await field.inputValue()) + 12))
    await field.press('Enter')
    await second.getByText('Changed in another window.').waitFor()
    await keep(page, `table-${look}`)
  })

  test(`the hub, ${look}`, async (t) => {
    const page = await open(t, browser, `${demo.url}hub.php`, { viewport, colorScheme })
    await page.locator('#state[data-kind=open]').waitFor()
    const frames = async () => Number(await page.locator('[data-path="renders.done"]').textContent())
    const begun = await frames()
    for (const seconds of [4, 9, 13]) {
      await until('the next second', async () => (await frames()) >= begun + seconds)
      await demo.post('burst.php', {})
    }
    await until('all is drawn', async () => (await frames()) >= begun + 16)
    await keep(page, `hub-${look}`)
  })
}

test('a room, phone', async (t) => {
  const carol = await enter(t, browser, demo, 'tea-at-five', 'Carol', { viewport: PHONE })
  const dan = await enter(t, browser, demo, 'tea-at-five', 'Dan', { viewport: PHONE, colorScheme: 'dark' })
  await carol.pane.say('Tea at five?')
  await dan.pane.has(['Tea at five?'])
  await dan.pane.say('With pleasure. Who else is coming?')
  await carol.pane.has(['Tea at five?', 'With pleasure. Who else is coming?'])
  await carol.page.getByText('you, Dan').waitFor()
  await dan.page.getByRole('textbox', { name: 'Message' }).pressSequentially('Shall I')
  await carol.page.getByText('Dan is typing…').waitFor()
  await keep(carol.page, 'room-phone')
})
