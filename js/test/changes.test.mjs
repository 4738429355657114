// What a page is told when its topics change, when its server says no, and when it is over.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Faults, status, stream } from './support/faults.mjs'
import { collect, managers } from './support/managers.mjs'
import { Server } from './support/server.mjs'
import { next, until, within } from './support/until.mjs'

const topicsOf = ({ url }) => url.searchParams.get('topics')

describe('topics that are added', () => {
  for (const [what, answer, reason] of [
    ['500', status(500), 'status'],
    ['429', status(429, { 'Retry-After': '0' }), 'status'],
    ['a page of HTML', (response) => response.writeHead(200, { 'Content-Type': 'text/html' }).end('<p>Fatal error'), 'type'],
  ]) {
    test(`and fail for now, by ${what}: their subscription and the page are told, the others go on, and they come when they can`, async (t) => {
      const faults = await Faults.start(stream('id: 1\ndata: 1\n\n'), answer, answer, stream())
      t.after(() => faults.stop())
      const manager = managers(t)({ url: faults.url, retry: 20 })
      const kept = manager.subscribe('kept', () => {})
      await within('the stream', kept.ready)
      const told = next(manager, 'error')
      const added = manager.subscribe('added', () => {})
      const { topics, failure, delay } = await told

      assert.deepEqual([topics, failure.reason, failure.final, manager.state], [['added'], reason, false, 'open'])
      assert.ok(delay >= 20, `${delay}`)
      assert.deepEqual([added.failure, kept.failure], [failure, null])
      await within('the topic', added.ready)
      assert.equal(added.failure, null)
      assert.equal(faults.requests.length, 4)
    })
  }

  test('and are more than the server allows: the page is told, and what it had goes on', async (t) => {
    const server = await Server.start({ 'sse.max_topics': 3, display_errors: 0 })
    t.after(() => server.stop())
    const manager = managers(t)({ url: server.streamUrl })
    const got = collect(manager, 'a')
    await within('the stream', got.subscription.ready)
    const told = next(manager, 'error')
    const more = ['b', 'c', 'd'].map((topic) => manager.subscribe(topic, () => {}))
    const { topics, failure } = await told
    await server.publish({ topic: 'a', data: 1 })
    await until('it has come', () => got.length === 1)

    assert.deepEqual([topics, failure.status], [['b', 'c', 'd'], 500])
    assert.deepEqual(more.map((one) => one.failure?.status), [500, 500, 500])
    for (const one of more.slice(1)) one()
    await within('those that fit', more[0].ready)
  })
})

describe('topics that are left', () => {
  test('stop at the server too, though nothing else makes a new stream, and nothing of the others is lost or doubled', async (t) => {
    const server = await Server.start()
    t.after(() => server.stop())
    const manager = managers(t)({ url: server.streamUrl })
    const kept = collect(manager, 'kept')
    const left = collect(manager, 'left')
    const seen = []
    manager.on('message', ({ data }) => seen.push(data))
    await within('the stream', Promise.all([kept.subscription.ready, left.subscription.ready]))
    left.subscription()
    let n = 0
    await until('another stream was opened', async () => {
      await server.publish({ topic: 'kept', data: ++n })
      return (await server.stats()).streams.opened === 2
    })
    await server.untilStreams(1)
    await server.publish({ topic: 'left', data: 'for nobody' }, { topic: 'kept', data: ++n })
    await until('all have come', () => kept.at(-1) === n)

    const all = Array.from({ length: n }, (_, at) => at + 1)
    assert.deepEqual([[...kept], seen, [...left]], [all, all, []])
  })

  test('are asked for no more', async (t) => {
    const faults = await Faults.start(stream('id: 1\ndata: 1\n\n'))
    t.after(() => faults.stop())
    const manager = managers(t)({ url: faults.url })
    manager.subscribe('kept', () => {})
    const left = manager.subscribe('left', () => {})
    await within('the stream', left.ready)
    left()
    await until('another was asked for', () => faults.requests.length === 2)

    assert.deepEqual(faults.requests.map(topicsOf), ['kept,left', 'kept'])
  })

  test('are left out too where those that were added with that are refused', async (t) => {
    const faults = await Faults.start(stream('id: 1\ndata: 1\n\n'), status(403), stream())
    t.after(() => faults.stop())
    const manager = managers(t)({ url: faults.url, heartbeatTimeout: 0 })
    const kept = manager.subscribe('kept', () => {})
    const left = manager.subscribe('left', () => {})
    await within('the stream', Promise.all([kept.ready, left.ready]))
    const refused = next(manager, 'error')
    left()
    manager.subscribe('added', () => {})
    await refused
    await until('another was asked for', () => faults.requests.length === 3)

    assert.deepEqual(faults.requests.map(topicsOf), ['kept,left', 'added,kept', 'kept'])
  })

  test('of a server that has said no are no reason to ask it again', async (t) => {
    const faults = await Faults.start(status(403), stream())
    t.after(() => faults.stop())
    const manager = managers(t)({ url: faults.url })
    const closed = next(manager, 'closed')
    manager.subscribe('kept', () => {})
    const left = manager.subscribe('left', () => {})
    await closed
    left()
    // A task later the change has been made.
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(manager.state, 'closed')
    const open = next(manager, 'open')
    manager.connect()
    await open
    assert.deepEqual(faults.requests.map(topicsOf), ['kept,left', 'kept'])
  })
})

