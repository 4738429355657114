// Pages behind a real nginx that breaks connections, stops to answer or holds streams back, in each browser.
import assert from 'node:assert/strict'
import { test as limitless } from 'node:test'
import { data, happened, inEach } from './support/browsers.mjs'
import { numbers } from './support/numbers.mjs'
import { Proxy } from './support/proxy.mjs'
import { Server } from './support/server.mjs'
import { until } from './support/until.mjs'

// What a page is asked has no time limit of its own; without one here the whole file would end, and no test be named.
const test = (name, run) => limitless(name, { timeout: 150_000 }, run)

// Each waits most of the time, and counts the streams of a server of its own.
inEach('behind a proxy', { concurrency: 3 }, (site) => {
  /** A server, a proxy, and a tab behind it, or several. */
  const behind = async (t, { count = 1, isFree = true, ...config }) => {
    const server = await Server.start()
    t.after(() => server.stop())
    const proxy = await Proxy.start(server.url)
    t.after(() => proxy.stop())
    if (isFree) proxy.free()
    const user = await site.user(t)
    const pages = []
    while (pages.length < count) pages.push(await site.tab(user, ['news'], config, '', proxy.url))
    return { server, proxy, pages }
  }
  /** Publishes so many more numbers. */
  const publisher = (server) => {
    let published = 0
    return async (count) => {
      for (const n of numbers(published + 1, published + count)) await server.publish({ topic: 'news', data: n })
      published += count
      return published
    }
  }
  const untilLast = (page, last) => until(`${last} has come`, async () => (await data(page)).at(-1) === last)

  for (const transport of ['fetch', 'eventsource']) {
    test(`whose connections break, by transport ${transport}: nothing is lost or doubled, and the browser's own EventSource goes on, too`, async (t) => {
      const { server, proxy, pages: [page, other] } = await behind(t, { transport, count: 2 })
      await page.evaluate(async () => {
        window.native = { got: [], errors: 0, opens: 0 }
        window.source = new EventSource('/test/app/stream.php?topics=news')
        source.onmessage = ({ data }) => native.got.push(JSON.parse(data))
        source.onerror = () => native.errors++
        await new Promise((resolve) => {
          source.onopen = () => {
            native.opens++
            resolve()
          }
        })
      })
      const native = () => page.evaluate(() => native)
      const publish = publisher(server)
      for (const round of [1, 2]) {
        await publish(5)
        const { errors } = await native()
        const before = (await happened(page, 'reconnecting')).length
        await proxy.end()
        await publish(5)
        await until('both have come back in vain', async () => (await native()).errors > errors + 1 && (await happened(page, 'reconnecting')).length > before + 1)
        await proxy.again()
        const last = await publish(5)
        for (const one of [page, other]) await untilLast(one, last)
        await until('it is open again', async () => (await native()).opens > round)
        await until(`${last} has come to EventSource`, async () => (await native()).got.at(-1) === last)
      }

      for (const one of [page, other]) assert.deepEqual(await data(one), numbers(1, 30))
      assert.deepEqual((await native()).got, numbers(1, 30))
      await server.untilStreams(2)
    })
  }

  test('that stops to answer: the missing heartbeat ends the stream, and nothing is lost or doubled', async (t) => {
    const url = '/test/app/stream.php?heartbeat=1'
    const { server, proxy, pages: [page, other] } = await behind(t, { url, heartbeatTimeout: 3000, openTimeout: 3000, count: 2 })
    const publish = publisher(server)
    await publish(5)
    const before = (await happened(page, 'reconnecting')).length
    proxy.halt()
    await publish(5)
    await until('the stream was given up', async () => (await happened(page, 'reconnecting')).length > before)
    proxy.goOn()
    const last = await publish(5)
    for (const one of [page, other]) await untilLast(one, last)

    for (const one of [page, other]) assert.deepEqual(await data(one), numbers(1, 15))
    await server.untilStreams(1)
  })

  for (const [way, fallback] of [['short', ['short', 'poll']], ['poll', ['poll']]]) {
    test(`that holds streams back: events come by the way '${way}' to all tabs, and by a stream again when it holds nothing any more`, async (t) => {
      const quick = { firstBytesTimeout: 1000, openTimeout: 1000, shortLifetime: 1000, pollLifetime: 2000, fallbackTime: 3000 }
      const { server, proxy, pages } = await behind(t, { ...quick, fallback, count: 2, isFree: false })
      const untilWay = (way) => Promise.all(pages.map((page) => until(`the way is '${way}'`, () => page.evaluate((way) => manager.way === way, way))))
      await untilWay(way)
      const publish = publisher(server)
      for (const _ of [1, 2]) {
        const last = await publish(5)
        for (const page of pages) await untilLast(page, last)
      }
      proxy.free()
      await untilWay('stream')
      const last = await publish(5)
      for (const page of pages) await untilLast(page, last)

      for (const page of pages) {
        assert.deepEqual(await data(page), numbers(1, last))
        assert.ok((await happened(page, 'degraded')).length > 0)
        assert.equal((await happened(page, 'closed')).length, 0)
      }
      await server.untilStreams(1)
    })
  }

  test('where a token runs out: a 401 asks headers() once more, each time the stream breaks', async (t) => {
    const { server, proxy, pages: [page] } = await behind(t, {})
    await page.evaluate(async () => {
      window.asked = []
      window.secrets = []
      const headers = async ({ renew }) => {
        asked.push(renew)
        return { Authorization: renew ? 'Bearer of-the-test' : 'Bearer of-yesterday' }
      }
      window.signed = new SSEManager({ url: '/test/app/stream.php', headers, retry: 100 })
      signed.on('closed', ({ failure }) => secrets.push(failure))
      await signed.subscribe('private.news', ({ data }) => secrets.push(data)).ready
    })
    const publish = (n) => server.publish({ topic: 'private.news', data: n })
    const secrets = () => page.evaluate(() => secrets)
    await publish(1)
    await until('it has come', async () => (await secrets()).length === 1)
    await proxy.end()
    await publish(2)
    await proxy.again()
    await publish(3)
    await until('all have come', async () => (await secrets()).length === 3)

    assert.deepEqual(await secrets(), [1, 2, 3])
    const asked = await page.evaluate(() => asked)
    // What found no proxy was not answered by a 401.
    assert.deepEqual([asked.slice(0, 2), asked.slice(-2), asked.filter(Boolean).length], [[false, true], [false, true], 2])
  })
})
