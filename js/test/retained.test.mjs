// Last values: a subscription begins with them, and gets each once.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { collect } from './support/managers.mjs'
import { byTransport } from './support/transports.mjs'
import { until, within } from './support/until.mjs'

await byTransport((server, made) => {
  const whole = ({ topic, data, retained }) => [topic, data, retained]

  test('come first, with their ids, to each new subscription and to nobody a second time', async (t) => {
    const [id] = await server.publish({ topic: 'rates.eur', data: 1, retain: true }, { topic: 'rates.usd', data: 2, retain: true })
    const manager = made(t, { retained: true })
    const eur = collect(manager, 'rates.eur', whole)
    const seen = []
    manager.on('message', ({ id }) => seen.push(id))
    await until('the value has come', () => eur.length === 1)
    assert.deepEqual([[...eur], seen], [[['rates.eur', 1, true]], [id]])
    const all = collect(manager, 'rates.*', whole)
    await until('its values have come', () => all.length === 2)
    const again = collect(manager, 'rates.eur', whole)
    await until('its value has come', () => again.length === 1)
    await server.publish({ topic: 'rates.eur', data: 3, retain: true })
    await until('the new one has come', () => [eur, all, again].every((got) => got.at(-1)[1] === 3))

    assert.deepEqual([...eur], [['rates.eur', 1, true], ['rates.eur', 3, false]])
    assert.deepEqual([...all], [['rates.eur', 1, true], ['rates.usd', 2, true], ['rates.eur', 3, false]])
    assert.deepEqual([...again], [...eur])
  })

  test('are not told again after a reconnection, nor where they are older than what has come', async (t) => {
    await server.publish({ topic: 'lamp', data: 'off', retain: true })
    const manager = made(t, { retained: true })
    const lamp = collect(manager, 'lamp', whole)
    await until('the value has come', () => lamp.length === 1)
    await server.publish({ topic: 'lamp', data: 'flickers' })
    await until('it has come', () => lamp.length === 2)
    const second = collect(manager, 'lamp2', whole)
    await within('another stream', second.subscription.ready)
    await server.publish({ topic: 'lamp', data: 'on', retain: true })
    await until('it has come', () => lamp.length === 3)

    assert.deepEqual([...lamp], [['lamp', 'off', true], ['lamp', 'flickers', false], ['lamp', 'on', false]])
  })

  test('do not come unasked', async (t) => {
    await server.publish({ topic: 'asked', data: 1, retain: true })
    const got = collect(made(t), 'asked', whole)
    await within('the stream', got.subscription.ready)
    await server.publish({ topic: 'asked', data: 2 })
    await until('it has come', () => got.length === 1)
    assert.deepEqual([...got], [['asked', 2, false]])
  })
})
