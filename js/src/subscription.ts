/**
 * One subscription: a handler, or an iterator, of the events of a topic or pattern, each of them once and in order.
 *
 * It begins at a place in the order of all events. What is older is none of its business, and may come by all the same: when
 * the connection goes on from an older place for the sake of another subscription, or of another tab.
 */

import { disposable } from './disposable.js'
import type { EventFrame, Received } from './frame.js'
import { guarded } from './emitter.js'
import { type Failure, isEnd } from './failure.js'
import { type Decode, message, type SSEMessage } from './message.js'
import { compare, isOrdered } from './position.js'
import { matches } from './topic.js'

/** Events that may wait for an iterator. */
const MAX_WAITING = 10_000

/** What a subscription is made with, besides its topic. */
export interface SubscribeOptions {
  /** Only events of this type, or of one of these. */
  readonly type?: string | readonly string[]
  /** Ends with the first event. */
  readonly once?: boolean
  /** Ends when that is aborted. */
  readonly signal?: AbortSignal
}

export type Handler<Data = unknown> = (message: SSEMessage<Data>) => void

/**
 * What `subscribe()` returns: a function that ends the subscription, and an async iterator. Leaving the loop ends it too.
 * Without a handler, events wait for the iterator from the beginning on.
 */
export interface Subscription<Data = unknown> extends AsyncIterable<SSEMessage<Data>>, Disposable {
  (): void
  /** The topic or pattern. */
  readonly topic: string
  /**
   * Resolved when the server has taken it: what is published from then on comes. Rejected if the server refuses it, or it is
   * ended before.
   */
  readonly ready: Promise<void>
  /**
   * Resolved when its topic is finished: the last event has come, or the server has said that nothing more is to come. A loop ends then;
   * a handler is called again if the topic begins anew. Never for a pattern with a wildcard, unless the server says so.
   */
  readonly finished: Promise<void>
  /** Why the server does not have it at present: it is tried again, unless `final`. Null while nothing is wrong with it. */
  readonly failure: Failure | null
}

export class Subscriber {
  readonly pattern: string
  readonly ready: Promise<void>
  readonly finished: Promise<void>
  readonly #handler: Handler | undefined
  readonly #decode: Decode
  readonly #waiting: SSEMessage[] = []
  #wanting: { resolve: (result: IteratorResult<SSEMessage>) => void; reject: (error: unknown) => void }[] = []
  #settle: { resolve: () => void; reject: (error: unknown) => void } = { resolve: () => {}, reject: () => {} }
  /** Null until it is known where it begins. */
  #began: { place: string | null; link: string | null } | null = null
  #link: string | null = null
  /** Whether it takes last values: until a stream that began with its topic has sent all there are. */
  #takesLast = true
  /** Whether a stream has begun since, with its topic. */
  #hasBegunStream = false
  /** Topics of which it has had an event before their last values: that was newer. */
  readonly #topics = new Set<string>()
  /** The newest last value that it has had. */
  #lastValue: string | null = null
  #ended = false
  /** Whether the last event of its topic has come, and nothing after it. */
  #last = false
  #tellFinished: () => void = () => {}
  #overflown = false
  /** Why the server does not have it at present. */
  #failure: Failure | null = null
  /** Why an iterator is over, until it has been told. */
  #outcome: Error | 'end' | null = null
  readonly #over: () => void
  readonly #types: readonly string[] | null
  readonly #once: boolean