describe("the server's heartbeat", () => {
  const page = (more) => {
    const document = Object.assign(new EventTarget(), { visibilityState: 'visible' })
    return { window: new EventTarget(), document, look: () => document.dispatchEvent(new Event('visibilitychange')), ...more }
  }

  test('is told, and a quiet stream is dead after three of them, not sooner', async (t) => {
    const server = await Server.start()
    t.after(() => server.stop())
    let passed = 0
    const environment = page({ now: () => Date.now() + passed })
    const manager = managers(t)({ url: `${server.streamUrl}?heartbeat=60`, environment })
    const told = []
    manager.on('reconnecting', ({ failure }) => told.push(failure))
    await within('the stream', manager.subscribe('quiet', () => {}).ready)
    await until('its place is known', () => manager.lastEventId)
    passed = 170_000
    environment.look()
    assert.deepEqual([manager.state, told], ['open', []])
    passed = 190_000
    environment.look()
    assert.deepEqual(told.map(({ reason }) => reason), ['silent'])
    assert.match(told[0].message, /180000 ms/)
  })

  test('is told by a stream with a callback, too, where it is rarer than usual', async (t) => {
    const server = await Server.start()
    t.after(() => server.stop())
    let passed = 0
    const environment = page({ now: () => Date.now() + passed })
    const manager = managers(t)({ url: `${server.streamUrl}?callback=1&heartbeat=60`, environment })
    const got = collect(manager, 'quiet')
    await until('its first output has come', () => got.length === 1)
    passed = 170_000
    environment.look()
    assert.equal(manager.state, 'open')
    passed = 190_000
    environment.look()
    assert.equal(manager.state, 'reconnecting')
  })

  for (const [what, config, last] of [['none', {}, true], ['another by the page', { heartbeatTimeout: 1000 }, false]]) {
    test(`0, and ${what}: a quiet stream ${last ? 'is never dead' : 'is dead after that'}`, async (t) => {
      const faults = await Faults.start(stream('heartbeat: 0\n\nid: 1\ndata: 1\n\n'))
      t.after(() => faults.stop())
      let passed = 0
      const environment = page({ now: () => Date.now() + passed })
      const manager = managers(t)({ url: faults.url, environment, ...config })
      const got = collect(manager, 'quiet')
      await until('the first has come', () => got.length === 1)
      passed = 80_000_000
      environment.look()
      assert.equal(manager.state, last ? 'open' : 'reconnecting')
    })
  }
})

describe('a 401', () => {
  const asked = () => {
    const calls = []
    const headers = async ({ renew }) => {
      calls.push(renew)
      return { Authorization: renew ? 'Bearer fresh' : 'Bearer stale' }
    }
    return { calls, headers }
  }

  test('is answered by one request with headers that were made anew', async (t) => {
    const { calls, headers } = asked()
    const faults = await Faults.start(status(401), stream())
    t.after(() => faults.stop())
    const manager = managers(t)({ url: faults.url, headers })
    await within('the stream', manager.subscribe('a', () => {}).ready)

    assert.deepEqual(calls, [false, true])
    assert.deepEqual(faults.requests.map(({ headers }) => headers.authorization), ['Bearer stale', 'Bearer fresh'])
  })

  for (const [what, headers, requests] of [['twice', asked().headers, 2], ['without a function', { Authorization: 'x' }, 1]]) {
    test(`${what} is the end`, async (t) => {
      const faults = await Faults.start(status(401))
      t.after(() => faults.stop())
      const manager = managers(t)({ url: faults.url, headers })
      const closed = next(manager, 'closed')
      manager.subscribe('a', () => {})

      assert.equal((await closed).failure.status, 401)
      assert.equal(faults.requests.length, requests)
    })
  }

  test('to send() is answered in the same way', async (t) => {
    const { calls, headers } = asked()
    const faults = await Faults.start(status(401), status(200), status(401))
    t.after(() => faults.stop())
    const manager = managers(t)({ url: faults.url, publishUrl: faults.url, headers })
    await within('the answer', manager.send('a', 1))
    await assert.rejects(within('the answer', manager.send('a', 1)), { status: 401 })

    assert.deepEqual(calls, [false, true, false, true])
    assert.equal(faults.requests.length, 4)
  })
})

