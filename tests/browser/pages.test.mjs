// The other pages, what attackers write, and who uses them without a mouse, a large screen or eyes.
import assert from 'node:assert/strict'
import axe from 'axe-core'
import { test } from 'node:test'
import { DESKTOP, enter, open, Pane, PHONE, stage, start } from './support/browser.mjs'
import { until } from './support/until.mjs'

const { demo, browser } = await start()

const PAGES = { chat: '?room=pages', table: 'table.php', hub: 'hub.php', job: 'job.php', room: 'room.php?room=pages&as=Carol', door: 'room.php?room=pages' }
/** Without a stream until somebody does something. */
const isQuiet = (path) => [PAGES.door, PAGES.job].includes(path)

/** Each is run by a page that takes text for markup somewhere. */
const ATTACKS = [
  '<script>window.attacked = 1</script>',
  '<img src=x onerror="window.attacked = 1">',
  '"><svg onload="window.attacked = 1">',
  "' autofocus onfocus='window.attacked = 1",
  'javascript:window.attacked=1',
  '</textarea></title></script><script>window.attacked = 1</script>',
  '<iframe srcdoc="<script>parent.attacked = 1</script>"></iframe>',
  '<a href="javascript:window.attacked=1">click</a><style>*{display:none}</style>',
  '&lt;b&gt;{{constructor.constructor("window.attacked=1")()}}',
  '\u202Eevil\u0000'.replace('\u0000', ''),
]

const attacked = (page) => Promise.all(page.frames().map((frame) => frame.evaluate(() => 'attacked' in window))).then((all) => all.includes(true))

test('a table edited in one window changes in the other', async (t) => {
  const page = await open(t, browser, `${demo.url}table.php`)
  const [first, second] = ['First', 'Second'].map((name) => page.frameLocator(`[title="The ${name.toLowerCase()} window"]`))
  for (const window of [first, second]) await window.locator('#state[data-kind=open]').waitFor()
  await first.getByLabel('Quantity of Honey').fill('99')
  await first.getByLabel('Quantity of Honey').press('Enter')
  await until('the other window has it', async () => (await second.getByLabel('Quantity of Honey').inputValue()) === '99')
  await first.getByText(/the stream brought the change back after/).waitFor()
  await second.getByText('Changed in another window.').waitFor()

  await second.getByRole('button', { name: 'Add a row', exact: true }).click()
  await first.getByLabel('Item of New item').fill('Sugar')
  await first.getByLabel('Item of New item').press('Tab')
  await second.getByRole('button', { name: 'Remove Sugar', exact: true }).click()
  await until('it is gone in both', async () => (await first.getByLabel('Item of Sugar').count()) + (await second.getByLabel('Item of Sugar').count()) === 0)

  // What somebody is writing is not overwritten by others.
  await second.getByLabel('Shelf of Honey').fill('Z9')
  await fetch(`${demo.url}api.php/records/stock/4`, { method: 'PUT', headers: { 'Content-Type': 'application/json' }, body: '{"shelf":"X1"}' })
  await until('the other one has it', async () => (await first.getByLabel('Shelf of Honey').inputValue()) === 'X1')
  assert.equal(await second.getByLabel('Shelf of Honey').inputValue(), 'Z9')
})

test('the API answers as an API of records does, and refuses other sites', async () => {
  const api = (path, method = 'GET', body, headers = { 'Content-Type': 'application/json' }) =>
    fetch(`${demo.url}api.php${path}`, { method, body: body && JSON.stringify(body), headers }).then(async (response) => [response.status, await response.json()])
  const [, { records }] = await api('/records/stock')
  assert.equal(records[0].item, 'Coffee beans')
  assert.deepEqual(await api('/records/stock/1', 'PUT', { quantity: 25 }), [200, 1])
  assert.equal((await api('/records/stock/1'))[1].quantity, 25)
  const [, id] = await api('/records/stock', 'POST', { item: 'Salt' })
  assert.deepEqual(await api(`/records/stock/${id}`, 'DELETE'), [200, 1])
  for (const [path, method, body, status] of [
    ['/records/stock/999', 'GET', undefined, 404],
    ['/records/users', 'GET', undefined, 404],
    ['/records/stock', 'DELETE', undefined, 405],
    ['/records/stock/1', 'PUT', { quantity: -1 }, 422],
    ['/records/stock/1', 'PUT', { quantity: '1; DROP TABLE stock' }, 422],
    ['/records/stock/1', 'PUT', { 'quantity = 0 --': 1 }, 422],
    ['/records/stock/1', 'PUT', { id: 7 }, 422],
  ]) {
    assert.equal((await api(path, method, body))[0], status, `${method} ${path} ${JSON.stringify(body)}`)
  }
  assert.equal((await api('/records/stock/1', 'PUT', { quantity: 1 }, { 'Content-Type': 'text/plain' }))[0], 415, 'a form can send text/plain')
  assert.equal((await api('/records/stock/1', 'PUT', { quantity: 1 }, { 'Content-Type': 'application/json', Origin: 'http://evil.example' }))[0], 403)
})

