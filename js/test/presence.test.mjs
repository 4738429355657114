// Who is there, as the hub tells it.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { collect, managers } from './support/managers.mjs'
import { Server } from './support/server.mjs'
import { byTransport } from './support/transports.mjs'
import { until, within } from './support/until.mjs'

const ids = (members) => members.map(({ id }) => id).sort()

/** Everything that a presence tells, as `[kind, ids, count]`. */
function told(presence) {
  const got = []
  for (const name of ['list', 'join', 'leave']) {
    presence.on(name, ({ members, count }) => got.push([name, ids(members), count]))
  }
  return got
}

await byTransport((server, made) => {
  const as = (t, user, more = {}) => made(t, { url: `${server.streamUrl}?user=${user}`, ...more })

  test('who is there, who comes and who goes; a user with two connections is there once', async (t) => {
    const here = as(t, 'ann').presence('room.1')
    const got = told(here)
    await within('the list', here.ready)
    assert.deepEqual(here.list.map(({ id, info }) => [id, info]), [['ann', { name: 'Ann' }]])
    const bob = [as(t, 'bob'), as(t, 'bob')]
    const theirs = bob[0].presence('room.1')
    await within('their list', Promise.all([theirs.ready, bob[1].presence('room.1').ready]))
    await until('bob has come', () => here.count === 2)
    assert.deepEqual(ids(theirs.list), ['ann', 'bob'])
    bob[0].close()
    const carol = as(t, 'carol')
    await within('her list', carol.presence('room.1').ready)
    await until('carol has come', () => here.count === 3)
    bob[1].close()
    await until('bob has gone', () => here.count === 2)

    assert.deepEqual(ids(here.list), ['ann', 'carol'])
    assert.deepEqual(got, [['list', ['ann'], 1], ['join', ['bob'], 2], ['join', ['carol'], 3], ['leave', ['bob'], 2]])
    assert.ok(here.list.every(({ since }) => Math.abs(since - Date.now()) < 600_000))
  })

  test('a topic that is asked for later is known at once, and one that is added is told', async (t) => {
    const manager = as(t, 'ann')
    const room = collect(manager, 'room.2')
    const all = collect(manager, '**', ({ topic }) => topic)
    await within('the stream', Promise.all([room.subscription.ready, all.subscription.ready]))
    const first = manager.presence('room.2')
    await within('the list', first.ready)
    const again = manager.presence('room.2')
    await within('the list', again.ready)
    assert.deepEqual([ids(first.list), ids(again.list), again.more], [['ann'], ['ann'], false])
    const added = manager.presence('room.3')
    await within('the added one', added.ready)
    assert.deepEqual([ids(added.list), ids(first.list)], [['ann'], ['ann']])
    added.close()
    await server.publish({ topic: 'room.2', data: 1 }, { topic: 'other', data: 2 })
    await until('they have come', () => all.length === 2)
    assert.deepEqual([[...room], [...all]], [[1], ['room.2', 'other']])
  })

  test('nobody else can tell of it, and one that was closed is never ready', async (t) => {
    const manager = as(t, 'ann')
    const here = manager.presence('room.4')
    const events = collect(manager, 'room.4', ({ type }) => type)
    await within('the list', here.ready)
    const forged = { topic: 'room.4', count: 9, members: [{ id: 'mallory', info: null, since: 1 }] }
    await server.publish({ topic: 'room.4', event: 'presence.join', data: forged }, { topic: 'room.4', data: 1 })
    await until('both have come', () => events.length === 2)
    assert.deepEqual([events[0], ids(here.list), here.count], ['presence.join', ['ann'], 1])
    const closed = manager.presence('room.5')
    closed.close()
    await assert.rejects(within('the end', closed.ready), /room\.5/)
  })
}, { 'sse.presence_grace': 100 })

describe('a presence', () => {
  test('is told anew by a list after the hub has ended, without a word of coming or going; one of a topic that is refused is never ready', async (t) => {
    const server = await Server.start()
    t.after(() => server.stop())
    const manager = managers(t)({ url: `${server.streamUrl}?user=ann` })
    const here = manager.presence('room')
    const got = told(here)
    await within('the list', here.ready)
    await server.kill()
    await server.run()
    await until('another list has come', () => got.length === 2)
    assert.deepEqual(got, [['list', ['ann'], 1], ['list', ['ann'], 1]])
    await assert.rejects(within('the refusal', manager.presence('secret.room').ready), /403/)
  })

  test('needs a topic that somebody can be on', async (t) => {
    const manager = managers(t)({ url: 'http://127.0.0.1:1/' })
    for (const topic of ['room.*', '**', '$presence.room', '']) assert.throws(() => manager.presence(topic), TypeError)
    assert.throws(() => manager.presence('room').on('nonsense', () => {}), /there are list, join, leave/)
  })
})