  constructor(
    pattern: string,
    handler: Handler | undefined,
    decode: Decode,
    from: string | null,
    { type, once = false }: SubscribeOptions,
    over: () => void,
  ) {
    this.#types = type === undefined ? null : typeof type === 'string' ? [type] : type
    this.#once = once

    this.pattern = pattern
    this.#over = over
    this.#handler = handler
    this.#decode = decode
    this.ready = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
    })
    this.finished = new Promise((resolve) => {
      this.#tellFinished = resolve
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

  /** A stream that has its topic is open; `begins`: it has just begun, and not long ago. */
  opened(link: string, begins: boolean): void {
    this.#link = link
    this.#hasBegunStream ||= begins
    this.#failure = this.#outcome = null
    this.#settle.resolve()
  }

  /** The stream that is open may have its topic from now on: the first event that comes shows that it has. */
  expect(link: string): void {
    this.#link = link
  }

  /** The hub's newest event when the stream began. */
  cursor(id: string, link: string): void {
    if (this.#link === link) this.begin(id)
  }

  /** The stream has sent all from before it began. */
  reached(link: string): void {
    if (this.#link !== link || !this.#hasBegunStream) return
    this.#takesLast = false
    this.#topics.clear()
  }

  /** Whether another stream has to begin for its last values. */
  get wantsStream(): boolean {
    return !this.#hasBegunStream
  }

  /** Whether the event is for it, and is none that it has had. */
  claims(frame: EventFrame, { link, ordered }: Received): boolean {
    if (this.#ended || this.#topic(frame) === undefined) return false
    if (frame.retained !== null) {
      const isNew = this.#takesLast ? !frame.topics.some((topic) => this.#topics.has(topic)) : this.#hasMissed(frame.retained)
      return this.#link === link && isNew
    }
    // A stream that doesn't say where it is begins where it begins.
    if (this.#began === null && this.#link === link) this.begin(null)
    if (this.#began === null) return false
    // Who comes after the end gets the last event all the same, first of all.
    if (frame.finished && this.#takesLast && this.#link === link && this.#began.link === null) return true
    return !(ordered && this.#isPast(frame.id, link))
  }

  /** Gets an event that it claims. */
  take(frame: EventFrame): void {
    const topic = this.#topic(frame)
    if (this.#ended || topic === undefined) return
    if (frame.retained !== null) this.#lastValue = frame.retained
    else if (this.#takesLast) this.#topics.add(topic)
    this.#last = frame.finished && frame.topics.includes(this.pattern)
    if (this.#types === null || this.#types.includes(frame.type)) {
      this.#deliver(message(frame, topic, this.#decode))
      if (this.#once) this.#over()
    }
    if (!this.#last) return
    this.#tellFinished()
    for (const { resolve } of this.#wanting.splice(0)) this.#finish('end').then(resolve)
  }

  /** Whether the last event that it has had is the last one of its topic. */
  get isFinished(): boolean {
    return this.#last
  }

  /** The event's topic that it watches. Where the server told no topic, everybody may be meant. */
  #topic(frame: EventFrame): string | undefined {
    return frame.topics.length === 0 ? '' : frame.topics.find((topic) => matches(this.pattern, topic))
  }

  end(error?: Error): void {
    if (this.#ended) return
    this.#ended = true
    this.#settle.reject(error ?? new Error(`the subscription of '${this.pattern}' was ended`))
    for (const { resolve } of this.#wanting) resolve({ done: true, value: undefined })
    this.#wanting = []
  }

  get failure(): Failure | null {
    return this.#failure
  }

  /** The server does not have it yet. */
  fail(failure: Failure): void {
    this.#failure = failure
  }

  /**
   * The server will not have it. A handler may hear of it again after `connect()`; a loop ends here: by the error, or, if the server
   * has said that nothing more is to come, as one does.
   */
  refuse(error: Error, failure: Failure): void {
    if (this.#ended) return
    this.#failure = failure
    this.#outcome = isEnd(failure) ? 'end' : error
    if (isEnd(failure)) this.#tellFinished()
    this.#settle.reject(error)
    const first = this.#wanting.shift()
    if (first === undefined) return
    this.#finish().then(first.resolve, first.reject)
  }

  /** Ends the iterator by what it is over for. */
  #finish(outcome = this.#outcome): Promise<IteratorResult<SSEMessage>> {
    this.#outcome = null
    this.#over()
    return outcome instanceof Error ? Promise.reject(outcome) : Promise.resolve({ done: true, value: undefined })
  }

  next(): Promise<IteratorResult<SSEMessage>> {
    const first = this.#waiting.shift()
    if (first !== undefined) return Promise.resolve({ done: false, value: first })
    if (this.#overflown) {
      this.#overflown = false
      this.#over()
      const error = `more than ${MAX_WAITING} events of '${this.pattern}' waited for the iterator, and were dropped`
      return Promise.reject(new Error(error))
    }
    if (this.#ended) return Promise.resolve({ done: true, value: undefined })
    if (this.#last) return this.#finish('end')
    if (this.#outcome !== null) return this.#finish()
    return new Promise((resolve, reject) => this.#wanting.push({ resolve, reject }))
  }

  /** Whether a last value is newer than all that has come: the history has it no more. */
  #hasMissed(id: string): boolean {
    const places = [this.#began?.place ?? null, this.#lastValue].filter((place) => place !== null)
    return places.length > 0 && places.every((place) => (compare(id, place) ?? 0) > 0)
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

/** What `subscribe()` returns for a subscriber, which `end` ends. */
export function handle(subscriber: Subscriber, end: () => void): Subscription {
  const iterator = (): AsyncIterator<SSEMessage> => ({
    next: () => subscriber.next(),
    return: () => {
      end()
      return Promise.resolve({ done: true, value: undefined })
    },
  })
  const { pattern: topic, ready, finished } = subscriber
  const subscription = Object.assign(end, { topic, ready, finished, [Symbol.asyncIterator]: iterator })
  Object.defineProperty(subscription, 'failure', { get: () => subscriber.failure })
  disposable(subscription, end)
  return subscription as unknown as Subscription
}
