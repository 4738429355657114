/** What comes in, whether by the tab's own connection or by another tab's, and who gets it. */

import type { EventFrame, Received } from './frame.js'
import { compare, isOrdered } from './position.js'
import { Rooms } from './presence.js'
import type { Subscriber } from './subscription.js'
import { allCovered } from './topic.js'

/** Events remembered whose ids don't tell their order. */
const REMEMBERED = 1000

/** Events may be missing: the page should load its state anew. */
export interface Gap {
  /** The id that was to be gone on from. */
  readonly requested: string
  /** The oldest event that follows; null if there is none. */
  readonly oldest: string | null
}

export class Inbox {
  readonly subscribers = new Set<Subscriber>()
  readonly rooms = new Rooms()
  /** The newest place up to which this tab has everything. */
  #position: string | null
  /** The stream that this tab reads: one that began, or was joined, where the tab was. */
  #reads: string | null = null
  /** Events by publishers' own ids, and the stream that brought each. */
  readonly #remembered = new Map<string, string>()
  readonly #gap: (gap: Gap) => void
  readonly #message: (frame: EventFrame) => void
  readonly #finished: (topics: readonly string[]) => void

  constructor(
    position: string | null,
    gap: (gap: Gap) => void,
    message: (frame: EventFrame) => void,
    finished: (topics: readonly string[]) => void,
  ) {
    this.#position = position
    this.#gap = gap
    this.#message = message
    this.#finished = finished
  }

  get position(): string | null {
    return this.#position
  }

  /** What all subscriptions watch, without what another pattern covers. */
  get topics(): string[] {
    return union([...this.subscribers].map(({ pattern }) => pattern), this.rooms.wanted)
  }

  /** The topics of subscriptions that have not had a last event. */
  get unfinished(): string[] {
    return union([...this.subscribers].filter(({ isFinished }) => !isFinished).map(({ pattern }) => pattern))
  }

  /** Ends a subscription; true if it was one. After the last one, nothing is needed from anywhere. */
  remove(subscriber: Subscriber): boolean {
    const removed = this.subscribers.delete(subscriber)
    if (this.subscribers.size === 0) this.#position = null
    return removed
  }

  /** Whether anything is needed from where it is. */
  get hasBegun(): boolean {
    return [...this.subscribers].some(({ began }) => began)
  }

  /** This tab goes on from here. */
  resume(place: string): void {
    this.#advance(place)
  }

