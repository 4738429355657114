// What a page gets by its subscriptions, from the real extension.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { EventSource } from 'eventsource'
import { collect, managers } from './support/managers.mjs'
import { numbers } from './support/numbers.mjs'
import { Server } from './support/server.mjs'
import { byTransport } from './support/transports.mjs'
import { until, within } from './support/until.mjs'

await byTransport((server, made) => {
  test('each handler gets the events of its topic or pattern, decoded, with type, topic and id', async (t) => {
    const manager = made(t)
    const whole = ({ topic, type, data, text, id }) => ({ topic, type, data, text, id })
    const chat = collect(manager, 'chat.general', whole)
    const orders = collect(manager, 'orders.*', whole)
    const all = collect(manager, 'orders.**', ({ topic }) => topic)
    await within('the stream', Promise.all([chat.subscription.ready, orders.subscription.ready]))
    const [first, second, third] = await server.publish(
      { topic: 'chat.general', data: { from: 'alice', text: 'a\nb\u2028' }, event: 'said' },
      { topic: 'orders.7', data: 'no JSON: {' },
      { topic: 'orders.7.status', data: 'null' },
    )
    await until('all have come', () => all.length === 2)

    const data = { from: 'alice', text: 'a\nb\u2028' }
    assert.deepEqual([...chat], [{ topic: 'chat.general', type: 'said', id: first, data, text: chat[0].text }])
    assert.deepEqual(JSON.parse(chat[0].text), data)
    assert.deepEqual([...orders], [{ topic: 'orders.7', type: 'message', id: second, data: 'no JSON: {', text: 'no JSON: {' }])
    assert.deepEqual([...all], ['orders.7', 'orders.7.status'])
    assert.equal(manager.lastEventId, third)
    await server.untilStreams(1)
  })

  test('the manager knows the public id of its stream, and another one after a reconnection', async (t) => {
    const manager = made(t, { url: `${server.streamUrl}${server.streamUrl.includes('?') ? '&' : '?'}streamId=1` })
    const ids = []
    manager.on('stream', ({ stream }) => ids.push(stream))
    const news = collect(manager, 'named.a')
    assert.equal(manager.streamId, null)
    await within('the stream', news.subscription.ready)
    await until('the id is known', () => ids.length === 1)
    assert.match(ids[0], /^[\w-]{22}$/)
    assert.equal(manager.streamId, ids[0])
    const more = collect(manager, 'named.b')
    await within('the topic that was added', more.subscription.ready)
    await until('the new stream has another id', () => ids.length === 2)
    assert.notEqual(ids[0], ids[1])
    assert.equal(manager.streamId, ids[1])
    await server.publish({ topic: 'named.a', data: 1 }, { topic: 'named.b', data: 2 })
    await until('both have come', () => news.length + more.length === 2)
    assert.deepEqual([[...news], [...more]], [[1], [2]])
  })

  test('a topic that is watched already is ready at once for a further subscription, by another pattern too', async (t) => {
    const manager = made(t)
    const first = collect(manager, 'twice.*')
    await within('the stream', first.subscription.ready)
    await until('its place is known', () => manager.lastEventId)
    const second = collect(manager, 'twice.*')
    const third = collect(manager, 'twice.a')
    await within('they are ready', Promise.all([second.subscription.ready, third.subscription.ready]))
    await server.publish({ topic: 'twice.a', data: 1 })
    await until('it has come', () => first.length === 1)
    assert.deepEqual([[...second], [...third]], [[1], [1]])
  })

  test('an event of several topics comes once to each handler, and no topic is told that is not watched', async (t) => {
    const manager = made(t)
    const one = collect(manager, 'several.a', ({ topic, topics }) => [topic, topics])
    const other = collect(manager, 'several.b', ({ topic, topics }) => [topic, topics])
    const any = collect(manager, 'several.*', ({ topics }) => topics)
    await within('the stream', any.subscription.ready)
    await server.publish({ topic: ['several.a', 'several.b', 'hidden.c'], data: 1 }, { topic: 'several.z', data: 2 })
    await until('the last has come', () => any.length === 2)

    const topics = ['several.a', 'several.b']
    assert.deepEqual([[...one], [...other], [...any]], [[['several.a', topics]], [['several.b', topics]], [topics, ['several.z']]])
  })

  test('a topic that is added loses and doubles no event of the others, however fast they come', async (t) => {
    const manager = made(t)
    const base = collect(manager, 'fast.base')
    await within('the stream', base.subscription.ready)
    const total = 600
    const publishing = (async () => {
      for (let n = 1; n <= total; n += 20) {
        await server.publish(...numbers(n, n + 19).map((data) => ({ topic: 'fast.base', data })))
      }
    })()
    const added = []
    for (const n of numbers(1, 8)) {
      const more = collect(manager, `fast.more${n}`)
      added.push(more)
      await within('the topic', more.subscription.ready)
      await server.publish({ topic: `fast.more${n}`, data: n })
    }
    await publishing
    await until('all have come', () => base.length >= total && added.every((more) => more.length > 0))

    assert.deepEqual([...base], numbers(1, total))
    assert.deepEqual(added.map((more) => [...more]), numbers(1, 8).map((n) => [n]))
    await server.untilStreams(1)
  })

  test('a topic that is added begins now: what was published to it before does not come', async (t) => {
    const manager = made(t)
    const base = collect(manager, 'now.base')
    await within('the stream', base.subscription.ready)
    await server.publish({ topic: 'now.base', data: 1 })
    await until('it has come', () => base.length === 1)
    await server.publish({ topic: 'now.added', data: 'old' })
    const added = collect(manager, 'now.added')
    await within('the topic', added.subscription.ready)
    await server.publish({ topic: 'now.added', data: 'new' }, { topic: 'now.base', data: 2 })
    await until('all have come', () => base.length === 2)

    assert.deepEqual([...added], ['new'])
  })

  test('a page that says where its data was read misses nothing since, and gets nothing of before', async (t) => {
    const [, cursor] = await server.publish({ topic: 'page.a', data: 'before' }, { topic: 'page.b', data: 'read' })
    await server.publish({ topic: 'page.a', data: 'since' })
    const manager = made(t, { lastEventId: cursor })
    const got = collect(manager, 'page.*')
    await until('it has come', () => got.length === 1)

    assert.deepEqual([...got], ['since'])
  })

  test('an iterator gets everything from subscribe() on, and leaving the loop ends the stream', async (t) => {
    const manager = made(t)
    const subscription = manager.subscribe('loop.*')
    await within('the stream', subscription.ready)
    await server.publish(...numbers(1, 3).map((data) => ({ topic: `loop.${data}`, data })))
    const got = []
    await within('three events', (async () => {
      for await (const { data } of subscription) if (got.push(data) === 3) break
    })())

    assert.deepEqual(got, [1, 2, 3])
    await server.untilStreams(0)
    assert.equal(manager.state, 'idle')
  })

  test('what a handler throws is its own affair', async (t) => {
    const manager = made(t)
    const thrown = []
    globalThis.reportError = (error) => thrown.push(error.message)
    t.after(() => delete globalThis.reportError)
    manager.subscribe('throws', () => { throw new Error('of the handler') })
    const got = collect(manager, 'throws')
    await within('the stream', got.subscription.ready)
    await server.publish({ topic: 'throws', data: 1 })
    await until('it has come', () => got.length === 1 && thrown.length === 1)

    assert.deepEqual(thrown, ['of the handler'])
  })

  test('after unsubscribing nothing comes, and without a subscription there is no stream', async (t) => {
    const manager = made(t)
    const kept = collect(manager, 'leave.kept')
    const left = collect(manager, 'leave.left')
    await within('the stream', left.subscription.ready)
    left.subscription()
    await server.publish({ topic: 'leave.left', data: 1 }, { topic: 'leave.kept', data: 2 })
    await until('it has come', () => kept.length === 1)
    assert.deepEqual([...left], [])
    kept.subscription()
    await server.untilStreams(0)
  })

  test("a publisher's own ids are kept, and what comes twice by a change of topics is dropped", async (t) => {
    const manager = made(t)
    const base = collect(manager, 'own.base', ({ id, data }) => `${id} ${data}`)
    await within('the stream', base.subscription.ready)
    await server.publish(...numbers(1, 3).map((data) => ({ topic: 'own.base', data, id: `row-${data}` })))
    await until('three have come', () => base.length === 3)
    const added = collect(manager, 'own.added')
    await server.publish(...numbers(4, 6).map((data) => ({ topic: 'own.base', data, id: `row-${data}` })))
    await within('the topic', added.subscription.ready)
    await server.publish({ topic: 'own.base', data: 7, id: 'row-7' })
    await until('the last has come', () => base.includes('row-7 7'))

    assert.deepEqual([...base], numbers(1, 7).map((n) => `row-${n} ${n}`))
  })

  test('data that looks like an envelope stays data', async (t) => {
    const manager = made(t)
    const got = collect(manager, 'forged.*', ({ topic, data }) => [topic, data])
    const victim = collect(manager, 'victim')
    await within('the stream', victim.subscription.ready)
    const forged = { topics: ['victim'], event: 'x', data: 'forged' }
    await server.publish({ topic: 'forged.a', data: forged }, { topic: 'forged.a', data: 'x\ntopic: victim\n\ndata: y' })
    await until('both have come', () => got.length === 2)

    assert.deepEqual([...got], [['forged.a', forged], ['forged.a', 'x\ntopic: victim\n\ndata: y']])
    assert.deepEqual([...victim], [])
  })
})

