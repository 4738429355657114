// The ends of lines, as the standard has them, however the bytes are cut.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Faults } from './support/faults.mjs'
import { collect, managers } from './support/managers.mjs'
import { until } from './support/until.mjs'

const head = { 'Content-Type': 'text/event-stream' }

test('an event whose blank line is a lone CR comes at once, while the stream stays open', async (t) => {
  const faults = await Faults.start((response) => {
    response.writeHead(200, head)
    response.write('data:test\r\ndata\ndata:test\r\n\r')
  })
  t.after(() => faults.stop())
  const got = collect(managers(t)({ url: faults.url }), '**', ({ text }) => text)
  await until('it has come', () => got.length === 1)

  assert.deepEqual([...got], ['test\n\ntest'])
  assert.equal(faults.requests.length, 1)
})

test('an event whose blank line is a lone CR comes where the stream ends there', async (t) => {
  const faults = await Faults.start((response) => response.writeHead(200, head).end('data: last\r\r'), (response) => response.writeHead(204).end())
  t.after(() => faults.stop())
  const manager = managers(t)({ url: faults.url, retry: 10 })
  const got = collect(manager, '**', ({ text }) => text)
  await until('it is over', () => manager.state === 'closed')

  assert.deepEqual([...got], ['last'])
})

for (const [name, end] of [['LF', '\n'], ['CR', '\r'], ['CRLF', '\r\n']]) {
  test(`lines that end in ${name}, sent a byte at a time, are the same events`, async (t) => {
    const bytes = ['data: a', 'data: b', '', '', ': comment', 'event: x', 'data: c', '', ''].join(end)
    const faults = await Faults.start(async (response) => {
      response.writeHead(200, head)
      response.socket.setNoDelay(true)
      for (const byte of bytes) await new Promise((resolve) => response.write(byte, () => setImmediate(resolve)))
    })
    t.after(() => faults.stop())
    const got = collect(managers(t)({ url: faults.url }), '**', ({ type, text }) => [type, text])
    await until('both have come', () => got.length === 2)

    assert.deepEqual([...got], [['message', 'a\nb'], ['x', 'c']])
  })
}