  /**
   * A stream of these topics is open, and begins at this place. False if that is too late for this tab: it doesn't read the
   * stream then, as it would take what it has missed for what it has had.
   */
  opened(link: string, topics: readonly string[], from: string | null): boolean {
    this.#reads = this.#isIn(from) ? link : null
    if (this.#reads === null) return false
    this.rooms.keep(topics)
    for (const subscriber of this.subscribers) {
      if (allCovered([subscriber.pattern], topics)) subscriber.opened(link, true)
    }
    return true
  }

  /** A stream that has been open for some time is at `place`, and everything up to `now` has come by it or another. */
  joined(link: string, topics: readonly string[], place: string | null, now: string | null): boolean {
    if (this.#reads !== link && !this.#isIn(place)) return false
    this.#reads = link
    this.#position ??= now
    for (const subscriber of this.subscribers) {
      if (!allCovered([subscriber.pattern], topics)) continue
      subscriber.opened(link, false)
      // Where that is not known yet, the stream itself will say where it begins.
      if (now !== null) subscriber.begin(now)
    }
    return true
  }

  /** A stream is asked to bring these topics as well. */
  expect(link: string, topics: readonly string[]): void {
    if (this.#reads !== link) return
    for (const subscriber of this.subscribers) {
      if (!subscriber.began && allCovered([subscriber.pattern], topics)) subscriber.expect(link)
    }
  }

  /** A stream has these topics, and of those that are new everything after `place`. False if this tab doesn't read it. */
  changed(link: string, topics: readonly string[], place: string): boolean {
    if (this.#reads !== link) return false
    this.rooms.keep(topics)
    for (const subscriber of this.subscribers) {
      if (!allCovered([subscriber.pattern], topics)) continue
      subscriber.opened(link, false)
      subscriber.begin(place)
    }
    return true
  }

  /** This tab hears nothing any more, until it joins again. */
  left(): void {
    this.#reads = null
    this.rooms.clear()
  }

  /** Whether this tab misses nothing by a stream that goes on from this place. */
  #isIn(place: string | null): boolean {
    if (place === null || this.#position === null) return true
    const order = compare(place, this.#position)
    return order === null || order <= 0
  }

  received(received: Received): void {
    const { frame, link, ordered } = received
    if (link !== this.#reads) return
    if (frame.kind === 'cursor') {
      if (this.#position === null) this.#position = frame.id
      for (const subscriber of this.subscribers) subscriber.cursor(frame.id, link)
    } else if (frame.kind === 'reached') {
      this.#advance(frame.id)
      for (const subscriber of this.subscribers) subscriber.reached(link)
    } else if (isGap(frame)) {
      this.#tellGap(frame)
    } else if (!this.rooms.take(frame) || frame.topics.length > 0) {
      this.#advance(frame.id)
      if (frame.id !== null && !(ordered && isOrdered(frame.id)) && this.#cameBefore(frame, frame.id, link)) return
      // Two streams overlap while one takes the other's place: an event is new if some subscription has not had it.
      const claiming = [...this.subscribers].filter((subscriber) => subscriber.claims(frame, received))
      if (claiming.length > 0) this.#message(frame)
      for (const subscriber of claiming) subscriber.take(frame)
      if (frame.finished && claiming.length > 0) this.#finished(frame.topics)
    }
  }

  #advance(id: string | null): void {
    if (id === null) return
    const order = this.#position === null ? null : compare(id, this.#position)
    if (order === null || order > 0) this.#position = id
  }

  /** Whether this event came by an earlier stream: the same id, type and data. */
  #cameBefore({ type, data }: EventFrame, id: string, link: string): boolean {
    const key = `${id}\n${type}\n${data.length}\n${hash(data)}`
    const by = this.#remembered.get(key)
    this.#remembered.delete(key)
    // Once by each stream; a second time by the same one, it is meant.
    if (by !== undefined && by !== link) return true
    this.#remembered.set(key, link)
    if (this.#remembered.size > REMEMBERED) {
      for (const oldest of this.#remembered.keys()) {
        this.#remembered.delete(oldest)
        break
      }
    }
    return false
  }

  /** The place that was asked for may have been another tab's, and before what this one has. */
  #tellGap(frame: EventFrame): void {
    if (!this.hasBegun) return
    const { requested, oldest } = parseGap(frame.data)
    if (this.#position !== null && oldest !== null) {
      const ahead = compare(this.#position, requested)
      const kept = compare(this.#position, oldest)
      if (ahead !== null && ahead > 0 && kept !== null && kept >= 0) return
    }
    this.#gap({ requested, oldest })
  }
}

/** All patterns, once each, but those that another one covers; `exact` ones in any case. */
export function union(patterns: readonly string[], exact: readonly string[] = []): string[] {
  const all = [...new Set(patterns)].sort()
  return all.filter((pattern) => exact.includes(pattern) || !all.some((other) => other !== pattern && allCovered([pattern], [other])))
}

/** The hub's own word; an event of that type which somebody published has an id. */
function isGap({ type, id, topics }: EventFrame): boolean {
  return type === 'gap' && id === null && topics.length === 0
}

function parseGap(data: string): Gap {
  try {
    const { requested, oldest } = JSON.parse(data) as Record<string, unknown>
    return { requested: String(requested ?? ''), oldest: typeof oldest === 'string' ? oldest : null }
  } catch {
    return { requested: '', oldest: null }
  }
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193)
  return value >>> 0
}
