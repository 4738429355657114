// The same in a real browser, and what only a browser has: tabs that share, being offline, the back/forward cache.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { chromium } from 'playwright-core'
import { Server } from './support/server.mjs'
import { until } from './support/until.mjs'

const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, at) => from + at)

let server
let browser
before(async () => {
  server = await Server.start()
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium' })
})
after(async () => {
  await browser?.close()
  await server?.stop()
})

/** A browser of one user: its pages share cookies, locks and channels. */
async function user(t) {
  const context = await browser.newContext()
  // As patient as until(): a busy machine takes long to load a page.
  context.setDefaultTimeout(60_000)
  t.after(() => context.close())
  return context
}

/** A tab with a manager whose events are kept in `got`, and what happens to it in `happened`. */
async function tab(context, topics, config = {}, query = '') {
  const page = await context.newPage()
  page.on('pageerror', (error) => assert.fail(error))
  await page.goto(`${server.url}/test/app/page.php${query}`)
  await begin(page, topics, config)
  return page
}

async function begin(page, topics, config = {}) {
  await page.waitForFunction(() => typeof SSEManager === 'function')
  const own = { url: '/test/app/stream.php', publishUrl: '/test/app/publish.php', session: 'alice', retry: 100, ...config }
  await page.evaluate(async ([topics, config]) => {
    window.got = []
    window.happened = []
    window.manager = new SSEManager(config)
    for (const name of ['open', 'gap', 'reconnecting', 'error', 'closed', 'leader']) {
      manager.on(name, (event) => happened.push([name, JSON.parse(JSON.stringify(event))]))
    }
    window.subscriptions = topics.map((topic) => manager.subscribe(topic, ({ topic, data }) => got.push([topic, data])))
    await Promise.all(subscriptions.map(({ ready }) => ready))
  }, [topics, own])
}

const got = (page) => page.evaluate(() => got)
const data = async (page) => (await got(page)).map(([, data]) => data)
const leads = (page) => page.evaluate(() => manager.leads)
const happened = (page, name) => page.evaluate((name) => happened.filter(([one]) => one === name), name)
const untilGot = (page, count) => until(`${count} events have come`, async () => (await got(page)).length >= count)

for (const [build, query] of [['the module', ''], ['the plain script', '?script=plain']]) {
  for (const transport of ['fetch', 'eventsource']) {
    test(`${build} by transport ${transport}: topics, patterns, sending, a topic that is added`, async (t) => {
      const page = await tab(await user(t), ['chat.general', 'orders.*'], { transport }, query)
      await server.publish({ topic: 'chat.general', data: { text: 'hi' }, event: 'said' }, { topic: 'orders.7', data: 7 })
      await untilGot(page, 2)
      await page.evaluate(async () => {
        await manager.subscribe('added', ({ topic, data }) => got.push([topic, data])).ready
        await manager.send('added', 'sent')
      })
      await untilGot(page, 3)

      assert.deepEqual(await got(page), [['chat.general', { text: 'hi' }], ['orders.7', 7], ['added', 'sent']])
      assert.equal((await server.stats()).streams.open, 1)
    })
  }
}