describe('a loop over a subscription', () => {
  const read = async (subscription) => {
    const got = []
    try {
      for await (const { data } of subscription) got.push(data)
    } catch (error) {
      return { got, error: error.message }
    }
    return { got, error: null }
  }

  for (const [what, code, error] of [['throws', 403, 'the server answered 403'], ['ends', 204, null]]) {
    test(`${what} when the server says ${code}, after what had come`, async (t) => {
      const first = (response) => response.writeHead(200, { 'Content-Type': 'text/event-stream' }).end('data: 1\n\ndata: 2\n\n')
      const faults = await Faults.start(first, status(code))
      t.after(() => faults.stop())
      const manager = managers(t)({ url: faults.url, retry: 10 })
      const waiting = read(manager.subscribe('a'))
      const later = manager.subscribe('a')
      await next(manager, 'closed')

      assert.deepEqual(await within('the loop', waiting), { got: [1, 2], error })
      assert.deepEqual(await within('the later loop', read(later)), { got: [1, 2], error })
      assert.deepEqual(await within('another', read(later)), { got: [], error: null })
    })
  }

  test('ends when the page closes the manager', async (t) => {
    const faults = await Faults.start(stream('data: 1\n\n'))
    t.after(() => faults.stop())
    const manager = managers(t)({ url: faults.url })
    const subscription = manager.subscribe('a')
    await within('the stream', subscription.ready)
    const loop = read(subscription)
    await until('the first has come', () => manager.state === 'open')
    manager.close()

    assert.equal((await within('the loop', loop)).error, null)
  })

  test('throws when the topic that was added is refused, and the others go on', async (t) => {
    const server = await Server.start()
    t.after(() => server.stop())
    const manager = managers(t)({ url: server.streamUrl })
    const got = collect(manager, 'mine')
    await within('the stream', got.subscription.ready)
    const { error } = await within('the loop', read(manager.subscribe('secret.plans')))
    await server.publish({ topic: 'mine', data: 1 })
    await until('it has come', () => got.length === 1)

    assert.match(error, /403.*secret\.plans/)
    assert.equal(manager.state, 'open')
  })
})

test("a tab that copies another one's storage begins now, and a reload goes on where the page was", async (t) => {
  const server = await Server.start()
  t.after(() => server.stop())
  const load = (kept) => {
    const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value), removeItem: (key) => kept.delete(key) }
    const document = Object.assign(new EventTarget(), { visibilityState: 'visible' })
    const window = new EventTarget()
    const manager = managers(t)({ url: server.streamUrl, session: 'alice', share: false, environment: { window, document, storage } })
    const got = collect(manager, 'a')
    const see = (visibilityState) => {
      document.visibilityState = visibilityState
      document.dispatchEvent(new Event('visibilitychange'))
    }
    return { kept, got, see, ready: got.subscription.ready, leave: () => window.dispatchEvent(new Event('pagehide')) }
  }
  const first = load(new Map())
  await within('the stream', first.ready)
  await server.publish({ topic: 'a', data: 1 })
  await until('it has come', () => first.got.length === 1)
  first.see('hidden')
  assert.equal(first.kept.size, 1)
  first.see('visible')
  await server.publish({ topic: 'a', data: 2 })
  await until('it has come', () => first.got.length === 2)
  const copy = load(new Map(first.kept))
  await within('the stream of the copy', copy.ready)
  first.leave()
  await server.publish({ topic: 'a', data: 3 })
  const reloaded = load(first.kept)
  await until('all have come', () => reloaded.got.length === 1 && copy.got.length === 1)
  const copyOfTheReloaded = load(new Map(reloaded.kept))
  await within('the stream of its copy', copyOfTheReloaded.ready)
  await server.publish({ topic: 'a', data: 4 })
  await until('the last has come', () => [copy, reloaded, copyOfTheReloaded].every(({ got }) => got.at(-1) === 4))

  assert.deepEqual([[...copy.got], [...reloaded.got], [...copyOfTheReloaded.got]], [[3, 4], [3, 4], [4]])
})

test('a page that can not be seen keeps its place when its stream is opened again, as it may end without another word', async (t) => {
  const faults = await Faults.start((response) => response.writeHead(200, { 'Content-Type': 'text/event-stream' }).end('id: 1\ndata: 1\n\n'), stream())
  t.after(() => faults.stop())
  const kept = new Map()
  const storage = { getItem: () => null, setItem: (key, value) => kept.set(key, value), removeItem: (key) => kept.delete(key) }
  const document = Object.assign(new EventTarget(), { visibilityState: 'visible' })
  const environment = { window: new EventTarget(), document, storage }
  const manager = managers(t)({ url: faults.url, session: 'alice', share: false, environment })
  const broken = next(manager, 'reconnecting')
  manager.subscribe('a', () => {})
  await broken
  document.visibilityState = 'hidden'
  document.dispatchEvent(new Event('visibilitychange'))
  await next(manager, 'open')

  assert.deepEqual([...kept.values()].map((place) => JSON.parse(place).position), ['1'])
})
