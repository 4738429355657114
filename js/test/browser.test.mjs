// The same in real browsers, and what only a browser has.
import assert from 'node:assert/strict'
import { test as limitless } from 'node:test'
import { begin, data, got, inEach, untilGot } from './support/browsers.mjs'
import { until } from './support/until.mjs'

// What a page is asked has no time limit of its own; without one here the whole file would end, and no test be named.
const test = (name, run) => limitless(name, { timeout: 150_000 }, run)

inEach('a page', {}, (site) => {
  for (const [build, query] of [['the module', ''], ['the plain script', '?script=plain']]) {
    for (const transport of ['fetch', 'eventsource']) {
      test(`${build} by transport ${transport}: topics, patterns, sending, a topic that is added`, async (t) => {
        const page = await site.tab(await site.user(t), ['chat.general', 'orders.*'], { transport }, query)
        await site.server.publish({ topic: 'chat.general', data: { text: 'hi' }, event: 'said' }, { topic: 'orders.7', data: 7 })
        await untilGot(page, 2)
        await page.evaluate(async () => {
          await manager.subscribe('added', ({ topic, data }) => got.push([topic, data])).ready
          await manager.send('added', 'sent')
        })
        await untilGot(page, 3)

        assert.deepEqual(await got(page), [['chat.general', { text: 'hi' }], ['orders.7', 7], ['added', 'sent']])
        await site.server.untilStreams(1)
      })
    }
  }

  test('is loaded again: nothing is lost', async (t) => {
    const page = await site.tab(await site.user(t), ['news'])
    await site.server.publish({ topic: 'news', data: 1 })
    await untilGot(page, 1)
    await page.goto('about:blank')
    await site.server.untilStreams(0)
    await site.server.publish({ topic: 'news', data: 2 })
    await page.goto(`${site.server.url}/test/app/page.php`)
    await begin(page, ['news'])
    await untilGot(page, 1)

    assert.deepEqual(await data(page), [2])
  })

  test('is left and come back to: its stream ends and goes on', async (t) => {
    const page = await site.tab(await site.user(t), ['news'])
    await site.server.publish({ topic: 'news', data: 1 })
    await untilGot(page, 1)
    await page.evaluate(() => (window.same = true))
    await page.goto(`${site.server.url}/test/app/stats.php`)
    await site.server.untilStreams(0)
    await site.server.publish({ topic: 'news', data: 2 })
    await page.goBack()
    // Whether it was in the cache is the browser's affair.
    if (!(await page.evaluate(() => window.same === true))) await begin(page, ['news'])
    await until('it has come', async () => (await data(page)).at(-1) === 2)
    await site.server.untilStreams(1)
  })
})