describe('tabs of one browser', () => {
  test('eight of them have one connection, counted on the server, and each gets what it watches', async (t) => {
    const context = await user(t)
    const pages = []
    for (const n of numbers(1, 8)) pages.push(await tab(context, ['all', `own.${n}`]))
    await server.untilStreams(1)
    await server.publish({ topic: 'all', data: 'x' }, ...numbers(1, 8).map((n) => ({ topic: `own.${n}`, data: n })))
    for (const page of pages) await untilGot(page, 2)

    for (const [at, page] of pages.entries()) assert.deepEqual(await got(page), [['all', 'x'], [`own.${at + 1}`, at + 1]])
    assert.deepEqual(await Promise.all(pages.map(leads)), [true, ...Array(7).fill(false)])
  })

  for (const [how, end, id = () => undefined] of [
    ['is closed', (page) => page.close()],
    ["is closed, while events have publishers' ids", (page) => page.close(), (n) => `row-${n}`],
    ['goes to another page', (page) => page.goto('about:blank')],
    ['crashes', async (page) => {
      const gone = page.waitForEvent('crash')
      page.goto('chrome://crash').catch(() => {})
      await gone
    }],
  ]) {
    test(`the one with the connection ${how}: another takes over, and nothing is lost or doubled`, async (t) => {
      const context = await user(t)
      const [leader, ...others] = [await tab(context, ['news']), await tab(context, ['news', 'more']), await tab(context, ['news'])]
      const total = 300
      let published = 0
      const publishing = (async () => {
        for (const n of numbers(1, total)) {
          await server.publish({ topic: 'news', data: n, id: id(n) })
          published = n
        }
      })()
      await until('some were published', () => published > 50)
      await end(leader)
      await publishing
      for (const page of others) await untilGot(page, total)

      for (const page of others) assert.deepEqual(await data(page), numbers(1, total))
      assert.equal((await Promise.all(others.map(leads))).filter(Boolean).length, 1)
      await server.untilStreams(1)
    })
  }

  // A headless Chromium never freezes a page, so that the events here are the test's own.
  test('the one with the connection is frozen: another takes over, and it joins again when it thaws', async (t) => {
    const context = await user(t)
    const [leader, other] = [await tab(context, ['news']), await tab(context, ['news'])]
    await leader.evaluate(() => document.dispatchEvent(new Event('freeze')))
    await until('it leads', () => leads(other))
    await server.publish({ topic: 'news', data: 1 })
    await untilGot(other, 1)
    await leader.evaluate(() => document.dispatchEvent(new Event('resume')))
    await untilGot(leader, 1)
    await server.publish({ topic: 'news', data: 2 })
    for (const page of [leader, other]) await untilGot(page, 2)

    for (const page of [leader, other]) assert.deepEqual(await data(page), [1, 2])
    await server.untilStreams(1)
  })

  test('another one is frozen while events come: it gets them when it thaws', async (t) => {
    const context = await user(t)
    const [leader, other] = [await tab(context, ['news']), await tab(context, ['news'])]
    await other.evaluate(() => document.dispatchEvent(new Event('freeze')))
    await server.publish({ topic: 'news', data: 1 })
    await untilGot(leader, 1)
    await other.evaluate(() => document.dispatchEvent(new Event('resume')))
    await untilGot(other, 1)
    await server.publish({ topic: 'news', data: 2 })
    for (const page of [leader, other]) await untilGot(page, 2)

    for (const page of [leader, other]) assert.deepEqual(await data(page), [1, 2])
  })

  test('the one with the connection answers no more: a tab that can be seen takes it, and it follows later', async (t) => {
    const context = await user(t)
    const [leader, other] = [await tab(context, ['news']), await tab(context, ['news'])]
    const session = await context.newCDPSession(leader)
    await session.send('Debugger.enable')
    const paused = new Promise((resolve) => session.once('Debugger.paused', resolve))
    session.send('Runtime.evaluate', { expression: 'debugger' }).catch(() => {})
    await paused
    await server.publish({ topic: 'news', data: 1 })
    await other.evaluate(() => document.dispatchEvent(new Event('visibilitychange')))
    await until('it leads', () => leads(other))
    await server.publish({ topic: 'news', data: 2 })
    await untilGot(other, 2)
    await session.send('Debugger.resume')
    await until('the first follows', async () => !(await leads(leader)))
    await server.publish({ topic: 'news', data: 3 })
    for (const page of [leader, other]) await untilGot(page, 3)

    for (const page of [leader, other]) assert.deepEqual(await data(page), [1, 2, 3])
    await server.untilStreams(1)
  })

  test('one that is opened while events come gets all since its page was made', async (t) => {
    const context = await user(t)
    await tab(context, ['news'])
    const page = await context.newPage()
    await page.goto(`${server.url}/test/app/page.php`)
    await server.publish({ topic: 'news', data: 'since' })
    const cursor = await page.evaluate(() => page.cursor)
    await begin(page, ['news'], { lastEventId: cursor })
    await server.publish({ topic: 'news', data: 'now' })
    await untilGot(page, 2)

    assert.deepEqual(await data(page), ['since', 'now'])
    await server.untilStreams(1)
  })

  test('five that are opened at once while events come: each gets all since its page was made, once and in order', async (t) => {
    const context = await user(t)
    const total = 200
    let open = false
    const publishing = (async () => {
      for (const n of numbers(1, total)) {
        // The last ones when all are there, so that there is something to wait for.
        if (n === total) await until('all tabs are open', () => open)
        await server.publish({ topic: 'busy', data: n })
      }
    })()
    const pages = await Promise.all(numbers(1, 5).map(async () => {
      const page = await context.newPage()
      const [before] = await server.publish({ topic: 'mark', data: 0 })
      await page.goto(`${server.url}/test/app/page.php`)
      const cursor = await page.evaluate(() => page.cursor)
      await begin(page, ['busy'], { lastEventId: cursor })
      return { page, before, cursor }
    }))
    open = true
    await publishing
    for (const { page } of pages) await until('the last has come', async () => (await data(page)).at(-1) === total)

    for (const { page, before, cursor } of pages) {
      const all = await data(page)
      assert.ok(cursor >= before)
      assert.deepEqual(all, numbers(all[0], total))
      // Read again from its cursor by a client that shares nothing.
      const alone = await tab(await user(t), ['busy'], { lastEventId: cursor, session: undefined })
      await until('the last has come', async () => (await data(alone)).at(-1) === total)
      assert.deepEqual(await data(alone), all)
    }
    await server.untilStreams(6)
  })

  test('a topic that one is refused changes nothing for the others', async (t) => {
    const context = await user(t)
    const [first, second] = [await tab(context, ['news']), await tab(context, ['news'])]
    const refusal = await second.evaluate(() => manager.subscribe('secret.plans').ready.catch(({ message }) => message))
    await server.publish({ topic: 'news', data: 1 })
    for (const page of [first, second]) await untilGot(page, 1)

    assert.match(refusal, /403/)
    assert.equal((await happened(second, 'error')).length, 1)
    assert.equal((await happened(first, 'error')).length, 0)
  })

  test('those of another session have a connection of their own', async (t) => {
    const context = await user(t)
    await tab(context, ['news'])
    await tab(context, ['news'], { session: 'bob' })
    await server.untilStreams(2)
  })

  for (const [what, config] of [['share is false', { share: false }], ['there is no session', { session: undefined }]]) {
    test(`each has its own where ${what}`, async (t) => {
      const context = await user(t)
      for (const page of [await tab(context, ['news'], config), await tab(context, ['news'], config)]) assert.equal(await leads(page), true)
      await server.untilStreams(2)
    })
  }

  for (const missing of ['locks', 'BroadcastChannel']) {
    test(`each has its own where the browser has no ${missing}`, async (t) => {
      const context = await user(t)
      await context.addInitScript((missing) => {
        if (missing === 'locks') Object.defineProperty(Navigator.prototype, 'locks', { value: undefined })
        else delete window.BroadcastChannel
      }, missing)
      const pages = [await tab(context, ['news']), await tab(context, ['news'])]
      await server.untilStreams(2)
      await server.publish({ topic: 'news', data: 1 })
      for (const page of pages) await untilGot(page, 1)
    })
  }
})

