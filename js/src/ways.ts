/**
 * How events come: by a stream that lasts, or, where a proxy holds back what has not ended, by responses that end soon.
 *
 * A proxy that holds a stream back shows by what is missing: php-sse sends the first bytes with the headers. Then shorter ways are
 * tried, in order; the first one that brings something is kept for some time, after which a lasting stream is tried again. Where none
 * of them does, nothing but a lasting stream is asked for, for just as long.
 */

import type { Store } from './environment.js'

/** `stream`: a response that lasts. `short`: one that ends after some seconds. `poll`: a POST that ends with its first events. */
export type Way = 'stream' | 'short' | 'poll'

/** What a request asks for besides its topics. */
export interface WayRequest {
  readonly way: Way
  /** Milliseconds after which the server is to end the response; 0: never. */
  readonly lifetime: number
  /** Whether it tries a lasting stream again, while another way works. */
  readonly trial: boolean
}

export interface WaysConfig {
  /** Ways to try in place of a lasting stream, in order; none: it is not looked whether one is held back. */
  readonly fallback: readonly Exclude<Way, 'stream'>[]
  /** Milliseconds that the first bytes of a response may take after its headers. */
  readonly firstBytesTimeout: number
  readonly lifetimes: { readonly short: number; readonly poll: number }
  /** Milliseconds for which another way is kept. */
  readonly keep: number
}

export class Ways {
  readonly config: WaysConfig
  readonly #ways: readonly Way[]
  readonly #now: () => number
  readonly #store: Store | null
  readonly #key: string
  /** The one that is asked for next. */
  #at = 0
  /** The one that works while a lasting stream is tried again; 0: none. */
  #works = 0
  /** When a lasting stream is tried again. */
  #due = 0
  /** Until when there is no use in other ways. */
  #hopelessUntil = 0

  /** `store` keeps the way that works for the next page of the same address. */
  constructor(config: WaysConfig, now: () => number, store: Store | null, url: string) {
    this.config = config
    this.#ways = ['stream', ...config.fallback]
    this.#now = now
    this.#store = store
    this.#key = `sse-manager way ${url}`
    this.#remember()
  }

  /** Whether it is looked for the first bytes, as another way could be taken. */
  get watches(): boolean {
    return this.#at > 0 || (this.#ways.length > 1 && this.#now() >= this.#hopelessUntil)
  }

  next(): WayRequest {
    if (this.#at > 0 && this.#at === this.#works && this.#now() >= this.#due) this.#at = 0
    const way = this.#ways[this.#at] ?? 'stream'
    return { way, lifetime: way === 'stream' ? 0 : this.config.lifetimes[way], trial: way === 'stream' && this.#works > 0 }
  }

  /** Nothing came by this way, in time. */
  failed(way: Way): void {
    if (this.#ways[this.#at] !== way || !this.watches) return
    if (this.#at === 0 && this.#works > 0) {
      this.#at = this.#works
      this.#due = this.#now() + this.config.keep
      return
    }
    this.#at++
    if (this.#at < this.#ways.length) return
    this.#hopelessUntil = this.#now() + this.config.keep
    this.#reset()
  }

  /** Something came by this way, and not before the end of the response. */
  works(way: Way): void {
    const at = this.#ways.indexOf(way)
    if (at <= 0) return this.#reset()
    if (this.#works === at) return
    this.#at = this.#works = at
    this.#due = this.#now() + this.config.keep
    this.#save(`${way} ${this.#due}`)
  }

  /** A lasting stream is asked for next: responses are not held back, or the network is another one. */
  improve(): void {
    this.#at = 0
    this.#due = this.#hopelessUntil = 0
  }

  /** Another tab has found that this way works. */
  use(way: Way): void {
    if (this.#ways.indexOf(way) > 0) this.works(way)
  }

  #reset(): void {
    this.#at = this.#works = 0
    this.#save(null)
  }

  #save(value: string | null): void {
    try {
      if (value === null) this.#store?.removeItem(this.#key)
      else this.#store?.setItem(this.#key, value)
    } catch {
      // "Throws a QuotaExceededError": the next page finds it out by itself.
    }
  }

  /** Goes on with what an earlier page has found, for as long as that one would have. */
  #remember(): void {
    let [way, due]: string[] = []
    try {
      ;[way, due] = this.#store?.getItem(this.#key)?.split(' ') ?? []
    } catch {
      return
    }
    const at = this.#ways.indexOf(way as Way)
    if (at <= 0 || !(Number(due) > this.#now())) return
    this.#at = this.#works = at
    this.#due = Number(due)
  }
}