test("the hub's page has the figures of sse_stats()", async (t) => {
  const page = await open(t, browser, `${demo.url}hub.php`)
  await page.locator('#state[data-kind=open]').waitFor()
  await demo.post('burst.php', {})
  const flat = (tree, path = '') => Object.entries(tree).flatMap(([name, value]) => (value !== null && typeof value === 'object' ? flat(value, `${path}${name}.`) : [[path + name, value]]))
  const shown = () => page.locator('#figures dd').evaluateAll((cells) => Object.fromEntries(cells.map((cell) => [cell.dataset.path, cell.textContent])))
  const before = new Map(flat(await demo.stats()))
  // A frame that is younger than that: each publishes one event more.
  await until('the page shows younger figures', async () => Number((await shown()).published) > before.get('published') + 1)
  const page1 = await shown()
  const after = new Map(flat(await demo.stats()))
  // Which topics and scripts these list, and whether any, is another thing a moment later.
  const lasts = (path) => !/^(busiest|renders\.slowest)\./.test(path)
  assert.deepEqual(Object.keys(page1).filter(lasts).sort(), [...after.keys()].filter(lasts).sort(), 'all figures are shown')
  let same = 0
  for (const [path, late] of after) {
    const early = before.get(path)
    // A percentile, memory, and what is connected just now, may go up and down; all others only grow.
    if (/p50|p99|^resident_bytes$|^pinned_bytes$|^connections$|running|queued|held|waiting/.test(path) || !lasts(path)) continue
    if (early === late) {
      assert.equal(page1[path], late === null ? '–' : String(late), path)
      same++
    } else assert.ok(Number(page1[path]) >= early && Number(page1[path]) <= late, `${path}: ${early}, ${page1[path]}, ${late}`)
  }
  assert.ok(same > 20, `${same} figures did not change meanwhile`)
  assert.equal(page1.pid, String(after.get('pid')))
  assert.equal(await page.locator('[data-figure="Open streams"]').textContent(), page1['streams.open'])
  assert.equal(await page.locator('[data-figure="Topics watched"]').textContent(), page1.topics)
  assert.match(await page.locator('[data-figure="Memory of the hub alone"]').textContent(), /^\d+\.\d$/)
  assert.equal(await page.locator('#charts canvas').count(), 6)
})

test("the hub's page survives the hub", async (t) => {
  const page = await open(t, browser, `${demo.url}hub.php`)
  await page.locator('#state[data-kind=open]').waitFor()
  await until('figures', async () => (await page.locator('[data-path=pid]').count()) === 1)
  const pid = await page.locator('[data-path=pid]').textContent()
  await page.getByRole('button', { name: 'Kill the hub', exact: true }).click()
  await page.getByText('There is a new hub').waitFor()
  assert.notEqual(await page.locator('[data-path=pid]').textContent(), pid)
})

test('markup in messages, names and cells stays text', async (t) => {
  const { page, bob } = await stage(t, browser, demo, 'attack')
  const carol = await enter(t, browser, demo, 'attack', '<img src=x onerror="window.attacked=1">')
  for (const attack of ATTACKS) await carol.pane.say(attack)
  await bob.has(ATTACKS)
  const alice = Pane.in(page, 'alice')
  await alice.say(ATTACKS[1])
  await page.locator('#feed', { hasText: ATTACKS[1] }).waitFor()
  await bob.has([...ATTACKS, ATTACKS[1]])
  assert.equal(await bob.where.locator('#messages img, #messages svg, #messages script, #messages iframe, #messages a, #messages style').count(), 0)
  assert.equal(await bob.where.locator('#present img').count() + (await page.locator('#feed img, #steps img, #about img').count()), 0)
  await bob.where.getByText('you, <img src=x onerror="window.attacked=1">').waitFor()

  // By the server, without the page's own checks.
  await demo.php(`sse_publish("chat.attack", ["from" => "<script>window.attacked=1</script>", "text" => "<img src=x onerror=window.attacked=1>"]);`)
  await bob.has([...ATTACKS, ATTACKS[1], '<img src=x onerror=window.attacked=1>'])

  const table = await open(t, browser, `${demo.url}stock.php?window=${encodeURIComponent('<b onclick=1>x')}`)
  await table.getByLabel('Item of Green tea').fill(ATTACKS[1])
  await table.getByLabel('Item of Green tea').press('Enter')
  await table.getByRole('button', { name: `Remove ${ATTACKS[1]}` }).waitFor()
  assert.equal(await table.locator('main img, h1 b').count(), 0)

  for (const one of [page, carol.page, table]) assert.equal(await attacked(one), false)
  const refused = await fetch(`${demo.url}room.php?room=${encodeURIComponent('"><script>alert(1)</script>')}`)
  assert.equal(refused.status, 422)
  assert.match(refused.headers.get('content-type'), /^application\/json/)
})

