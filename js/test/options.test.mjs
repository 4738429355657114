// What a subscription, a listener and a manager can be made with.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { EventSource } from 'eventsource'
import { collect, managers } from './support/managers.mjs'
import { Server } from './support/server.mjs'
import { next, until, within } from './support/until.mjs'

let server
before(async () => {
  server = await Server.start()
})
after(() => server.stop())

const data = ({ data }) => data

describe('a subscription', () => {
  test('gets the events of its types only', async (t) => {
    const manager = managers(t)({ url: server.streamUrl })
    const [one, several, all] = [[], [], collect(manager, 'typed')]
    manager.subscribe('typed', (message) => one.push(data(message)), { type: 'said' })
    manager.subscribe('typed', (message) => several.push(data(message)), { type: ['message', 'left'] })
    await within('the stream', all.subscription.ready)
    await server.publish({ topic: 'typed', data: 1, event: 'said' }, { topic: 'typed', data: 2 }, { topic: 'typed', data: 3, event: 'left' })
    await until('all have come', () => all.length === 3)

    assert.deepEqual([one, several], [[1], [2, 3]])
  })

  test('ends with its first event where it is for one', async (t) => {
    const manager = managers(t)({ url: server.streamUrl })
    const got = []
    const once = manager.subscribe('once', (message) => got.push(data(message)), { once: true, type: 'this' })
    const all = collect(manager, 'once')
    await within('the stream', once.ready)
    await server.publish({ topic: 'once', data: 0 }, ...[1, 2].map((data) => ({ topic: 'once', data, event: 'this' })))
    await until('all have come', () => all.length === 3)

    assert.deepEqual(got, [1])
  })

  test('that is read by a loop ends with its first event where it is for one', async (t) => {
    const manager = managers(t)({ url: server.streamUrl })
    const once = manager.subscribe('looped', undefined, { once: true })
    await within('the stream', once.ready)
    await server.publish({ topic: 'looped', data: 1 }, { topic: 'looped', data: 2 })
    const got = []
    await within('the end', (async () => {
      for await (const message of once) got.push(data(message))
    })())

    assert.deepEqual(got, [1])
    await server.untilStreams(0)
  })

  test('ends when its signal is aborted, and is not asked for when it was before', async (t) => {
    const manager = managers(t)({ url: server.streamUrl })
    const abort = new AbortController()
    const aborted = manager.subscribe('aborted', () => {}, { signal: AbortSignal.abort() })
    await assert.rejects(within('its end', aborted.ready), /was ended/)
    const got = []
    const subscription = manager.subscribe('aborted', (message) => got.push(data(message)), { signal: abort.signal })
    const all = collect(manager, 'aborted')
    await within('the stream', subscription.ready)
    await server.publish({ topic: 'aborted', data: 1 })
    await until('it has come', () => got.length === 1)
    abort.abort()
    await server.publish({ topic: 'aborted', data: 2 })
    await until('all have come', () => all.length === 2)

    assert.deepEqual(got, [1])
  })

  test('and a manager are disposed of by using', async (t) => {
    const manager = managers(t)({ url: server.streamUrl })
    const [ended, kept] = [manager.subscribe('disposed', () => {}), manager.subscribe('kept', () => {})]
    await within('the stream', ended.ready)
    ended[Symbol.dispose]()
    kept[Symbol.dispose]()
    await server.untilStreams(0)
    assert.equal(manager.state, 'idle')
    manager[Symbol.dispose]()
    assert.equal(manager.state, 'closed')
  })
})

test('a listener is called once, or until its signal is aborted', async (t) => {
  const manager = managers(t)({ url: server.streamUrl })
  const abort = new AbortController()
  const told = []
  manager.once('message', (message) => told.push(['once', data(message)]))
  manager.on('message', (message) => told.push(['on', data(message)]), { once: true })
  manager.on('message', (message) => told.push(['signal', data(message)]), { signal: abort.signal })
  manager.on('message', (message) => told.push(['aborted', data(message)]), { signal: AbortSignal.abort() })
  const got = collect(manager, 'listened')
  await within('the stream', got.subscription.ready)
  await server.publish({ topic: 'listened', data: 1 }, { topic: 'listened', data: 2 })
  await until('both have come', () => got.length === 2)
  abort.abort()
  await server.publish({ topic: 'listened', data: 3 })
  await until('the last has come', () => got.length === 3)

  assert.deepEqual(told, [['once', 1], ['on', 1], ['signal', 1], ['signal', 2]])
})

test('more topics than a URL has room for are posted, and the stream goes on where it was after a break', async (t) => {
  const own = await Server.start({ 'sse.max_topics': 2000 })
  t.after(() => own.stop())
  own.settings['sse.history'] = `sqlite:${own.folder}/history.db`
  await own.kill()
  await own.run()
  const manager = managers(t)({ url: own.streamUrl, method: 'POST' })
  const got = []
  const topics = Array.from({ length: 1500 }, (_, at) => `a-topic-with-a-long-name.${at}`)
  const subscriptions = topics.map((topic) => manager.subscribe(topic, (message) => got.push([message.topic, data(message)])))
  await within('the stream', subscriptions[1499].ready)
  await own.publish({ topic: topics[1499], data: 1 })
  await until('it has come', () => got.length === 1)
  const gone = next(manager, 'reconnecting')
  await own.kill()
  await gone
  await own.run()
  await own.publish({ topic: topics[0], data: 2 })
  await until('the second has come', () => got.length === 2)

  assert.deepEqual(got, [[topics[1499], 1], [topics[0], 2]])
})

test('where there is no fetch, the topics of a POST are in the address, as the EventSource cannot post', async (t) => {
  const manager = managers(t)({ url: server.streamUrl, method: 'POST', environment: { EventSource, fetch: null } })
  const got = collect(manager, 'not-posted')
  await within('the stream', got.subscription.ready)
  await server.publish({ topic: 'not-posted', data: 1 })
  await until('it has come', () => got.length === 1)
})

test('debug tells each step, to a function or to the console', async (t) => {
  const steps = []
  const debug = (what, details) => steps.push([what, details])
  const manager = managers(t)({ url: server.streamUrl, debug })
  const lines = t.mock.method(console, 'debug', () => {}).mock
  const loud = managers(t)({ url: server.streamUrl, debug: true, transport: 'eventsource', environment: { EventSource } })
  const got = [collect(manager, 'debugged'), collect(loud, 'debugged')]
  await within('the streams', Promise.all(got.map(({ subscription }) => subscription.ready)))
  await server.publish({ topic: 'debugged', data: 1 })
  await until('it has come', () => got.every(({ length }) => length === 1))

  assert.match(steps.find(([what]) => what === 'asks for a stream')[1], /topics=debugged/)
  assert.ok(steps.some(([what]) => what === 'opened') && steps.some(([what]) => what === 'received'))
  assert.ok(lines.calls.some(({ arguments: [line] }) => line === 'SSEManager: opened'))
})
