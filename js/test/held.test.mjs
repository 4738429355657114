// A proxy that holds streams back: a real nginx in front of the real extension; a server of faults for what nginx does not do.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Faults, status, stream } from './support/faults.mjs'
import { Clock } from './support/clock.mjs'
import { collect, managers } from './support/managers.mjs'
import { numbers } from './support/numbers.mjs'
import { Proxy } from './support/proxy.mjs'
import { Server } from './support/server.mjs'
import { next, until, within } from './support/until.mjs'

const QUICK = { firstBytesTimeout: 1000, openTimeout: 1000, shortLifetime: 1000, pollLifetime: 5000, retry: 50 }

// Each waits most of the time.
describe('behind a proxy that holds back what has not ended', { concurrency: true }, () => {
  let server
  before(async () => { server = await Server.start() })
  after(() => server.stop())

  for (const [way, fallback] of [['short', ['short', 'poll']], ['poll', ['poll']]]) {
    test(`events come by the way '${way}', none lost, none twice, and by a stream again when it holds nothing any more`, async (t) => {
      const proxy = await Proxy.start(server.url)
      t.after(() => proxy.stop())
      const manager = managers(t)({ ...QUICK, url: proxy.streamUrl, fallback, fallbackTime: 3000 })
      const states = []
      manager.on('closed', () => states.push('closed'))
      const topic = `held.${way}`
      const got = collect(manager, topic)
      const { way: told } = await next(manager, 'degraded')
      await within('the subscription', got.subscription.ready)
      assert.deepEqual([told, manager.way, manager.state], [way, way, 'open'])
      let published = 0
      const publish = async () => server.publish({ topic, data: ++published })
      for (const n of numbers(1, 10)) {
        await publish()
        if (n % 5 === 0) await until('it has come', () => got.at(-1) === n)
      }
      const added = collect(manager, `${topic}.added`)
      await within('another topic', added.subscription.ready)
      await server.publish({ topic: `${topic}.added`, data: 'added' })
      await until('that has come', () => added.length === 1)
      proxy.free()
      const restored = next(manager, 'restored')
      let back = false
      restored.then(() => (back = true))
      while (!back) {
        await publish()
        await until('it has come', () => got.at(-1) === published)
      }
      await publish()
      await until('the last has come', () => got.at(-1) === published)

      assert.deepEqual([...got], numbers(1, published))
      assert.deepEqual([[...added], manager.way, states], [['added'], 'stream', []])
      const posts = proxy.requests.filter((request) => request.startsWith('POST') && request.includes('longPoll=1'))
      assert.equal(posts.length > 0, way === 'poll')
    })
  }

  test('last values come once, not with each response', async (t) => {
    const proxy = await Proxy.start(server.url)
    t.after(() => proxy.stop())
    await server.publish({ topic: 'lamp', data: 'on', retain: true })
    const manager = managers(t)({ ...QUICK, url: proxy.streamUrl, fallback: ['poll'], retained: true })
    const got = collect(manager, 'lamp')
    await until('the last value has come', () => got.length === 1)
    const count = () => proxy.requests.filter((request) => request.includes('longPoll=1')).length
    await server.publish({ topic: 'other', data: 1 })
    await server.publish({ topic: 'lamp', data: 'off', retain: true })
    await until('the next has come', () => got.length === 2)
    await until('another poll was answered', () => count() > 2)

    assert.deepEqual([...got], ['on', 'off'])
    const retained = proxy.requests.filter((request) => request.includes('longPoll=1') && request.includes('retained=1'))
    assert.equal(retained.length, 1)
  })

  test('the next page of the same tab does not have to find out again', async (t) => {
    const proxy = await Proxy.start(server.url)
    t.after(() => proxy.stop())
    const kept = new Map()
    const storage = {
      getItem: (key) => kept.get(key) ?? null,
      setItem: (key, value) => kept.set(key, value),
      removeItem: (key) => kept.delete(key),
    }
    const environment = { storage }
    const first = managers(t)({ ...QUICK, url: proxy.streamUrl, environment })
    first.subscribe('a')
    await next(first, 'degraded')
    first.close()
    const before = proxy.requests.length
    const second = managers(t)({ ...QUICK, url: proxy.streamUrl, environment })
    second.subscribe('a')
    await next(second, 'degraded')

    assert.ok(proxy.requests.slice(before).every((request) => request.includes('maxLifetime=1')), proxy.requests.join('\n'))
  })
})