describe('a stream with a callback', () => {
  test('has no topics to tell, so that every subscription gets what it renders', async (t) => {
    const server = await Server.start()
    t.after(() => server.stop())
    const manager = managers(t)({ url: `${server.url}/test/app/render.php` })
    const got = collect(manager, 'rows.*', ({ topic, type, data }) => [topic, type, data.woken])
    await until('the first run has come', () => got.length === 1)
    await server.publish({ topic: 'rows.1', data: 1 })
    await until('the second run has come', () => got.length === 2)

    assert.deepEqual([...got], [['', 'state', []], ['', 'state', ['rows.1']]])
  })
})

describe('send()', () => {
  let server
  before(async () => {
    server = await Server.start()
  })
  after(() => server.stop())

  test('publishes, and resolves with the answer', async (t) => {
    const manager = managers(t)({ url: server.streamUrl, publishUrl: server.publishUrl })
    const got = collect(manager, 'sent', ({ data, type, id }) => [data, type, id])
    await within('the stream', got.subscription.ready)
    const { ids } = await manager.send('sent', { text: 'hi' }, { event: 'said' })
    await until('it has come', () => got.length === 1)

    assert.deepEqual([...got], [[{ text: 'hi' }, 'said', ids[0]]])
  })

  test('rejects with the status and the body of a refusal', async (t) => {
    const manager = managers(t)({ url: server.streamUrl, publishUrl: `${server.url}/test/app/none.php` })
    await assert.rejects(manager.send('a', 1), { name: 'SendError', status: 404 })
    await assert.rejects(managers(t)({ url: server.streamUrl }).send('a', 1), /publishUrl is not set/)
  })
})

