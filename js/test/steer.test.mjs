// Topics that are added to an open stream, and taken from it: no second stream, and nothing is lost or doubled.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { EventSource } from 'eventsource'
import { Faults, status, stream } from './support/faults.mjs'
import { collect, managers } from './support/managers.mjs'
import { numbers } from './support/numbers.mjs'
import { Server } from './support/server.mjs'
import { byTransport } from './support/transports.mjs'
import { next, until, within } from './support/until.mjs'

await byTransport((server, made) => {
  const steering = (t, more = {}) => made(t, { url: `${server.streamUrl}?streamId=1`, topicsUrl: server.topicsUrl, ...more })

  test('a topic is added and another is left by the stream that is open', async (t) => {
    const before = (await server.stats()).streams.opened
    const manager = steering(t)
    const kept = collect(manager, 'live.kept')
    const left = collect(manager, 'live.left')
    await within('the stream', Promise.all([kept.subscription.ready, left.subscription.ready]))
    await until('its id is known', () => manager.streamId)
    const id = manager.streamId
    await server.publish({ topic: 'live.added', data: 'before' })
    const added = collect(manager, 'live.added')
    await within('the topic', added.subscription.ready)
    const retopics = (await server.stats()).retopics
    left.subscription()
    await until('it was left', async () => (await server.stats()).retopics > retopics)
    await server.publish(...['live.left', 'live.added', 'live.kept'].map((topic) => ({ topic, data: topic })))
    await until('both have come', () => kept.length + added.length === 2)

    assert.deepEqual([[...kept], [...added], [...left]], [['live.kept'], ['live.added'], []])
    await server.untilStreams(1)
    assert.deepEqual([(await server.stats()).streams.opened - before, manager.streamId], [1, id])
  })

  test('a thousand events while topics change: each once and in order, by one stream', async (t) => {
    const before = (await server.stats()).streams.opened
    const manager = steering(t)
    const kept = collect(manager, 'flow.kept')
    await within('the stream', kept.subscription.ready)
    await until('its id is known', () => manager.streamId)
    let published = 0
    const publishing = (async () => {
      for (let n = 1; n <= 1000; n += 10) {
        await server.publish(...numbers(n, n + 9).flatMap((data) => [
          { topic: 'flow.kept', data },
          { topic: `flow.${data % 3}`, data },
        ]))
        published = n + 9
      }
    })()
    const added = []
    for (const round of numbers(0, 11)) {
      const since = published
      await until('more were published', () => published >= Math.min(since + 30, 1000))
      const topic = round % 4 === 3 ? 'flow.*' : `flow.${round % 3}`
      const got = collect(manager, topic)
      // What is published from here on must come.
      await within('the topic', got.subscription.ready)
      const readyAt = published
      added.push({ topic, got, readyAt })
      if (round % 2 === 1) added[round - 1].got.subscription()
    }
    await publishing
    await until('all have come', () => kept.length === 1000)
    for (const [round, { topic, got, readyAt }] of added.entries()) {
      const isOf = (n) => topic === 'flow.*' || `flow.${n % 3}` === topic
      const wasLeft = round % 2 === 0
      if (!wasLeft) await until('its last has come', () => got.at(-1) === numbers(1, 1000).findLast(isOf))
      const seen = topic === 'flow.*' ? got.filter((n, at) => got.indexOf(n) === at) : [...got]
      const all = numbers(seen[0] ?? readyAt + 11, wasLeft ? (seen.at(-1) ?? 0) : 1000).filter(isOf)
      assert.deepEqual(seen, all, `${topic}, round ${round}`)
      // A batch of ten may have been on its way.
      if (seen.length > 0) assert.ok(seen[0] <= readyAt + 20, `${topic} is ready at ${readyAt}, and begins with ${seen[0]}`)
    }

    assert.deepEqual([...kept], numbers(1, 1000))
    // Those of the test before have gone.
    await server.untilStreams(1)
    assert.equal((await server.stats()).streams.opened - before, 1)
  })

  test('presence of a topic that is added is told by the stream that is open', async (t) => {
    const before = (await server.stats()).streams.opened
    const manager = steering(t, { url: `${server.streamUrl}?streamId=1&user=ann` })
    await within('the stream', manager.subscribe('hall').ready)
    await until('its id is known', () => manager.streamId)
    const room = manager.presence('hall.room')
    await within('the list', room.ready)

    assert.deepEqual(room.list.map(({ id }) => id), ['ann'])
    assert.equal((await server.stats()).streams.opened - before, 1)
  })

  test('where the stream is another user\'s, another stream is opened, and nothing is lost', async (t) => {
    const before = (await server.stats()).streams.opened
    const manager = steering(t, { url: `${server.streamUrl}?streamId=1&key=alice`, topicsUrl: `${server.topicsUrl}?key=bob` })
    const first = collect(manager, 'own.a')
    await within('the stream', first.subscription.ready)
    await until('its id is known', () => manager.streamId)
    const second = collect(manager, 'own.b')
    await within('the other', second.subscription.ready)
    await server.publish({ topic: 'own.a', data: 1 }, { topic: 'own.b', data: 2 })
    await until('both have come', () => first.length + second.length === 2)

    assert.equal((await server.stats()).streams.opened - before, 2)
  })
})

