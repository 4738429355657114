/**
 * One connection that heals itself. It owns at most two streams: the one that is open, and the one that is about to take its
 * place, because the topics have changed or the old one may be dead. The old one is closed when the new one is open, which
 * begins where the old one was; what comes twice that way is told apart by who reads it (see subscription.ts).
 */

import { delay } from './backoff.js'
import type { Environment } from './environment.js'
import type { Failure } from './failure.js'
import type { Frame, Received } from './frame.js'
import { compare, older } from './position.js'
import { Timer } from './timer.js'
import { allCovered } from './topic.js'
import type { Transport } from './transport.js'

/** What a connection is made with. */
export interface ConnectionConfig {
  /** Names its streams. */
  readonly name: string
  readonly transport: Transport
  readonly url: (topics: readonly string[], lastEventId: string | null) => string
  readonly headers: (lastEventId: string | null) => Promise<Record<string, string>> | Record<string, string>
  readonly withCredentials: boolean
  /** Milliseconds before a stream that broke is opened again, until the server tells another time. */
  readonly retry: number
  /** Milliseconds between two attempts at most. */
  readonly longestDelay: number
  /** Milliseconds without a byte after which a stream counts as dead; 0: never. */
  readonly heartbeatTimeout: number
  /** Milliseconds that the server may take to begin a stream. */
  readonly openTimeout: number
  readonly environment: Pick<Environment, 'setTimeout' | 'clearTimeout' | 'now' | 'random'>
}

/** Whom it tells. */
export interface ConnectionListener {
  /** A stream of these topics, from this place on, has become the one that is read. */
  opened(link: string, topics: readonly string[], from: string | null): void
  received(received: Received): void
  /** The stream broke, or could not be opened; the next attempt is in so many milliseconds. */
  reconnecting(failure: Failure, delay: number): void
  /** The server will not have these topics, but those from before, which go on. */
  refused(topics: readonly string[], failure: Failure): void
  /** The server doesn't want to be asked again. */
  closed(failure: Failure): void
}

interface Link {
  readonly name: string
  readonly topics: readonly string[]
  /** The place it was asked to go on from. */
  readonly from: string | null
  stop: () => void
  /** When the last byte came, or it was asked for. */
  alive: number
  /** When it was opened; null before. */
  opened: number | null
  /** Whether it has brought anything yet. */
  begun: boolean
  ordered: boolean
}

/** Milliseconds in which the first frame of a stream tells where it is, if it is php-sse's. */
const PLACE = 1000

export class Connection {
  readonly #config: ConnectionConfig
  readonly #listener: ConnectionListener
  #wanted: readonly string[] = []
  #current: Link | null = null
  #next: Link | null = null
  /** The topics of the last stream that was opened. */
  #accepted: readonly string[] = []
  #lastId: string | null = null
  /** A place before `#lastId` that somebody needs all events from, until they have come. */
  #needed: string | null = null
  #retry: number
  #failures = 0
  #links = 0
  readonly #timer: Timer
  /** When the next attempt is due, and the time before which the server doesn't want it. */
  #due = 0
  #notBefore = 0
  readonly #watchdog: Timer
  #over = false

  constructor(config: ConnectionConfig, listener: ConnectionListener) {
    this.#config = config
    this.#listener = listener
    this.#retry = config.retry
    this.#timer = new Timer(config.environment)
    this.#watchdog = new Timer(config.environment)
  }

  /** The id to go on from: the last that came, or the newest of all when nothing had been missed. */
  get lastId(): string | null {
    return this.#lastId
  }

  /** The topics of the stream that is open; none while none is. */
  get topics(): readonly string[] {
    return this.#current?.topics ?? []
  }

  /** The stream that is open. */
  get link(): { name: string; ordered: boolean } | null {
    return this.#current
  }

