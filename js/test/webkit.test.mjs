// What WebKit does with a window that can't be seen, and with a finished topic; the rest of WebKit's tests is in those of all browsers.
import assert from 'node:assert/strict'
import { test as limitless } from 'node:test'
import { data, inWebKit, leads, untilGot } from './support/browsers.mjs'
import { numbers } from './support/numbers.mjs'
import { until } from './support/until.mjs'

const test = (name, run) => limitless(name, { timeout: 150_000 }, run)

inWebKit('a page', (site) => {
  test('the one with the connection is hidden: events come to it and to the other, and go on when it can be seen again', async (t) => {
    const user = await site.user(t)
    const [leader, other] = [await site.tab(user, ['news']), await site.tab(user, ['news'])]
    const publish = async (from, to) => {
      for (const n of numbers(from, to)) await site.server.publish({ topic: 'news', data: n })
    }
    await leader.hide()
    await publish(1, 100)
    for (const page of [leader, other]) await untilGot(page, 100)
    await leader.show()
    await publish(101, 110)
    for (const page of [leader, other]) await untilGot(page, 110)

    for (const page of [leader, other]) assert.deepEqual(await data(page), numbers(1, 110))
    assert.deepEqual([await leads(leader), await leads(other)], [true, false])
    await site.server.untilStreams(1)
  })

  test("WebKit's own EventSources get the last event of a finished topic once, come back once, and stop at the 204", async (t) => {
    const page = await site.tab(await site.user(t), ['finished.job'])
    await page.evaluate(async () => {
      window.sources = Array.from({ length: 4 }, () => new EventSource('/test/app/stream.php?topics=finished.job'))
      window.lists = sources.map(() => [])
      await Promise.all(sources.map((source, at) => new Promise((resolve) => {
        source.onopen = resolve
        source.onmessage = ({ data }) => lists[at].push(data)
      })))
    })
    const { answered } = (await site.server.stats()).finished
    await site.server.publish({ topic: 'finished.job', data: 'half' }, { topic: 'finished.job', data: 'all', finish: true })
    await until('all have stopped', () => page.evaluate(() => sources.every(({ readyState }) => readyState === 2)))

    assert.deepEqual(await page.evaluate(() => lists), Array(4).fill(['half', 'all']))
    assert.deepEqual(await data(page), ['half', 'all'])
    assert.equal((await site.server.stats()).finished.answered - answered, 4)
    await site.server.untilStreams(0)
  })
})