test('a topic that is refused is told as ever, and the next one is added to the stream that is open', async (t) => {
  const server = await Server.start()
  t.after(() => server.stop())
  const manager = managers(t)({ url: `${server.streamUrl}?streamId=1`, topicsUrl: server.topicsUrl })
  const got = collect(manager, 'mine')
  await within('the stream', got.subscription.ready)
  await until('its id is known', () => manager.streamId)
  const refused = next(manager, 'error')
  await assert.rejects(within('the refusal', manager.subscribe('secret.plans').ready), /403/)
  assert.deepEqual((await refused).topics, ['secret.plans'])
  await within('the next', manager.subscribe('more').ready)
  await server.publish({ topic: 'mine', data: 1 })
  await until('it has come', () => got.length === 1)
  assert.equal((await server.stats()).streams.opened, 1)
})

test('a stream that breaks while its topics are changed is opened again with the new ones', async (t) => {
  const server = await Server.start()
  t.after(() => server.stop())
  let asked = 0
  const dead = await Faults.start(() => asked++)
  t.after(() => dead.stop())
  const manager = managers(t)({ url: `${server.streamUrl}?streamId=1`, topicsUrl: dead.url })
  const first = collect(manager, 'first')
  await within('the stream', first.subscription.ready)
  await until('its id is known', () => manager.streamId)
  const second = collect(manager, 'second')
  await until('it was asked for', () => asked === 1)
  await server.kill()
  await server.run()
  await within('the topic', second.subscription.ready)
  await server.publish({ topic: 'first', data: 1 }, { topic: 'second', data: 2 })
  await until('both have come', () => first.length + second.length === 2)
})

for (const [what, conclude] of [
  ['answers late', (response, answer) => response.writeHead(200, { 'Content-Type': 'application/json' }).end(answer)],
  ['has done it, and its answer is lost', (response) => response.destroy()],
]) {
  test(`a server that ${what}: what came meanwhile is had, once`, async (t) => {
    const server = await Server.start()
    t.after(() => server.stop())
    const slow = await Faults.start(async (response, request) => {
      const chunks = []
      for await (const chunk of request) chunks.push(chunk)
      const body = Buffer.concat(chunks)
      const headers = { 'Content-Type': request.headers['content-type'], connection: 'close' }
      const answer = await (await fetch(server.topicsUrl, { method: 'POST', body, headers })).text()
      await server.publish({ topic: 'added', data: 1 }, { topic: 'kept', data: 2 })
      await until('they have come', () => kept.length === 1)
      conclude(response, answer)
    })
    t.after(() => slow.stop())
    const manager = managers(t)({ url: `${server.streamUrl}?streamId=1`, topicsUrl: slow.url })
    const kept = collect(manager, 'kept')
    await within('the stream', kept.subscription.ready)
    await until('its id is known', () => manager.streamId)
    await until('its place is known', () => manager.lastEventId)
    const added = collect(manager, 'added')
    await within('the topic', added.subscription.ready)
    await server.publish({ topic: 'added', data: 3 }, { topic: 'kept', data: 4 })
    await until('all have come', () => kept.length + added.length >= 4)

    assert.deepEqual([[...kept], [...added]], [[2, 4], [1, 3]])
  })
}

describe('a server that can\'t do it', () => {
  for (const [what, answer, times] of [
    ['404', status(404), 1],
    ['405 in JSON', (response) => response.writeHead(405, { 'Content-Type': 'application/json' }).end('{}'), 1],
    ['a stream', stream(), 1],
    ['409', (response) => response.writeHead(409, { 'Content-Type': 'application/json' }).end('{}'), 2],
    ['500', status(500), 2],
    ['no answer at all', (response) => response.destroy(), 2],
  ]) {
    test(`says ${what}: another stream is opened, and it is asked ${times === 1 ? 'once' : 'again the next time'}`, async (t) => {
      const server = await Server.start()
      t.after(() => server.stop())
      const faults = await Faults.start(answer)
      t.after(() => faults.stop())
      const manager = managers(t)({ url: `${server.streamUrl}?streamId=1`, topicsUrl: faults.url, environment: { EventSource } })
      const got = []
      const ids = []
      manager.on('stream', ({ stream }) => ids.push(stream))
      for (const topic of ['a', 'b', 'c']) {
        got.push(collect(manager, topic))
        await within(topic, got.at(-1).subscription.ready)
        await until('the id of its stream is known', () => ids.length === got.length)
        // So that it has begun.
        await server.publish({ topic: 'a', data: topic })
        await until('it has come', () => got[0].length === got.length)
      }
      await server.publish(...['b', 'c'].map((topic) => ({ topic, data: topic })))
      await until('all have come', () => got.flat().length === 5)

      assert.deepEqual(got.map((one) => [...one]), [['a', 'b', 'c'], ['b'], ['c']])
      assert.equal((await server.stats()).streams.opened, 3)
      assert.equal(faults.requests.length, times)
    })
  }
})