describe('the page', () => {
  for (const transport of ['fetch', 'eventsource']) {
    test(`goes offline and comes back, by transport ${transport}: nothing is lost`, async (t) => {
      const context = await user(t)
      const page = await tab(context, ['news'], { transport })
      await server.publish({ topic: 'news', data: 1 })
      await untilGot(page, 1)
      await context.setOffline(true)
      await server.publish({ topic: 'news', data: 2 })
      await context.setOffline(false)
      await server.publish({ topic: 'news', data: 3 })
      await untilGot(page, 3)

      assert.deepEqual(await data(page), [1, 2, 3])
      await server.untilStreams(1)
    })
  }

  test('is loaded again: nothing is lost', async (t) => {
    const page = await tab(await user(t), ['news'])
    await server.publish({ topic: 'news', data: 1 })
    await untilGot(page, 1)
    await page.goto('about:blank')
    await server.untilStreams(0)
    await server.publish({ topic: 'news', data: 2 })
    await page.goto(`${server.url}/test/app/page.php`)
    await begin(page, ['news'])
    await untilGot(page, 1)

    assert.deepEqual(await data(page), [2])
  })

  test('is left and come back to: its stream ends and goes on', async (t) => {
    const page = await tab(await user(t), ['news'])
    await server.publish({ topic: 'news', data: 1 })
    await untilGot(page, 1)
    await page.evaluate(() => (window.same = true))
    await page.goto(`${server.url}/test/app/stats.php`)
    await server.untilStreams(0)
    await server.publish({ topic: 'news', data: 2 })
    await page.goBack()
    // Whether it was in the cache is the browser's affair.
    if (!(await page.evaluate(() => window.same === true))) await begin(page, ['news'])
    await until('it has come', async () => (await data(page)).at(-1) === 2)
    await server.untilStreams(1)
  })
})
