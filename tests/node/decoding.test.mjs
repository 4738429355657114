// Streams of real servers, read by the npm packages `eventsource` and `eventsource-parser`.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { EventSource } from 'eventsource'
import { createParser } from 'eventsource-parser'
import { cases } from './data.mjs'
import { Site, within } from './site.mjs'

for (const server of ['nginx-fpm-unix', 'apache-mod-php', 'php-s']) {
  describe(`on ${server}`, () => {
    let site
    before(async () => {
      site = await Site.start(server)
    })
    after(() => site.stop())

    for (const { title, data, received = data, event, id } of cases) {
      test(`eventsource reads ${title}`, async () => {
        const source = new EventSource(site.streamUrl('decoding'))
        try {
          await within(60_000, 'the stream opens', new Promise((resolve) => source.addEventListener('open', resolve)))
          const message = new Promise((resolve) => source.addEventListener(event ?? 'message', resolve))
          const published = await site.publish('decoding', data, { ...(event && { event }), ...(id && { id }) })

          const got = await within(60_000, 'the event comes', message)

          assert.equal(got.data, received)
          assert.equal(got.lastEventId, published)
          assert.equal(published, id ?? published)
          assert.equal(got.type, event ?? 'message')
        } finally {
          source.close()
        }
      })
    }

    test('eventsource-parser reads them all from one stream, in order', async () => {
      const abort = new AbortController()
      const response = await fetch(site.streamUrl('decoding'), { signal: abort.signal })
      const events = []
      let retry
      const parser = createParser({
        onEvent: (one) => events.push(one),
        onRetry: (milliseconds) => (retry = milliseconds),
        onError: (error) => assert.fail(error),
      })
      const reading = (async () => {
        const decoder = new TextDecoder('utf-8', { fatal: true })
        for await (const bytes of response.body) {
          parser.feed(decoder.decode(bytes, { stream: true }))
          if (events.length === cases.length) return
        }
      })()
      const ids = []
      for (const { data, event, id } of cases) {
        ids.push(await site.publish('decoding', data, { ...(event && { event }), ...(id && { id }) }))
      }

      await within(60_000, 'all events come', reading)
      abort.abort()

      assert.equal(retry, 2000)
      assert.deepEqual(events.map((one) => one.data), cases.map(({ data, received = data }) => received))
      assert.deepEqual(events.map((one) => one.id), ids)
      assert.deepEqual(events.map((one) => one.event), cases.map(({ event }) => event))
    })
  })
}
