// The same tests by each transport.
import { after, describe } from 'node:test'
import { EventSource } from 'eventsource'
import { managers } from './managers.mjs'
import { Server } from './server.mjs'

/** Describes tests for each transport: `tests` gets a server of its own, and what makes managers of a test's context and a config. */
export async function byTransport(tests, settings = {}) {
  for (const transport of ['fetch', 'eventsource']) {
    const server = await Server.start(settings)
    after(() => server.stop())
    const made = (t, more = {}) =>
      managers(t)({ url: server.streamUrl, publishUrl: server.publishUrl, transport, environment: { EventSource }, ...more })
    describe(`by transport ${transport}`, () => tests(server, made))
  }
}
