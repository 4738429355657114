// What Firefox does when a topic is finished; Chromium's test is in browser.test.mjs.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { firefox, open } from './support/firefox.mjs'
import { Server } from './support/server.mjs'
import { until } from './support/until.mjs'

const skip = firefox === undefined ? 'firefox: it is not installed; tools/setup test installs it, or set FIREFOX' : false

test("250 of Firefox's own EventSources and SSEManager get the last event of a finished topic once, and stop", { skip }, async (t) => {
  const server = await Server.start()
  t.after(() => server.stop())
  const reports = await open(t, `${server.url}/test/app/watch.php`)
  await until('all are open', () => reports.some(({ open }) => open))
  await server.publish({ topic: 'finished.job', data: 'half' }, { topic: 'finished.job', data: 'all', finish: true })
  const { seen, got } = await until('all have stopped', () => reports.find(({ over }) => over))

  assert.deepEqual(seen, Array(250).fill(['half', 'all']))
  assert.deepEqual(got, ['half', 'all'])
  // Each EventSource has asked once more; SSEManager knows it by itself.
  const { finished, streams } = await server.stats()
  assert.deepEqual([finished.answered, streams.opened, streams.open], [250, 251, 0])
})
