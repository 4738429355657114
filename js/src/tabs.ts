/**
 * The tabs of a browser that share one connection: which of them has it, and what they tell each other.
 *
 * A Web Lock, or one of a shared worker, elects the one: "the lock will be … released when the agent terminates", so that another one gets it as soon as
 * the tab is closed, crashes or is thrown away. A BroadcastChannel carries what they say, in order.
 */

import type { Environment, Locks } from './environment.js'
import type { Failure } from './failure.js'
import type { Received } from './frame.js'
import type { Room } from './presence.js'
import { Timer } from './timer.js'
import { NoLocks, WorkerLocks } from './worker-locks.js'
import type { Way } from './ways.js'

/** What one tab tells all others. */
export type Word =
  /** I watch these topics; with a place, I need everything after it. With `less`, I have only ended subscriptions. */
  | {
      readonly say: 'want'
      readonly tab: string
      readonly topics: readonly string[]
      /** Those that the stream must have by their names, also where a pattern of another tab covers them. */
      readonly exact: readonly string[]
      readonly from: string | null
      readonly less: boolean
      /** Whether some of them have not had their last values. */
      readonly anew: boolean
    }
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
      /** The public id of the stream, if the server tells it. */
      readonly stream: string | null
      /** Its header `Sse-Refused`. */
      readonly refused: string | null
      /** How events come. */
      readonly way: Way
      /** Everything after this comes yet. */
      readonly place: string | null
      /** The newest that has come. */
      readonly now: string | null
    }
  /** I lead, and this is who is on the topics that this tab has begun to watch. */
  | { readonly say: 'present'; readonly tab: string; readonly rooms: readonly Room[] }
  | News

/** What the connection tells; the same for the tab that has it and all others. */
export type News =
  | {
      readonly say: 'opened'
      readonly link: string
      readonly topics: readonly string[]
      readonly from: string | null
      readonly refused: string | null
    }
  | { readonly say: 'named'; readonly stream: string }
  | { readonly say: 'changing'; readonly link: string; readonly topics: readonly string[] }
  | { readonly say: 'changed'; readonly link: string; readonly topics: readonly string[]; readonly place: string }
  | { readonly say: 'received'; readonly received: Received }
  | { readonly say: 'reconnecting'; readonly failure: Failure; readonly delay: number }
  | { readonly say: 'failing'; readonly topics: readonly string[]; readonly failure: Failure; readonly delay: number }
  | { readonly say: 'refused'; readonly topics: readonly string[]; readonly failure: Failure }
  | { readonly say: 'comes'; readonly way: Way }
  | { readonly say: 'closed'; readonly failure: Failure }

/** Milliseconds between looks after the tab that has the connection, and for its answer. */
const LOOK_AFTER = 20_000
const ANSWER = 5_000

/** What says nothing of the tab that has the connection. */
const NO_ANSWER: readonly Word['say'][] = ['want', 'bye', 'ping', 'again', 'hello']

/** Whom it tells. */
export interface TabsListener {
  /** This tab can be heard by the others. */
  joined(): void
  /** This tab has the connection from now on; with `alone`, no other tab waited for it. */
  lead(alone: boolean): void
  /** Another tab has taken it. */
  follow(): void
  heard(word: Word): void
  /** There is no way to share, after all. */
  alone(): void
}

export class Tabs {
  readonly #name: string
  readonly #id: string
  readonly #locks: Locks
  readonly #Channel: NonNullable<Environment['BroadcastChannel']>
  readonly #document: Environment['document']
  readonly #listener: TabsListener
  readonly #lookAfter: Timer
  readonly #answer: Timer
  #channel: InstanceType<NonNullable<Environment['BroadcastChannel']>> | null = null
  /** Ends the wait for the lock, or lets it go. */
  #let: (() => void) | null = null
  /** Ends all waits. */
  #away: AbortSignal | null = null
  #leads = false
  /** Counts joins, so that what an earlier one waited for is not taken for this one's. */
  #turn = 0

  /** Null where this runtime can't share. */
  static among(
    name: string,
    id: string,
    workerUrl: string | undefined,
    environment: Environment,
    listener: TabsListener,
  ): Tabs | null {
    const { BroadcastChannel, SharedWorker } = environment
    const isWorkers = environment.locks === null && workerUrl !== undefined && SharedWorker !== null && BroadcastChannel !== null
    const locks = isWorkers ? new WorkerLocks(workerUrl, environment, SharedWorker) : environment.locks
    return locks === null || BroadcastChannel === null ? null : new Tabs(name, id, locks, BroadcastChannel, environment, listener)
  }

  private constructor(
    name: string,
    id: string,
    locks: Locks,
    Channel: NonNullable<Environment['BroadcastChannel']>,
    environment: Environment,
    listener: TabsListener,
  ) {
    this.#name = `sse-manager ${name}`
    this.#id = id
    this.#locks = locks
    this.#Channel = Channel
    this.#document = environment.document
    this.#listener = listener
    this.#lookAfter = new Timer(environment)
    this.#answer = new Timer(environment)
  }

  /** Whether it has joined the others, or is about to. */
  get joined(): boolean {
    return this.#channel !== null
  }

  get leads(): boolean {
    return this.#leads
  }

  join(): void {
    const turn = ++this.#turn
    this.#channel = new this.#Channel(this.#name)
    this.#channel.onmessage = ({ data }) => {
      if (turn !== this.#turn) return
      const word = data as Word
      if (!NO_ANSWER.includes(word.say)) this.#answer.stop()
      this.#listener.heard(word)
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
      this.#lead(alone)
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
    this.#locks.request(`${this.#name} ${this.#id}`, { signal: away.signal }, alive).catch((error: unknown) => {
      if (turn !== this.#turn) return
      const led = this.#leads
      this.leave()
      if (error instanceof NoLocks) return this.#listener.alone()
      // The worker has taken this tab for dead, and so do the others.
      if (led) this.#listener.follow()
      this.join()
    })
    this.#watchOver()
  }

  #lead(alone: boolean): void {
    this.#leads = true
    this.#answer.stop()
    this.#listener.lead(alone)
  }

  /** Looks from time to time whether the tab with the connection is alive: it may be frozen, and hold its lock. */
  #watchOver(): void {
    this.#lookAfter.start(LOOK_AFTER, () => {
      this.#watchOver()
      if (this.#document?.visibilityState !== 'hidden') this.ask()
    })
  }

  /** Asks the tab that has the connection whether it is alive, and takes it over if nothing comes. */
  ask(): void {
    if (this.#leads || !this.joined || this.#answer.runs) return
    this.say({ say: 'ping' })
    this.#answer.start(ANSWER, () => this.#steal())
  }

  /** Waits for the lock. */
  #queue: () => void = () => {}

  /** Takes the connection from a tab that doesn't answer: it may be frozen. */
  #steal(): void {
    const turn = this.#turn
    if (this.#leads || this.#channel === null) return
    this.#hold(turn, { steal: true }, () => {
      if (turn !== this.#turn) return undefined
      this.#lead(false)
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
    this.#lookAfter.stop()
    this.#answer.stop()
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
