/**
 * The stream read by the browser's own EventSource. It sends no headers, and it says neither why it fails nor when a
 * heartbeat comes; topics are told by an envelope around the data (`sse_stream()`'s option `'topics_as' => 'envelope'`).
 */

import type { Environment } from './environment.js'
import type { Frame } from './frame.js'
import type { Transport } from './transport.js'

/** Types that every stream may have: events without one, and what the hub tells itself. */
const ALWAYS = ['message', 'gap', 'stream', 'presence.list', 'presence.join', 'presence.leave']

/** A transport by this runtime's EventSource, which listens to events of these types. */
export function eventSourceTransport(environment: Pick<Environment, 'EventSource'>, types: readonly string[]): Transport {
  const { EventSource } = environment
  if (EventSource === null) {
    throw new Error("SSEManager: transport 'eventsource' needs EventSource, which this runtime doesn't have")
  }
  return (request, listener) => {
    const source = new EventSource(request.url, { withCredentials: request.withCredentials })
    // Only a stream that begins with an envelope has envelopes: no publisher can pretend to be the hub by its data.
    let enveloped = false
    let first = true
    let lastId = ''
    const received = (event: MessageEvent<string>) => {
      listener.alive()
      // An event without an id has the one of the event before.
      const id = event.lastEventId === '' || event.lastEventId === lastId ? null : event.lastEventId
      lastId = event.lastEventId
      if (event.type === 'message' && (first || enveloped)) {
        const frame = unwrap(event.data, event.lastEventId)
        if (first) enveloped = frame?.kind === 'cursor'
        first = false
        if (enveloped && frame !== null) {
          listener.frame(frame)
          return
        }
      }
      listener.frame({ kind: 'event', id, type: event.type, data: event.data, topics: [], finished: false, retained: null })
    }
    source.onopen = () => listener.open(null)
    for (const type of new Set([...ALWAYS, ...types])) source.addEventListener(type, received as EventListener)
    source.onerror = () => {
      // "CLOSED: The connection is not open, and the user agent is not trying to reconnect": an error status, or no stream.
      const gaveUp = source.readyState === 2
      source.close()
      const reason = gaveUp ? 'refused' : 'network'
      const message = gaveUp ? 'the browser gave up on the stream' : 'the connection failed or ended'
      listener.fail({ reason, message, final: false })
    }
    return () => source.close()
  }
}

/** What is in an envelope; null if it is none. */
function unwrap(data: string, id: string): Frame | null {
  let content: unknown
  try {
    content = JSON.parse(data)
  } catch {
    return null
  }
  if (typeof content !== 'object' || content === null) return null
  const { cursor, reached, topics: told, event, data: inner, finished, retained: last } = content as Record<string, unknown>
  if (typeof cursor === 'string') return { kind: 'cursor', id: cursor }
  if (typeof reached === 'string') return { kind: 'reached', id: reached }
  if (!Array.isArray(told) || typeof inner !== 'string') return null
  const type = typeof event === 'string' ? event : 'message'
  const topics = told.map(String)
  const retained = typeof last === 'string' ? last : null
  // What has no id comes with that of the event before: a last value, and what the hub tells itself.
  const hasId = id !== '' && retained === null && !topics.some((topic) => topic.startsWith('$'))
  return { kind: 'event', id: hasId ? id : null, type, data: inner, topics, finished: finished === true, retained }
}