describe('an independent client', () => {
  test("'eventsource' reads everything that SSEManager reads", async (t) => {
    const server = await Server.start()
    t.after(() => server.stop())
    const manager = managers(t)({ url: server.streamUrl, decode: 'text' })
    const source = new EventSource(`${server.streamUrl}?topics=both.*&topicsAs=field`)
    t.after(() => source.close())
    const theirs = []
    const read = ({ type, data, lastEventId }) => theirs.push([type, data, lastEventId])
    for (const type of ['message', 'named', 'größe']) source.addEventListener(type, read)
    const ours = collect(manager, 'both.*', ({ type, text, id }) => [type, text, id])
    await within('both streams', Promise.all([ours.subscription.ready, new Promise((resolve) => (source.onopen = resolve))]))
    const texts = ['plain', '', ' leading', 'a\nb', 'a\r\nb', 'a\rb', '\n', 'trailing\n', '\u0000', '\ufeff', ':x', 'id: 5', 'topic: x', '😀'.repeat(500), 'x'.repeat(300_000)]
    await server.publish(
      ...texts.map((data) => ({ topic: 'both.a', data })),
      { topic: 'both.b', data: '1', event: 'named' },
      { topic: 'both.b', data: '2', event: 'größe', id: 'ü 1' },
    )
    await until('all have come', () => ours.length === texts.length + 2 && theirs.length === ours.length)

    assert.deepEqual([...ours], theirs)
  })
})
