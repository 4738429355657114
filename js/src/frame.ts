/** What a connection reads from its stream, in order; also what one tab passes on to the others. */

/** An event as it came. */
export interface EventFrame {
  readonly kind: 'event'
  /** The id that came with it; null if none did. */
  readonly id: string | null
  /** "If the event type buffer is the empty string", `message`. */
  readonly type: string
  readonly data: string
  /** The topics that the server told; empty if it told none. */
  readonly topics: readonly string[]
  /** Whether it is the last event of its topics. */
  readonly finished: boolean
  /** Of a last value, which comes first and without an id (`retained` of sse_stream()): its id; null for any other event. */
  readonly retained: string | null
}

/** The newest event of all when the stream began; the hub's stream begins with it. */
export interface CursorFrame {
  readonly kind: 'cursor'
  readonly id: string
}

/** All that came before that event has been sent. */
export interface ReachedFrame {
  readonly kind: 'reached'
  readonly id: string
}

export type Frame = EventFrame | CursorFrame | ReachedFrame

/** The public id that the server tells of the stream (`stream_id`); null if the frame is anything else. What somebody published has an id. */
export function streamId(frame: Frame): string | null {
  if (frame.kind !== 'event' || frame.type !== 'stream' || frame.id !== null || frame.topics.length > 0) return null
  try {
    const { stream } = JSON.parse(frame.data) as { stream?: unknown }
    return typeof stream === 'string' ? stream : null
  } catch {
    return null
  }
}

/** A frame, and the stream that it came by. */
export interface Received {
  readonly frame: Frame
  /** Names the stream; never given twice. */
  readonly link: string
  /** Whether the stream is the hub's own, whose events come in the order of their ids. */
  readonly ordered: boolean
}