/** Answers by headers, after which nothing comes. */
const held = (response) => {
  response.writeHead(200, { 'Content-Type': 'text/event-stream' })
  response.flushHeaders()
}
const whole = (bytes) => (response) => response.writeHead(200, { 'Content-Type': 'text/event-stream' }).end(bytes)
const asked = ({ method, url }) => `${method} ${url.searchParams.get('maxLifetime') ?? '-'} ${url.searchParams.get('longPoll') ?? '-'}`

/** A manager whose clock the test has, and a server of faults. */
async function faulty(t, config, ...answers) {
  const faults = await Faults.start(...answers)
  t.after(() => faults.stop())
  const clock = new Clock()
  // No answer is late, but those that are never whole.
  const patient = { openTimeout: 3_600_000, firstBytesTimeout: 3000, heartbeatTimeout: 20_000, retry: 500 }
  const manager = managers(t)({ ...patient, url: faults.url, environment: clock.environment, ...config })
  const failures = []
  manager.on('reconnecting', ({ failure }) => failures.push(failure.reason))
  const untilAsked = (count) => clock.until(`${count} requests were made`, () => faults.requests.length >= count)
  return { faults, clock, manager, failures, untilAsked }
}

describe('where a GET brings nothing, even if it ends', () => {
  test('a POST is tried next, and goes on from the last id', async (t) => {
    const { faults, manager, untilAsked } = await faulty(t, {}, held, held, whole('id: 1\ndata: 1\n\n'), whole('id: 2\ndata: 2\n\n'), () => {})
    const got = collect(manager, 'a')
    await untilAsked(3)
    await until('the first has come', () => got.length === 1)
    await untilAsked(4)
    await until('both have come', () => got.length === 2)

    assert.deepEqual(faults.requests.map(asked).slice(0, 4), ['GET - -', 'GET 5 -', 'POST 1 1', 'POST 25 1'])
    assert.equal(faults.requests[3].url.searchParams.get('lastEventId'), '1')
    assert.deepEqual([[...got], manager.way], [[1, 2], 'poll'])
  })

  test('and the POST is refused: a lasting stream is asked for, and no other way for some time', async (t) => {
    const { faults, clock, manager, failures, untilAsked } = await faulty(t, { fallbackTime: 60_000 }, held, held, status(405), held)
    manager.subscribe('a')
    await untilAsked(3)
    await until('the refusal has come', () => failures.length === 3)
    await untilAsked(4)
    await until('it is open', () => manager.state === 'open')
    await untilAsked(5)
    assert.deepEqual(faults.requests.map(asked), ['GET - -', 'GET 5 -', 'POST 1 1', 'GET - -', 'GET - -'])
    assert.deepEqual(failures, ['held', 'held', 'status', 'silent'])
    assert.equal(manager.way, 'stream')
    clock.pass(60_000)
    await clock.until('another way is tried again', () => asked(faults.requests.at(-1)) === 'GET 5 -')
  })
})

test('a subscription is not ready before the first bytes of its stream', async (t) => {
  const { clock, manager, failures } = await faulty(t, {}, held, stream('id: 1\ndata: 1\n\n'))
  const got = collect(manager, 'a')
  let ready = false
  got.subscription.ready.then(() => (ready = true))
  await clock.until('it is given up', () => failures.length === 1)
  assert.deepEqual([failures, ready], [['held'], false])
  await clock.until('it is ready', () => ready)
  await until('the event has come', () => got.length === 1)
})

test('with no other way it is not looked for the first bytes', async (t) => {
  const { manager } = await faulty(t, { fallback: [] }, held)
  await within('the subscription', manager.subscribe('a').ready)
  assert.equal(manager.state, 'open')
})

test('a short response that was not held back is followed by a lasting stream', async (t) => {
  let end
  const short = (response) => {
    stream('id: 1\ndata: 1\n\n')(response)
    end = () => response.end()
  }
  const { faults, clock, manager, untilAsked } = await faulty(t, {}, held, short, stream('id: 2\ndata: 2\n\n'))
  let degraded = 0
  manager.on('degraded', () => degraded++)
  const got = collect(manager, 'a')
  await untilAsked(2)
  await until('the first has come', () => got.length === 1)
  clock.pass(5000)
  end()
  await untilAsked(3)
  await until('both have come', () => got.length === 2)

  assert.deepEqual(faults.requests.map(asked), ['GET - -', 'GET 5 -', 'GET - -'])
  assert.deepEqual([degraded, manager.state], [0, 'open'])
})
