// What the client does when something breaks: the real extension where it can, a server of faults where it can't.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Faults, status, stream } from './support/faults.mjs'
import { collect, managers } from './support/managers.mjs'
import { Server } from './support/server.mjs'
import { next, until, within } from './support/until.mjs'

describe('the server goes away', () => {
  test('with its hub, and comes back: what was published meanwhile arrives, once and in order', async (t) => {
    const server = await Server.start()
    t.after(() => server.stop())
    server.settings['sse.history'] = `sqlite:${server.folder}/history.db`
    await server.kill()
    await server.run()
    const manager = managers(t)({ url: server.streamUrl })
    const got = collect(manager, 'a.*')
    await within('the stream', got.subscription.ready)
    await server.publish({ topic: 'a.1', data: 1 })
    await until('the first has come', () => got.length === 1)
    const reconnecting = next(manager, 'reconnecting')
    await server.kill()
    const { failure } = await reconnecting
    const open = next(manager, 'open')
    await server.run()
    await server.publish({ topic: 'a.1', data: 2 }, { topic: 'a.2', data: 3 })
    await open
    await server.publish({ topic: 'a.1', data: 4 })
    await until('all have come', () => got.length === 4)

    assert.deepEqual([...got], [1, 2, 3, 4])
    assert.equal(failure.final, false)
    assert.equal(manager.state, 'open')
  })

  test('before any event has come: nothing that is published until it is back is lost', async (t) => {
    const server = await Server.start()
    t.after(() => server.stop())
    server.settings['sse.history'] = `sqlite:${server.folder}/history.db`
    await server.kill()
    await server.run()
    await server.publish({ topic: 'b', data: 'before' })
    const manager = managers(t)({ url: server.streamUrl })
    const got = collect(manager, 'b')
    await within('the stream', got.subscription.ready)
    await until('its place is known', () => manager.lastEventId)
    const gone = next(manager, 'reconnecting')
    await server.kill()
    await gone
    await server.run()
    await server.publish({ topic: 'b', data: 'meanwhile' })
    await until('it has come', () => got.length === 1)

    assert.deepEqual([...got], ['meanwhile'])
  })

  test('and has forgotten what was missed: the page is told of the gap, once', async (t) => {
    const server = await Server.start()
    t.after(() => server.stop())
    const manager = managers(t)({ url: server.streamUrl })
    const gaps = []
    manager.on('gap', (gap) => gaps.push(gap))
    const got = collect(manager, 'c')
    await within('the stream', got.subscription.ready)
    const [id] = await server.publish({ topic: 'c', data: 1 })
    await until('the first has come', () => got.length === 1)
    for (const data of [2, 3]) {
      const open = next(manager, 'open')
      await server.kill()
      await server.run()
      await open
      await server.publish({ topic: 'c', data })
      await until('it has come', () => got.at(-1) === data)
    }

    assert.deepEqual([...got], [1, 2, 3])
    assert.equal(gaps.length, 2)
    assert.deepEqual(gaps[0], { requested: id, oldest: null })
  })

  test('while nothing is subscribed: what is subscribed later begins then, and misses nothing', async (t) => {
    const server = await Server.start()
    t.after(() => server.stop())
    const manager = managers(t)({ url: server.streamUrl })
    const gaps = []
    manager.on('gap', (gap) => gaps.push(gap))
    const before = collect(manager, 'd')
    await within('the stream', before.subscription.ready)
    await server.publish({ topic: 'd', data: 1 })
    await until('it has come', () => before.length === 1)
    before.subscription()
    await server.untilStreams(0)
    await server.kill()
    await server.run()
    await server.publish({ topic: 'd', data: 2 })
    const after = collect(manager, 'd')
    await within('the stream', after.subscription.ready)
    await server.publish({ topic: 'd', data: 3 })
    await until('it has come', () => after.length > 0)

    assert.deepEqual([[...before], [...after], gaps], [[1], [3], []])
  })

  test('heartbeats keep a silent stream alive', async (t) => {
    const server = await Server.start()
    t.after(() => server.stop())
    const manager = managers(t)({ url: `${server.streamUrl}?heartbeat=1`, heartbeatTimeout: 6000 })
    await within('the stream', manager.subscribe('quiet').ready)
    await until('many heartbeats were sent', async () => (await server.stats()).heartbeats >= 8)

    assert.equal((await server.stats()).streams.opened, 1)
  })
})

