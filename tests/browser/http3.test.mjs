// Streams over HTTP/3: Chromium's QUIC, and Debian's Caddy in front of PHP-FPM.
import assert from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { Site } from '../node/site.mjs'
import { launch, open } from './support/browser.mjs'
import { until } from './support/until.mjs'

test('Caddy sends events at once over HTTP/3, and tells at a heartbeat that a client has left', async (t) => {
  const site = await Site.start('caddy-fpm', 'sse.heartbeat=1', '--tls=1')
  t.after(() => site.stop())
  // QUIC takes a certificate that nobody has signed only if its key is named.
  const { publicKey } = new X509Certificate(await readFile(`${site.folder}/certificate.pem`))
  const key = createHash('sha256').update(publicKey.export({ type: 'spki', format: 'der' })).digest('base64')
  const browser = await launch([
    `--origin-to-force-quic-on=${new URL(site.url).host}`,
    `--ignore-certificate-errors-spki-list=${key}`,
  ])
  t.after(() => browser.close())
  const page = await open(t, browser, `${site.url}/hello.php`)
  const openStreams = () => page.evaluate(async () => (await (await fetch('/stats.php')).json()).streams.open)

  // Three times as many as there are workers.
  await page.evaluate(async () => {
    window.got = []
    window.streams = Array.from({ length: 6 }, (_, nth) => new EventSource(`/stream.php?topics=news&nth=${nth}`))
    await Promise.all(streams.map((stream) => new Promise((resolve) => {
      stream.onopen = resolve
      stream.onmessage = ({ data }) => got.push(data)
    })))
  })
  for (const event of ['one', 'two', 'three']) {
    await page.evaluate((data) => fetch('/publish.php', { method: 'POST', body: new URLSearchParams({ topic: 'news', data }) }), event)
    await until(`${event} has come six times`, () => page.evaluate((data) => got.filter((one) => one === data).length === 6, event))
  }
  assert.equal(await openStreams(), 6)
  await page.evaluate(() => streams.forEach((stream) => stream.close()))
  await until('all have ended', async () => (await openStreams()) === 0)

  const protocols = await page.evaluate(() => [...new Set(['navigation', 'resource'].flatMap((type) =>
    performance.getEntriesByType(type).map(({ nextHopProtocol }) => nextHopProtocol)))])
  assert.deepEqual(protocols, ['h3'])
})
