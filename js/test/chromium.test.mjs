// What only Chromium's own protocol can do to a page: crash it, halt it, take it offline; and a thousand EventSources.
import assert from 'node:assert/strict'
import { test as limitless } from 'node:test'
import { data, inChromium, leads, takeOver, untilGot } from './support/browsers.mjs'
import { until } from './support/until.mjs'

// What a page is asked has no time limit of its own; without one here the whole file would end, and no test be named.
const test = (name, run) => limitless(name, { timeout: 150_000 }, run)

inChromium('a tab', (site) => {
  test('the one with the connection crashes: another takes over, and nothing is lost or doubled', async (t) => {
    await takeOver(site, t, async (page) => {
      const gone = page.waitForEvent('crash')
      page.goto('chrome://crash').catch(() => {})
      await gone
    })
  })

  test('the one with the connection answers no more: a tab that can be seen takes it, and it follows later', async (t) => {
    const context = await site.user(t)
    const [leader, other] = [await site.tab(context, ['news']), await site.tab(context, ['news'])]
    const session = await context.newCDPSession(leader)
    await session.send('Debugger.enable')
    const paused = new Promise((resolve) => session.once('Debugger.paused', resolve))
    session.send('Runtime.evaluate', { expression: 'debugger' }).catch(() => {})
    await paused
    await site.server.publish({ topic: 'news', data: 1 })
    await other.evaluate(() => document.dispatchEvent(new Event('visibilitychange')))
    await until('it leads', () => leads(other))
    await site.server.publish({ topic: 'news', data: 2 })
    await untilGot(other, 2)
    await session.send('Debugger.resume')
    await until('the first follows', async () => !(await leads(leader)))
    await site.server.publish({ topic: 'news', data: 3 })
    for (const page of [leader, other]) await untilGot(page, 3)

    for (const page of [leader, other]) assert.deepEqual(await data(page), [1, 2, 3])
    await site.server.untilStreams(1)
  })

  for (const missing of ['locks', 'BroadcastChannel']) {
    test(`each has its own where the browser has no ${missing}`, async (t) => {
      const context = await site.user(t)
      await context.addInitScript((missing) => {
        if (missing === 'locks') Object.defineProperty(Navigator.prototype, 'locks', { value: undefined })
        else delete window.BroadcastChannel
      }, missing)
      const pages = [await site.tab(context, ['news']), await site.tab(context, ['news'])]
      await site.server.untilStreams(2)
      await site.server.publish({ topic: 'news', data: 1 })
      for (const page of pages) await untilGot(page, 1)
    })
  }

  for (const transport of ['fetch', 'eventsource']) {
    test(`goes offline and comes back, by transport ${transport}: nothing is lost`, async (t) => {
      const context = await site.user(t)
      const page = await site.tab(context, ['news'], { transport })
      await site.server.publish({ topic: 'news', data: 1 })
      await untilGot(page, 1)
      await context.setOffline(true)
      await site.server.publish({ topic: 'news', data: 2 })
      await context.setOffline(false)
      await site.server.publish({ topic: 'news', data: 3 })
      await untilGot(page, 3)

      assert.deepEqual(await data(page), [1, 2, 3])
      await site.server.untilStreams(1)
    })
  }

  test("a thousand of the browser's own EventSources get the last event of a finished topic, come back once, and stop at the 204", async (t) => {
    // Of one user Chromium has no more than 256 connections, and six to a host.
    const [users, hosts, each] = [5, 40, 5]
    const pages = await Promise.all(Array.from({ length: users }, async () => (await site.user(t)).newPage()))
    for (const page of pages) {
      await page.goto(`${site.server.url}/test/app/page.php`)
      await page.evaluate(([port, hosts, each]) => {
        const url = (at) => `http://host${at % hosts}.localhost:${port}/test/app/stream.php?topics=finished.job&anyOrigin`
        window.sources = Array.from({ length: hosts * each }, (_, at) => new EventSource(url(at)))
        window.seen = sources.map(() => [])
        sources.forEach((source, at) => {
          source.onmessage = ({ data }) => seen[at].push(data)
        })
      }, [site.server.port, hosts, each])
    }
    const are = (state) => async () => {
      const all = pages.map((page) => page.evaluate((state) => sources.every(({ readyState }) => readyState === state), state))
      return (await Promise.all(all)).every(Boolean)
    }
    await until('all are open', are(1))
    const before = (await site.server.stats()).finished.answered
    await site.server.publish({ topic: 'finished.job', data: 'half' }, { topic: 'finished.job', data: 'all', finish: true })
    await until('all have stopped', are(2))

    for (const page of pages) assert.deepEqual(await page.evaluate(() => seen), Array(hosts * each).fill(['half', 'all']))
    assert.equal((await site.server.stats()).finished.answered - before, users * hosts * each)
  })
})