  /**
   * Reads these topics from now on; those that were read before are not interrupted. `from`: a place from which all events
   * are needed, however far the connection is.
   */
  watch(topics: readonly string[], from: string | null = null): void {
    this.#over = false
    this.#wanted = topics
    if (topics.length === 0) {
      this.close()
      // Nobody needs what comes meanwhile.
      this.#accepted = []
      this.#lastId = this.#needed = null
      return
    }
    const behind = from !== null && this.#isBehind(from)
    if (behind) this.#needed = older(this.#needed, from)
    const reading = this.#next ?? this.#current
    if (reading !== null && allCovered(topics, reading.topics)) {
      // A stream that is open has passed that place; one that is about to be may begin before it.
      if (reading.opened === null ? this.#reaches(reading) : !behind) return
    }
    // The next attempt will ask for them.
    if (reading === null && this.#timer.runs) return
    this.#connect()
  }

  /** Whether events that come after this place may have passed by already. */
  #isBehind(place: string): boolean {
    if (this.#lastId === null) return true
    const order = compare(place, this.#lastId)
    // Of two ids that publishers have chosen it can't be told: rather something comes twice, which is noticed.
    return order === null || order < 0
  }

  /** Whether a stream began early enough for what is needed. */
  #reaches(link: Link): boolean {
    if (this.#needed === null) return true
    const order = link.from === null ? null : compare(link.from, this.#needed)
    return order !== null && order <= 0
  }

  /** Ends it; `watch()` begins it anew, from where it was. */
  close(): void {
    this.#over = true
    this.#timer.stop()
    this.#next?.stop()
    this.#current?.stop()
    this.#next = this.#current = null
    this.#failures = 0
    this.#watchdog.stop()
  }

  /**
   * Time may have passed unnoticed (sleep, a throttled tab), or the network may have come back: looks whether the stream
   * still lives, and doesn't wait any longer for the next attempt. With `renew`, an open stream is replaced.
   */
  poke(renew = false): void {
    if (this.#over) return
    this.#look()
    const { now } = this.#config.environment
    if (this.#current === null && this.#timer.runs && now() >= this.#notBefore) this.#connect()
    else if (this.#current !== null && this.#next === null && renew) this.#connect()
  }

  #from(): string | null {
    return this.#needed ?? this.#lastId
  }

  #connect(): void {
    this.#timer.stop()
    const current = this.#current
    if (current !== null && !current.begun && this.#lastId === null) {
      // Only when it is known where the open stream is can another one go on from there.
      this.#due = this.#config.environment.now() + PLACE
      this.#timer.start(PLACE, () => {
        current.begun = true
        this.#connect()
      })
      return
    }
    this.#next?.stop()
    const { environment } = this.#config
    const from = this.#from()
    const link: Link = {
      name: `${this.#config.name}.${++this.#links}`,
      topics: [...this.#wanted],
      from,
      stop: () => {},
      alive: environment.now(),
      opened: null,
      begun: false,
      ordered: false,
    }
    this.#next = link
    this.#guard()
    const begin = (headers: Record<string, string>) => {
      if (this.#next !== link) return
      const request = { url: this.#config.url(link.topics, from), headers, withCredentials: this.#config.withCredentials }
      link.stop = this.#config.transport(request, {
        open: () => this.#opened(link),
        alive: () => {
          link.alive = environment.now()
        },
        frame: (frame) => this.#received(link, frame),
        retry: (milliseconds) => {
          this.#retry = milliseconds
        },
        fail: (failure) => this.#failed(link, failure),
      })
    }
    try {
      const headers = this.#config.headers(from)
      if (!('then' in headers)) return begin(headers as Record<string, string>)
      ;(headers as Promise<Record<string, string>>).then(begin).catch((error: unknown) => this.#failed(link, broken(error)))
    } catch (error) {
      this.#failed(link, broken(error))
    }
  }

  #opened(link: Link): void {
    if (link !== this.#next) return
    link.alive = link.opened = this.#config.environment.now()
    this.#current?.stop()
    this.#current = link
    this.#next = null
    this.#accepted = link.topics
    // Until the stream has caught up with the one before, what is known to be complete is what it began with.
    this.#lastId = link.from
    this.#listener.opened(link.name, link.topics, link.from)
    // The topics may have changed meanwhile.
    if (!this.#over && !allCovered(this.#wanted, link.topics)) this.#connect()
  }

  #received(link: Link, frame: Frame): void {
    if (link !== this.#current) return
    if (frame.kind === 'cursor') {
      link.ordered = true
      // Nothing was asked for, so nothing is to come that is older.
      if (link.from === null) this.#lastId = frame.id
    } else if (frame.kind === 'reached') {
      this.#lastId = frame.id
      if (this.#needed === link.from) this.#needed = null
    } else if (frame.id !== null) {
      // "If the field value does not contain U+0000 NULL, then set the last event ID buffer to the field value."
      this.#lastId = frame.id === '' ? null : frame.id
      if (!link.ordered && this.#needed === link.from) this.#needed = null
    }
    const first = !link.begun
    link.begun = true
    this.#listener.received({ frame, link: link.name, ordered: link.ordered })
    if (first && this.#timer.runs && link === this.#current) this.#connect()
  }

  #failed(link: Link, failure: Failure): void {
    if (link !== this.#current && link !== this.#next) return
    link.stop()
    const { now, random } = this.#config.environment
    // A stream that was open for longer than the delay before it is no failed attempt.
    if (link.opened !== null && now() - link.opened >= this.#retry) this.#failures = 0
    if (link === this.#current) this.#current = null
    else this.#next = null
    if (failure.final) {
      this.#final(link, failure)
      return
    }
    // Another one is being opened already.
    if (this.#next !== null) return
    const wait =
      failure.reason === 'silent'
        ? this.#retry * 0.5 * random()
        : delay(this.#retry, this.#failures, this.#config.longestDelay, random, failure)
    this.#failures++
    this.#notBefore = now() + (failure.retryAfter ?? 0)
    this.#wait(wait)
    if (this.#current === null) this.#listener.reconnecting(failure, wait)
  }

  /** The server doesn't want to be asked again: for what is new in the request, or at all. */
  #final(link: Link, failure: Failure): void {
    const fresh = link.topics.filter((topic) => !allCovered([topic], this.#accepted))
    if (link.opened === null && this.#accepted.length > 0 && fresh.length > 0) {
      this.#wanted = this.#wanted.filter((topic) => !fresh.includes(topic))
      this.#listener.refused(fresh, failure)
      if (this.#current === null && this.#wanted.length > 0) this.#connect()
      return
    }
    this.close()
    this.#listener.closed(failure)
  }

  #wait(milliseconds: number): void {
    this.#due = this.#config.environment.now() + milliseconds
    this.#timer.start(milliseconds, () => this.#connect())
  }

  /** Looks from time to time whether the streams still live. */
  #guard(): void {
    if (this.#watchdog.runs) return
    const { heartbeatTimeout, openTimeout } = this.#config
    const often = Math.max(50, Math.min(heartbeatTimeout || openTimeout, openTimeout) / 4)
    this.#watchdog.start(often, () => {
      this.#guard()
      this.#look()
    })
  }

  #look(): void {
    const { heartbeatTimeout, openTimeout, environment } = this.#config
    const now = environment.now()
    const { link, late } =
      [
        { link: this.#next, late: openTimeout },
        { link: this.#current, late: heartbeatTimeout },
      ].find(({ link, late }) => link !== null && late > 0 && now - link.alive > late) ?? {}
    if (link) {
      const message = `nothing came from the server for ${late} ms`
      this.#failed(link, { reason: link.opened === null ? 'network' : 'silent', message, final: false })
    } else if (this.#timer.runs && now >= this.#due) {
      // A timer that is late: the machine slept, or the tab is throttled.
      if (this.#current !== null) this.#current.begun = true
      this.#connect()
    }
  }
}

function broken(error: unknown): Failure {
  return { reason: 'network', message: `the headers could not be made: ${String(error)}`, final: false }
}