test('messages of other sites are refused', async () => {
  for (const path of ['send.php', 'typing.php', 'burst.php']) {
    const response = await demo.post(path, { from: 'x', name: 'x', client: 'x', text: 'x', here: '1', typing: '1' }, { Origin: 'http://evil.example' })
    assert.equal(response.status, 403, path)
  }
  for (const [fields, why] of [
    [{ from: '', text: 'x' }, 'no name'],
    [{ from: 'x' }, 'no text'],
    [{ from: 'x', text: 'x'.repeat(8001) }, 'too long'],
    [{ from: 'x', text: 'a\u0000b' }, 'a control character'],
    [{ from: 'x', text: 'x', room: 'a.*' }, 'a wildcard'],
    [{ from: 'x', text: 'x', room: 'a.b' }, 'a dot'],
  ]) {
    assert.equal((await demo.post('send.php', fields)).status, 422, why)
  }
  assert.equal((await fetch(`${demo.url}stream.php?room=**`)).status, 422)
})

test('everything can be done by keyboard', async (t) => {
  const page = await open(t, browser, `${demo.url}?room=keys`)
  await Pane.in(page, 'alice').live()
  await Pane.in(page, 'bob').live()
  const focused = async () => {
    for (const frame of [...page.frames()].reverse()) {
      const found = await frame.evaluate(() => {
        const element = document.activeElement
        if (!document.hasFocus() || element === null || element === document.body || element.tagName === 'IFRAME') return null
        const style = getComputedStyle(element)
        return { name: element.getAttribute('aria-label') ?? element.textContent.trim().slice(0, 40), ring: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0 }
      })
      if (found !== null) return found
    }
    return null
  }
  const reach = async (name) => {
    for (let presses = 0; presses < 60; presses++) {
      await page.keyboard.press('Tab')
      const found = await focused()
      if (found === null) continue
      assert.ok(found.ring, `${found.name} shows that it has the focus`)
      if (found.name === name) return
    }
    assert.fail(`${name} can't be reached`)
  }
  await reach('To the content')
  await page.keyboard.press('Enter')
  await reach('Drop Bob’s Wi-Fi')
  await page.keyboard.press('Space')
  await Pane.in(page, 'bob').where.getByText('No Wi-Fi').waitFor()
  await page.keyboard.press('Space')
  await reach('Message')
  await page.keyboard.type('by keyboard')
  await page.keyboard.press('Enter')
  await Pane.in(page, 'bob').has(['by keyboard'])
  await page.locator('#feed .feed-message .feed-took', { hasText: / (ms|s)$/ }).waitFor()
  await reach('What is measured')
  await page.keyboard.press('Enter')
  await page.getByText('Both browsers’ times').waitFor()
  await reach('Alice → Bob#1 by keyboard' + (await page.locator('#feed .feed-message .feed-took').textContent()))
})

test('light and dark follow the system until somebody chooses', async (t) => {
  const page = await open(t, browser, demo.url, { colorScheme: 'dark' })
  const themes = () => Promise.all(page.frames().map((frame) => frame.evaluate(() => document.documentElement.dataset.theme)))
  await until('all frames are dark', async () => (await themes()).join() === 'dark,dark,dark')
  await page.getByRole('button', { name: 'Light mode', exact: true }).click()
  await until('all frames are light', async () => (await themes()).every((theme) => theme === 'light'))
  await page.reload()
  await until('it is remembered', async () => (await themes()).join() === 'light,light,light')
})

for (const width of [320, 390, 768]) {
  test(`nothing is wider than ${width} pixels`, async (t) => {
    for (const path of Object.values(PAGES)) {
      const page = await open(t, browser, demo.url + path, { viewport: { width, height: 700 } })
      await until('the page is alive', async () => isQuiet(path) || (await page.frames().at(-1).locator('[data-kind=open]').count()) > 0)
      for (const frame of page.frames()) {
        const { scroll, inner } = await frame.evaluate(() => ({ scroll: document.documentElement.scrollWidth, inner: innerWidth }))
        assert.ok(scroll <= inner, `${frame.url()}: ${scroll} > ${inner}`)
      }
    }
  })
}

for (const colorScheme of ['light', 'dark']) {
  for (const [name, path] of Object.entries(PAGES)) {
    for (const viewport of [DESKTOP, PHONE]) {
      test(`axe finds nothing serious: ${name}, ${colorScheme}, ${viewport.width} pixels`, async (t) => {
        const page = await open(t, browser, demo.url + path, { viewport, colorScheme })
        await until('the page is alive', async () => isQuiet(path) || (await page.frames().at(-1).locator('[data-kind=open]').count()) > 0)
        if (name === 'chat') {
          await Pane.in(page, 'bob').say('hello')
          await page.getByRole('button', { name: 'Stall Bob', exact: true }).click()
          await page.getByText('What is measured').click()
        }
        for (const frame of page.frames()) await frame.evaluate(axe.source)
        const { violations, passes } = await page.evaluate(() => window.axe.run())
        assert.ok(passes.length > 10)
        const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
        assert.deepEqual(serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`).join('; ')}`), [])
      })
    }
  }
}
