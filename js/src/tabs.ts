/**
 * The tabs of a browser that share one connection: which of them has it, and what they tell each other.
 *
 * A Web Lock elects the one: "the lock will be … released when the agent terminates", so that another one gets it as soon as
 * the tab is closed, crashes or is thrown away. A BroadcastChannel carries what they say, in order.
 */

import type { Environment, Locks } from './environment.js'
import type { Failure } from './failure.js'
import type { Received } from './frame.js'

/** What one tab tells all others. */
export type Word =
  /** I watch these topics; with a place, I need everything after it. */
  | { readonly say: 'want'; readonly tab: string; readonly topics: readonly string[]; readonly from: string | null }
  /** I am gone. */
  | { readonly say: 'bye'; readonly tab: string }
  /** Is anybody leading? */
  | { readonly say: 'ping' }
  /** Try again now. */
  | { readonly say: 'again' }
  /** I lead from now on, and don't know yet what you watch. */
  | { readonly say: 'hello' }
  /** I lead, and this is how it is. */
  | {
      readonly say: 'state'
      readonly state: string
      readonly link: string | null
      readonly topics: readonly string[]
      /** Everything after this comes yet. */
      readonly place: string | null
      /** The newest that has come. */
      readonly now: string | null
    }
  | News

/** What the connection tells; the same for the tab that has it and all others. */
export type News =
  | { readonly say: 'opened'; readonly link: string; readonly topics: readonly string[]; readonly from: string | null }
  | { readonly say: 'received'; readonly received: Received }
  | { readonly say: 'reconnecting'; readonly failure: Failure; readonly delay: number }
  | { readonly say: 'refused'; readonly topics: readonly string[]; readonly failure: Failure }
  | { readonly say: 'closed'; readonly failure: Failure }

/** Whom it tells. */
export interface TabsListener {
  /** This tab can be heard by the others. */
  joined(): void
  /** This tab has the connection from now on; with `alone`, no other tab waited for it. */
  lead(alone: boolean): void
  /** Another tab has taken it. */
  follow(): void
  heard(word: Word): void
}

export class Tabs {
  readonly #name: string
  readonly #id: string
  readonly #locks: Locks
  readonly #Channel: NonNullable<Environment['BroadcastChannel']>
  readonly #listener: TabsListener
  #channel: InstanceType<NonNullable<Environment['BroadcastChannel']>> | null = null
  /** Ends the wait for the lock, or lets it go. */
  #let: (() => void) | null = null
  /** Ends all waits. */
  #away: AbortSignal | null = null
  #leads = false
  /** Counts joins, so that what an earlier one waited for is not taken for this one's. */
  #turn = 0

  /** Null where this runtime can't share. */
  static among(name: string, id: string, environment: Environment, listener: TabsListener): Tabs | null {
    const { locks, BroadcastChannel } = environment
    return locks === null || BroadcastChannel === null ? null : new Tabs(name, id, locks, BroadcastChannel, listener)
  }

  private constructor(
    name: string,
    id: string,
    locks: Locks,
    Channel: NonNullable<Environment['BroadcastChannel']>,
    listener: TabsListener,
  ) {
    this.#name = `sse-manager ${name}`
    this.#id = id
    this.#locks = locks
    this.#Channel = Channel
    this.#listener = listener
  }

  get leads(): boolean {
    return this.#leads
  }

  join(): void {
    const turn = ++this.#turn
    this.#channel = new this.#Channel(this.#name)
    this.#channel.onmessage = ({ data }) => {
      if (turn === this.#turn) this.#listener.heard(data as Word)
    }
    const away = new AbortController()
    let letTab = () => {}
    let letLead = () => {}
    this.#away = away.signal
    this.#let = () => {
      away.abort()
      letTab()
      letLead()
    }
    const leading = (alone: boolean) => {
      if (turn !== this.#turn) return undefined
      this.#leads = true
      this.#listener.lead(alone)
      return new Promise<void>((resolve) => (letLead = resolve))
    }
    // Held for as long as the tab lives, for others to see when it is gone; and before they hear of it.
    const alive = (): Promise<void> | undefined => {
      if (turn !== this.#turn) return undefined
      this.#queue = () => this.#hold(turn, { signal: away.signal }, () => leading(false))
      this.#hold(turn, { ifAvailable: true }, (lock) => {
        if (lock !== null) return leading(true)
        this.#queue()
        return undefined
      })
      this.#listener.joined()
      return new Promise<void>((resolve) => (letTab = resolve))
    }
    this.#locks.request(`${this.#name} ${this.#id}`, { signal: away.signal }, alive).catch(() => {})
  }

  /** Waits for the lock. */
  #queue: () => void = () => {}

  /** Takes the connection from a tab that doesn't answer: it may be frozen. */
  steal(): void {
    const turn = this.#turn
    if (this.#leads || this.#channel === null) return
    this.#hold(turn, { steal: true }, () => {
      if (turn !== this.#turn) return undefined
      this.#leads = true
      this.#listener.lead(false)
      return new Promise<void>((resolve) => {
        const before = this.#let
        this.#let = () => {
          resolve()
          before?.()
        }
      })
    })
  }

  leave(): void {
    this.#turn++
    if (this.#channel !== null) this.say({ say: 'bye', tab: this.#id })
    this.#leads = false
    this.#let?.()
    this.#let = null
    this.#channel?.close()
    this.#channel = null
  }

  say(word: Word): void {
    this.#channel?.postMessage(word)
  }

  /** Calls `gone` when that tab has ended, however it did. */
  outlive(tab: string, gone: () => void): void {
    const turn = this.#turn
    const options = this.#away === null ? {} : { signal: this.#away }
    this.#locks
      .request(`${this.#name} ${tab}`, options, () => (turn === this.#turn ? gone() : undefined))
      .catch(() => {})
  }

  #hold(
    turn: number,
    options: { ifAvailable?: boolean; steal?: boolean; signal?: AbortSignal },
    held: (lock: unknown) => Promise<void> | void,
  ): void {
    this.#locks.request(this.#name, options, held).catch(() => {
      // "AbortError": the wait was ended, or another tab has stolen the lock.
      if (turn !== this.#turn || !this.#leads) return
      this.#leads = false
      this.#listener.follow()
      this.#queue()
    })
  }
}
