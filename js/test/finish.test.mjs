// Topics that are finished: their streams end for good, and no client comes back.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { collect, managers } from './support/managers.mjs'
import { Server } from './support/server.mjs'
import { byTransport } from './support/transports.mjs'
import { next, until, within } from './support/until.mjs'

await byTransport((server, made) => {
  test('the last event ends the stream, loops and all, and the page is told', async (t) => {
    const manager = made(t)
    const told = []
    for (const name of ['finished', 'reconnecting', 'closed']) {
      manager.on(name, ({ topics, failure }) => told.push([name, topics ?? failure.status]))
    }
    const job = collect(manager, 'job.1')
    const loop = manager.subscribe('job.1')
    await within('the stream', Promise.all([job.subscription.ready, loop.ready]))
    await server.publish({ topic: 'job.1', data: 50 }, { topic: 'job.1', data: 100, finish: true })
    const seen = []
    await within('the loop ends', (async () => {
      for await (const { data } of loop) seen.push(data)
    })())
    await within('it is told', job.subscription.finished)
    await until('it is closed', () => manager.state === 'closed')

    assert.deepEqual([seen, [...job]], [[50, 100], [50, 100]])
    assert.deepEqual(told, [['finished', ['job.1']], ['closed', 204]])
    await server.untilStreams(0)
    assert.equal((await server.stats()).streams.closed.finished >= 1, true)
  })

  test('a topic that is finished does not end the others, and begins anew', async (t) => {
    const manager = made(t)
    const job = collect(manager, 'job.2')
    const news = collect(manager, 'news')
    await within('the stream', Promise.all([job.subscription.ready, news.subscription.ready]))
    await server.publish({ topic: 'job.2', data: 'end', finish: true })
    await within('it is told', job.subscription.finished)
    await server.publish({ topic: 'news', data: 1 }, { topic: 'job.2', data: 'again' })
    await until('all have come', () => job.length === 2 && news.length === 1)

    assert.deepEqual([[...job], [...news], manager.state], [['end', 'again'], [1], 'open'])
    const late = made(t)
    const second = collect(late, 'job.3')
    await server.publish({ topic: 'job.3', data: 'done', finish: true })
    await within('it is told', second.subscription.finished)
    assert.deepEqual([...second], ['done'])
  })

  test('a page that comes after the end gets the last event, once, and its stream ends for good', async (t) => {
    await server.publish({ topic: 'job.4', data: 1 }, { topic: 'job.4', data: 2, finish: true })
    const manager = made(t)
    const closed = next(manager, 'closed')
    const job = collect(manager, 'job.4')
    assert.equal((await closed).failure.status, 204)
    await within('it is told', job.subscription.finished)
    assert.deepEqual([...job], [2])
  })
})

test('a page that has the last event already is told by 204, once', async (t) => {
  const server = await Server.start()
  t.after(() => server.stop())
  const [lastEventId] = await server.publish({ topic: 'job', data: 1, finish: true })
  const manager = managers(t)({ url: server.streamUrl, transport: 'fetch', lastEventId })
  const { subscription } = collect(manager, 'job')
  await within('it is told', subscription.finished)
  await until('it is closed', () => manager.state === 'closed')
  assert.equal((await server.stats()).finished.answered, 1)
})