describe('the server refuses', () => {
  test('a topic that is added: the others go on, and the page is told', async (t) => {
    const server = await Server.start()
    t.after(() => server.stop())
    const manager = managers(t)({ url: server.streamUrl })
    const got = collect(manager, 'mine')
    await within('the stream', got.subscription.ready)
    const error = next(manager, 'error')
    const secret = manager.subscribe('secret.plans')
    await assert.rejects(within('the refusal', secret.ready), /403/)
    const { topics, failure } = await error
    await server.publish({ topic: 'mine', data: 1 })
    await until('it has come', () => got.length === 1)
    const other = collect(manager, 'mine.too')
    await within('another topic', other.subscription.ready)

    assert.deepEqual([topics, failure.status, failure.final, manager.state], [['secret.plans'], 403, true, 'open'])
  })

  for (const code of [204, 401, 403, 404, 410]) {
    test(`everything, by ${code}: it is not asked again, until the page wants it`, async (t) => {
      const faults = await Faults.start(status(code), stream())
      t.after(() => faults.stop())
      const manager = managers(t)({ url: faults.url })
      const closed = next(manager, 'closed')
      const subscription = manager.subscribe('a')
      const { failure } = await closed
      await assert.rejects(subscription.ready)
      assert.deepEqual([failure.status, manager.state, faults.requests.length], [code, 'closed', 1])
      const open = next(manager, 'open')
      manager.connect()
      await open
      assert.equal(faults.requests.length, 2)
    })
  }

  for (const [what, answer] of [
    ['500', status(500)],
    ['502', status(502)],
    ['429', status(429)],
    ['a page of HTML', (response) => response.writeHead(200, { 'Content-Type': 'text/html' }).end('<p>Maintenance')],
    ['another kind of stream', (response) => response.writeHead(200, { 'Content-Type': 'text/event-stream-x' }).end()],
    ['a connection that breaks', (response) => response.destroy()],
    ['an end', (response) => response.writeHead(200, { 'Content-Type': 'text/event-stream' }).end(':\n\n')],
  ]) {
    test(`for now, by ${what}: it is asked again`, async (t) => {
      const faults = await Faults.start(answer, answer, stream('id: 1\ndata: 1\n\n'))
      t.after(() => faults.stop())
      const manager = managers(t)({ url: faults.url, retry: 20 })
      const got = collect(manager, 'a')
      await until('it has come', () => got.length === 1)

      assert.equal(faults.requests.length, 3)
    })
  }

  test('by 503 with Retry-After: not before that time', async (t) => {
    const faults = await Faults.start(status(503, { 'Retry-After': '2' }), stream())
    t.after(() => faults.stop())
    const manager = managers(t)({ url: faults.url, retry: 20 })
    manager.subscribe('a')
    const { failure, delay } = await next(manager, 'reconnecting')

    assert.deepEqual([failure.status, failure.retryAfter], [503, 2000])
    assert.ok(delay >= 2000, `${delay}`)
  })

  test('again and again: the delays double up to the longest, and chance adds half at most', async (t) => {
    const faults = await Faults.start(status(500))
    t.after(() => faults.stop())
    const manager = managers(t)({ url: faults.url, retry: 10, maxRetry: 100 })
    const delays = []
    manager.on('reconnecting', ({ delay }) => delays.push(delay))
    manager.subscribe('a')
    await until('six attempts have failed', () => delays.length >= 6)

    for (const [at, least] of [10, 20, 40, 80, 100, 100].entries()) {
      assert.ok(delays[at] >= least && delays[at] <= least * 1.5, `${delays}`)
    }
  })
})

describe('the stream', () => {
  test('tells the reconnection time, and it is obeyed', async (t) => {
    const faults = await Faults.start((response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' })
      response.write('retry: 40\n\n')
      setImmediate(() => response.end())
    })
    t.after(() => faults.stop())
    const manager = managers(t)({ url: faults.url, retry: 10_000 })
    manager.subscribe('a')
    const { delay } = await next(manager, 'reconnecting')

    assert.ok(delay >= 40 && delay <= 60, `${delay}`)
  })

  test('falls silent without an end: it is opened again, from the last event', async (t) => {
    const faults = await Faults.start(stream('id: 7\ndata: 1\n\n'), stream('id: 8\ndata: 2\n\n'))
    t.after(() => faults.stop())
    const manager = managers(t)({ url: faults.url, heartbeatTimeout: 300 })
    const got = collect(manager, 'a')
    const { failure } = await next(manager, 'reconnecting')
    await until('the second has come', () => got.length === 2)

    assert.equal(failure.reason, 'silent')
    assert.equal(faults.requests[1].url.searchParams.get('lastEventId'), '7')
  })

  test('never begins: it is asked for again', async (t) => {
    const faults = await Faults.start(() => {}, stream())
    t.after(() => faults.stop())
    const manager = managers(t)({ url: faults.url, openTimeout: 300 })
    manager.subscribe('a')
    await next(manager, 'open')

    // A busy machine may be late with the second answer as well.
    assert.ok(faults.requests.length >= 2, `${faults.requests.length}`)
  })
})

