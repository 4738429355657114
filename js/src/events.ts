/** What `SSEManager` tells its page. */

import type { Failure } from './failure.js'
import type { Gap } from './inbox.js'
import type { SSEMessage } from './message.js'
import type { Refused } from './refused.js'

/** `idle`: nothing is subscribed. `closed`: the server doesn't want to be asked again, or `close()` was called. */
export type State = 'idle' | 'connecting' | 'open' | 'reconnecting' | 'closed'

/** What `on()` can listen to, by name. */
export interface SSEManagerEvents {
  /** The stream is open, for the first time or again. */
  open: { topics: readonly string[] }
  /** The public id of the stream that this page reads now (`stream_id` of sse_stream()); another one after each reconnection. */
  stream: { stream: string }
  /**
   * The server's header `Sse-Refused` names others than before, which this stream does not have; the rest goes on. No names: the
   * stream has everything. An EventSource can't see the header.
   */
  refused: Refused
  /** Every event, whatever its topic. */
  message: SSEMessage
  /** Events may be missing: load the page's state anew. */
  gap: Gap
  /**
   * These topics are finished: their last event has come, or the server has said by 204 that nothing more is to come. After the last
   * of its topics the stream ends, and is not opened again: `closed` follows.
   */
  finished: { topics: readonly string[] }
  /** The stream broke; the next attempt is in `delay` milliseconds. */
  reconnecting: { failure: Failure; delay: number }
  /**
   * The server does not have these topics, which were added; the others go on. With a `delay` they are tried again after so many
   * milliseconds; without one (a 4xx) they are not.
   */
  error: { topics: readonly string[]; failure: Failure; delay: number | null }
  /** It is over: by `close()` (no failure), or because the server said so; `connect()` tries again. */
  closed: { failure: Failure | null }
  /**
   * A proxy holds streams back, so events come by short responses or by long-polls: later, but all of them. Told again where the
   * other of the two is taken.
   */
  degraded: { way: 'short' | 'poll' }
  /** Events come by a stream again. */
  restored: Record<never, never>
  /** This tab has, or no longer has, the connection that all share. */
  leader: { leads: boolean }
}

/** The names of all. */
export const NAMES = [
  'open',
  'stream',
  'refused',
  'message',
  'gap',
  'finished',
  'reconnecting',
  'error',
  'closed',
  'degraded',
  'restored',
  'leader',
] as const
