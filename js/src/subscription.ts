/**
 * One subscription: a handler, or an iterator, of the events of a topic or pattern, each of them once and in order.
 *
 * It begins at a place in the order of all events. What is older is none of its business, and may come by all the same: when
 * the connection goes on from an older place for the sake of another subscription, or of another tab.
 */

import type { EventFrame, Received } from './frame.js'
import { guarded } from './emitter.js'
import { type Decode, message, type SSEMessage } from './message.js'
import { compare, isOrdered } from './position.js'
import { matches } from './topic.js'

/** Events that may wait for an iterator. */
const MAX_WAITING = 10_000

export type Handler<Data = unknown> = (message: SSEMessage<Data>) => void

/**
 * What `subscribe()` returns: a function that ends the subscription, and an async iterator. Leaving the loop ends it too.
 * Without a handler, events wait for the iterator from the beginning on.
 */
export interface Subscription<Data = unknown> extends AsyncIterable<SSEMessage<Data>> {
  (): void
  /** The topic or pattern. */
  readonly topic: string
  /**
   * Resolved when the server has taken it: what is published from then on comes. Rejected if the server refuses it, or it is
   * ended before.
   */
  readonly ready: Promise<void>
}

export class Subscriber {
  readonly pattern: string
  readonly ready: Promise<void>
  readonly #handler: Handler | undefined
  readonly #decode: Decode
  readonly #waiting: SSEMessage[] = []
  #wanting: { resolve: (result: IteratorResult<SSEMessage>) => void; reject: (error: unknown) => void }[] = []
  #settle: { resolve: () => void; reject: (error: unknown) => void } = { resolve: () => {}, reject: () => {} }
  /** Null until it is known where it begins. */
  #began: { place: string | null; link: string | null } | null = null
  #link: string | null = null
  #ended = false
  #overflown = false

  constructor(pattern: string, handler: Handler | undefined, decode: Decode, from: string | null) {
    this.pattern = pattern
    this.#handler = handler
    this.#decode = decode
    this.ready = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
    })
    // Who doesn't ask whether it is ready needs no word of a rejection.
    this.ready.catch(() => {})
    if (from !== null) this.begin(from)
  }

  /** Whether it has a place, from which everything is needed. */
  get began(): boolean {
    return this.#began !== null
  }

  /** It begins after this place; null: with whatever comes next. */
  begin(place: string | null): void {
    this.#began ??= { place: place !== null && isOrdered(place) ? place : null, link: null }
  }

  /** A stream that has its topic is open. */
  opened(link: string): void {
    this.#link = link
    this.#settle.resolve()
  }

  /** The hub's newest event when the stream began. */
  cursor(id: string, link: string): void {
    if (this.#link === link) this.begin(id)
  }

  offer(frame: EventFrame, { link, ordered }: Received): void {
    if (this.#ended) return
    // Where the server told no topic, everybody may be meant.
    const topic = frame.topics.length === 0 ? '' : frame.topics.find((topic) => matches(this.pattern, topic))
    if (topic === undefined) return
    // A stream that doesn't say where it is begins where it begins.
    if (this.#began === null && this.#link === link) this.begin(null)
    if (this.#began === null || (ordered && this.#isPast(frame.id, link))) return
    this.#deliver(message(frame, topic, this.#decode))
  }

  end(error?: Error): void {
    if (this.#ended) return
    this.#ended = true
    this.#settle.reject(error ?? new Error(`the subscription of '${this.pattern}' was ended`))
    for (const { resolve } of this.#wanting) resolve({ done: true, value: undefined })
    this.#wanting = []
  }

  refuse(error: Error): void {
    this.#settle.reject(error)
  }

  next(): Promise<IteratorResult<SSEMessage>> {
    const first = this.#waiting.shift()
    if (first !== undefined) return Promise.resolve({ done: false, value: first })
    if (this.#overflown) {
      this.end()
      const error = `more than ${MAX_WAITING} events of '${this.pattern}' waited for the iterator, and were dropped`
      return Promise.reject(new Error(error))
    }
    if (this.#ended) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve, reject) => this.#wanting.push({ resolve, reject }))
  }

  /** Whether an event of an ordered stream has come before, or is older than the beginning. */
  #isPast(id: string | null, link: string): boolean {
    if (id === null || !isOrdered(id) || this.#began === null) return false
    const { place, link: by } = this.#began
    const order = place === null ? null : compare(id, place)
    // Two events of one stream may have one id, the same one twice by two streams may not.
    if (order !== null && (order < 0 || (order === 0 && by !== link))) return true
    this.#began = { place: id, link }
    return false
  }

  #deliver(message: SSEMessage): void {
    if (this.#handler) guarded(() => this.#handler?.(message))
    const wanting = this.#wanting.shift()
    if (wanting) wanting.resolve({ done: false, value: message })
    else if (!this.#handler && !this.#overflown) {
      this.#waiting.push(message)
      if (this.#waiting.length > MAX_WAITING) {
        this.#overflown = true
        this.#waiting.length = MAX_WAITING
      }
    }
  }
}