describe('the page', () => {
  const page = (more = {}) => {
    const window = new EventTarget()
    const document = Object.assign(new EventTarget(), { visibilityState: 'visible' })
    return { window, document, ...more }
  }
  const store = () => {
    const kept = new Map()
    return {
      getItem: (key) => kept.get(key) ?? null,
      setItem: (key, value) => kept.set(key, value),
      removeItem: (key) => kept.delete(key),
    }
  }

  test('sends its headers, made anew for each request', async (t) => {
    const server = await Server.start()
    t.after(() => server.stop())
    let asked = 0
    const headers = async () => ({ Authorization: ++asked === 1 ? 'Bearer of-the-test' : 'Bearer expired' })
    const manager = managers(t)({ url: server.streamUrl, headers })
    await within('the stream', manager.subscribe('private.a').ready)
    const closed = next(manager, 'closed')
    await server.kill()
    await server.run()

    assert.equal((await closed).failure.status, 401)
  })

  test('hears that the network is back, and does not wait any longer', async (t) => {
    const faults = await Faults.start(status(500), stream())
    t.after(() => faults.stop())
    const environment = page()
    const manager = managers(t)({ url: faults.url, retry: 3_600_000, maxRetry: 3_600_000, environment })
    manager.subscribe('a')
    await next(manager, 'reconnecting')
    environment.window.dispatchEvent(new Event('online'))
    await next(manager, 'open')
  })

  test('was offline while its stream seemed open: the stream is replaced, and nothing is lost', async (t) => {
    const server = await Server.start()
    t.after(() => server.stop())
    const environment = page()
    const manager = managers(t)({ url: server.streamUrl, environment })
    const got = collect(manager, 'a')
    await within('the stream', got.subscription.ready)
    environment.window.dispatchEvent(new Event('offline'))
    await server.publish({ topic: 'a', data: 1 })
    environment.window.dispatchEvent(new Event('online'))
    await until('another stream was opened', async () => (await server.stats()).streams.opened === 2)
    await server.publish({ topic: 'a', data: 2 })
    await until('all have come', () => got.length === 2)

    assert.deepEqual([...got], [1, 2])
    await server.untilStreams(1)
  })

  test('has its stream replaced only when it is known where that is', async (t) => {
    let first
    const answer = (response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' })
      response.flushHeaders()
      first ??= response
    }
    const faults = await Faults.start(answer)
    t.after(() => faults.stop())
    const environment = page()
    const manager = managers(t)({ url: faults.url, fallback: [], environment })
    manager.subscribe('a')
    await next(manager, 'open')
    environment.window.dispatchEvent(new Event('offline'))
    environment.window.dispatchEvent(new Event('online'))
    const id = '1763712000000-0'
    first.write(`cursor: ${id}\n\nid: ${id}\nreached: ${id}\n\n`)
    await until('another was asked for', () => faults.requests.length === 2)

    assert.equal(faults.requests[1].url.searchParams.get('lastEventId'), id)
  })

  test('wakes from sleep: a stream that was silent for too long is opened again at once', async (t) => {
    const faults = await Faults.start(stream(), stream())
    t.after(() => faults.stop())
    let slept = 0
    const environment = page({ now: () => Date.now() + slept })
    const manager = managers(t)({ url: faults.url, heartbeatTimeout: 3_600_000, openTimeout: 3_600_000, retry: 10, environment })
    manager.subscribe('a')
    await next(manager, 'open')
    slept = 7_200_000
    environment.document.dispatchEvent(new Event('visibilitychange'))
    await until('another was asked for', () => faults.requests.length === 2)
  })

  test('is left: the stream ends; it is taken from the cache: it goes on where it was', async (t) => {
    const server = await Server.start()
    t.after(() => server.stop())
    const environment = page()
    const manager = managers(t)({ url: server.streamUrl, environment })
    const got = collect(manager, 'a')
    await within('the stream', got.subscription.ready)
    await until('its place is known', () => manager.lastEventId)
    environment.window.dispatchEvent(Object.assign(new Event('pagehide'), { persisted: true }))
    await server.untilStreams(0)
    await server.publish({ topic: 'a', data: 'meanwhile' })
    environment.window.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }))
    await until('it has come', () => got.length === 1)
  })

  test('is loaded again: it goes on where it was, for the same session only, and what is new begins now', async (t) => {
    const server = await Server.start()
    t.after(() => server.stop())
    const environment = page({ storage: store() })
    const load = (session) => managers(t)({ url: server.streamUrl, session, share: false, environment })
    const first = load('alice')
    const got = collect(first, 'a')
    await within('the stream', got.subscription.ready)
    await server.publish({ topic: 'a', data: 1 })
    await until('it has come', () => got.length === 1)
    environment.window.dispatchEvent(Object.assign(new Event('pagehide'), { persisted: false }))
    await server.publish({ topic: 'a', data: 2 }, { topic: 'new', data: 'old' })

    const again = load('alice')
    const resumed = collect(again, 'a')
    const fresh = collect(again, 'new')
    const other = collect(load('bob'), 'a')
    await within('the streams', Promise.all([resumed, fresh, other].map(({ subscription }) => subscription.ready)))
    await server.publish({ topic: 'a', data: 3 }, { topic: 'new', data: 'now' })
    await until('all have come', () => resumed.length === 2 && fresh.length === 1 && other.length === 1)

    assert.deepEqual([[...resumed], [...fresh], [...other]], [[2, 3], ['now'], [3]])
  })
})
