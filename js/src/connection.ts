/**
 * One connection that heals itself. It owns at most two streams: the one that is open, and the one that is about to take its
 * place, because the topics have changed and the server can't change those of an open stream, or the old one may be dead. The
 * old one is closed when the new one is open, which begins where the old one was; what comes twice that way is told apart by
 * who reads it (see subscription.ts).
 */

import { delay } from './backoff.js'
import type { Environment } from './environment.js'
import { type Failure, isEnd } from './failure.js'
import { type EventFrame, type Frame, type Received, streamId } from './frame.js'
import { type Link, patience, wasHeld } from './link.js'
import { compare, older } from './position.js'
import type { Steer, SteerAnswer } from './steer.js'
import { Timer } from './timer.js'
import { allCovered, hasAll } from './topic.js'
import type { Transport } from './transport.js'
import type { StreamUrl } from './url.js'
import type { Way, WayRequest, Ways } from './ways.js'

/** What a connection is made with. */
export interface ConnectionConfig {
  /** Names its streams. */
  readonly name: string
  readonly transport: Transport
  readonly request: StreamUrl['request']
  readonly headers: (lastEventId: string | null, renew: boolean) => Promise<Record<string, string>> | Record<string, string>
  /** Whether the headers are made anew for each request, so that a 401 may be answered by another one. */
  readonly renewable: boolean
  readonly withCredentials: boolean
  /** Milliseconds before a stream that broke is opened again, until the server tells another time. */
  readonly retry: number
  /** Milliseconds between two attempts at most. */
  readonly longestDelay: number
  /**
   * Milliseconds without a byte after which a stream counts as dead; 0: never. Null: three of the heartbeats that the server
   * tells, or `HEARTBEAT_TIMEOUT` where it tells none.
   */
  readonly heartbeatTimeout: number | null
  /** Milliseconds that the server may take to begin a stream. */
  readonly openTimeout: number
  readonly ways: Ways
  /** Changes what an open stream watches; null: the server can't. */
  readonly steer: Steer | null
  readonly environment: Pick<Environment, 'setTimeout' | 'clearTimeout' | 'now' | 'random'>
}

/** Whom it tells. */
export interface ConnectionListener {
  /** A stream of these topics, from this place on, has become the one that is read; `refused`: what its header says. */
  opened(link: string, topics: readonly string[], from: string | null, refused: string | null): void
  received(received: Received): void
  /** The stream that is read has this public id. */
  named(streamId: string): void
  /** The open stream is asked for these topics as well, and may bring them from now on. */
  changing(link: string, topics: readonly string[]): void
  /** The open stream has these topics, and of those that are new everything after `place`. */
  changed(link: string, topics: readonly string[], place: string): void
  /** The stream broke, or could not be opened; the next attempt is in so many milliseconds. */
  reconnecting(failure: Failure, delay: number): void
  /** A stream with these topics could not be opened, and is tried again in so many milliseconds; the one from before goes on. */
  failing(topics: readonly string[], failure: Failure, delay: number): void
  /** The server will not have these topics, but those from before, which go on. */
  refused(topics: readonly string[], failure: Failure): void
  /** Events come in this way now. */
  comes(way: Way): void
  /** The server doesn't want to be asked again. */
  closed(failure: Failure): void
}

/** The end of a stream all of whose topics are finished. */
const FINISHED: Failure = { reason: 'status', message: 'all topics are finished', status: 204, final: true }

/** Milliseconds in which the first frame of a stream tells where it is, if it is php-sse's. */
const PLACE = 1000

/** Milliseconds that a long-poll waits for events at most, where somebody waits for it. */
const HURRIED = 1000

/** Milliseconds of silence after which a stream of a server that tells no heartbeat is dead: three of the usual ones. */
const HEARTBEAT_TIMEOUT = 45_000

/** Milliseconds in which topics that were left may be wanted again, before a stream without them takes the place of the open one. */
const LEFT = 1000

export class Connection {
  readonly #config: ConnectionConfig
  readonly #listener: ConnectionListener
  #wanted: readonly string[] = []
  #current: Link | null = null
  #next: Link | null = null
  /** The topics of the last stream that was opened. */
  #accepted: readonly string[] = []
  #lastId: string | null = null
  /** Topics whose last event has come, while they were wanted by their names. */
  readonly #finished = new Set<string>()
  /** A place before `#lastId` that somebody needs all events from, until they have come. */
  #needed: string | null = null
  #retry: number
  #failures = 0
  #links = 0
  /** Ends the request by which the open stream is given other topics, if there is one. */
  #steering: AbortController | null = null
  #canSteer = true
  /** Whether what a stream brings first is needed. */
  #anew = false
  readonly #timer: Timer
  /** When the next attempt is due, and the time before which the server doesn't want it. */
  #due = 0
  #notBefore = 0
  readonly #watchdog: Timer
  readonly #narrow: Timer
  /** Whether the last attempt was the fresh one after a 401. */
  #renewed = false
  #over = false

  constructor(config: ConnectionConfig, listener: ConnectionListener) {
    this.#config = config
    this.#listener = listener
    this.#retry = config.retry
    this.#timer = new Timer(config.environment)
    this.#watchdog = new Timer(config.environment)
    this.#narrow = new Timer(config.environment)
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
  get link(): { name: string; ordered: boolean; refused: string | null } | null {
    return this.#current
  }

  /**
   * Reads these topics from now on; those that were read before are not interrupted. `from`: a place from which all events
   * are needed, however far the connection is. `anew`: what a stream brings first is needed.
   */
  watch(topics: readonly string[], from: string | null = null, anew = false): void {
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
    if (reading !== null && hasAll(topics, reading.topics)) {
      // A stream that is open has passed that place; one that is about to be may begin before it.
      if (reading.opened === null ? this.#reaches(reading) : !behind && !anew) {
        this.#narrowLater()
        return
      }
    }
    // The next attempt will ask for them.
    if (reading === null && this.#timer.runs) return
    this.#anew ||= anew
    if (!this.#steer()) this.#connect()
  }

  /** Gives the open stream the topics that are wanted, one change after the other; false if it can't. */
  #steer(): boolean {
    const { steer, openTimeout, environment } = this.#config
    const link = this.#current
    if (steer === null || !this.#canSteer || link === null || this.#next !== null || this.#timer.runs) return false
    if (link.asked.way !== 'stream') return false
    // What only a stream that begins can bring.
    if (this.#anew || this.#needed !== null) return false
    if (this.#steering !== null) return true
    // Without the hub's order of events it can't be told which came before the change.
    if (link.stream === null || !link.ordered || !link.steerable) return false
    const before = link.topics
    const wanted = this.#wanted
    const add = wanted.filter((topic) => !before.includes(topic))
    const remove = before.filter((topic) => !wanted.includes(topic))
    // Which of them it brings meanwhile is not known.
    link.topics = before.filter((topic) => wanted.includes(topic))
    const abort = (this.#steering = new AbortController())
    const late = environment.setTimeout(() => abort.abort(), openTimeout)
    this.#narrow.stop()
    this.#listener.changing(link.name, add)
    void steer({ stream: link.stream, add, remove }, abort.signal).then((answer) => {
      environment.clearTimeout(late as never)
      if (this.#steering !== abort) return
      this.#steering = null
      this.#steered(link, before, wanted, answer)
    })
    return true
  }

  #steered(link: Link, before: readonly string[], wanted: readonly string[], answer: SteerAnswer): void {
    if (answer.what !== 'done') {
      if (answer.what === 'never') this.#canSteer = false
      link.steerable = answer.what === 'refused'
      if (answer.what !== 'unknown') link.topics = before
      this.#connect()
      return
    }
    link.topics = this.#accepted = wanted
    this.#listener.changed(link.name, wanted, answer.cursor)
    if (this.#over) return
    if (hasAll(this.#wanted, wanted)) this.#narrowLater()
    else if (!this.#steer()) this.#connect()
  }

  #endSteering(): void {
    this.#steering?.abort()
    this.#steering = null
  }

  /** Has topics that nobody wants any more left out, soon: a page that shows another part of itself leaves some and adds some. */
  #narrowLater(): void {
    const isWider = () => {
      const reading = this.#next ?? this.#current
      return reading !== null && reading.topics.some((topic) => !this.#wanted.includes(topic))
    }
    if (!isWider()) this.#narrow.stop()
    else if (!this.#narrow.runs) {
      this.#narrow.start(LEFT, () => {
        const isIdle = !this.#over && this.#next === null && this.#current !== null && !this.#timer.runs
        if (isIdle && isWider() && !this.#steer()) this.#connect()
      })
    }
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
    this.#endSteering()
    this.#timer.stop()
    this.#next?.stop()
    this.#current?.stop()
    this.#next = this.#current = null
    this.#failures = 0
    this.#renewed = false
    this.#watchdog.stop()
    this.#narrow.stop()
  }

  /**
   * Time may have passed unnoticed (sleep, a throttled tab), or the network may have come back: looks whether the stream
   * still lives, and doesn't wait any longer for the next attempt. With `renew`, an open stream is replaced.
   */
  poke(renew = false): void {
    if (this.#over) return
    if (renew) this.#config.ways.improve()
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
    this.#narrow.stop()
    this.#endSteering()
    const current = this.#current
    if (current !== null && !current.placed && this.#lastId === null) {
      // Only when it is known where the open stream is can another one go on from there.
      this.#due = this.#config.environment.now() + PLACE
      this.#timer.start(PLACE, () => {
        current.placed = true
        this.#connect()
      })
      return
    }
    this.#next?.stop()
    const { environment, ways } = this.#config
    const from = this.#from()
    const asked = this.#hurried(ways.next())
    // Where responses follow each other, last values were brought by the first.
    const retained = this.#anew || asked.way === 'stream' || this.#lastId === null
    this.#anew = false
    const link: Link = {
      name: `${this.#config.name}.${++this.#links}`,
      asked,
      topics: [...this.#wanted],
      stream: null,
      steerable: true,
      from,
      stop: () => {},
      begun: environment.now(),
      alive: environment.now(),
      answered: false,
      opened: null,
      refused: null,
      placed: false,
      ordered: false,
      heartbeat: null,
    }
    this.#next = link
    this.#guard()
    const begin = (headers: Record<string, string>) => {
      if (this.#next !== link) return
      const { request, withCredentials } = this.#config
      const wanted = { ...request({ topics: link.topics, lastEventId: from, asked, retained }), headers, withCredentials }
      link.stop = this.#config.transport(wanted, {
        open: (refused) => {
          link.refused = refused
          link.alive = environment.now()
          link.answered = true
          // Headers alone show no stream: nothing that is published now may ever come.
          if (!ways.watches) this.#opened(link)
        },
        alive: () => {
          link.alive = environment.now()
          if (link.opened === null) this.#opened(link)
        },
        frame: (frame) => this.#received(link, frame),
        heartbeat: (milliseconds) => {
          link.heartbeat = milliseconds
          this.#guard(true)
        },
        retry: (milliseconds) => {
          this.#retry = milliseconds
        },
        fail: (failure) => this.#failed(link, failure),
      })
    }
    try {
      const headers = this.#config.headers(from, this.#renewed)
      if (!('then' in headers)) return begin(headers as Record<string, string>)
      ;(headers as Promise<Record<string, string>>).then(begin).catch((error: unknown) => this.#failed(link, broken(error)))
    } catch (error) {
      this.#failed(link, broken(error))
    }
  }

  /** A long-poll with topics that no response has had yet is not to wait: its end shows that the server has them. */
  #hurried(asked: WayRequest): WayRequest {
    const isNew = asked.way === 'poll' && !allCovered(this.#wanted, this.#accepted)
    return isNew ? { ...asked, lifetime: Math.min(asked.lifetime, HURRIED) } : asked
  }

  #opened(link: Link): void {
    if (link !== this.#next) return
    link.opened = this.#config.environment.now()
    this.#current?.stop()
    this.#current = link
    this.#next = null
    this.#accepted = link.topics
    this.#renewed = false
    // Until the stream has caught up with the one before, what is known to be complete is what it began with.
    this.#lastId = link.from
    this.#listener.opened(link.name, link.topics, link.from, link.refused)
    if (link.asked.way === 'stream') this.#comes('stream')
    // The topics may have changed meanwhile.
    if (this.#over) return
    if (!hasAll(this.#wanted, link.topics)) this.#connect()
    else this.#narrowLater()
  }

  #received(link: Link, frame: Frame): void {
    if (link !== this.#current) return
    const name = streamId(frame)
    if (name !== null) {
      link.stream = name
      // One that ends soon is gone when a request could name it.
      if (link.asked.way === 'stream') this.#listener.named(name)
      return
    }
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
    if (frame.kind === 'event') this.#learnFinished(frame)
    const first = !link.placed
    link.placed = true
    this.#listener.received({ frame, link: link.name, ordered: link.ordered })
    if (first && this.#timer.runs && link === this.#current) {
      this.#timer.stop()
      if (!this.#steer()) this.#connect()
    }
  }

  #learnFinished({ topics, finished }: EventFrame): void {
    for (const topic of topics) {
      if (!finished) this.#finished.delete(topic)
      else if (this.#wanted.includes(topic)) this.#finished.add(topic)
    }
  }

  #failed(link: Link, failed: Failure): void {
    if (link !== this.#current && link !== this.#next) return
    link.stop()
    // The server would answer 204.
    const isCurrent = link === this.#current && this.#next === null
    const over = isCurrent && this.#wanted.every((topic) => this.#finished.has(topic))
    const { now, random } = this.#config.environment
    if (isCurrent && !over && failed.reason === 'ended' && this.#ended(link)) return
    const failure = over ? FINISHED : this.#judged(link, failed)
    // A stream that was open for longer than the delay before it is no failed attempt.
    if (link.opened !== null && now() - link.opened >= this.#retry) this.#failures = 0
    if (link === this.#current) {
      this.#endSteering()
      this.#current = null
    } else {
      this.#next = null
    }
    // The headers may have been out of date: made anew, once, they deserve another try.
    if (failure.status === 401 && this.#config.renewable && !this.#renewed) {
      this.#renewed = true
      this.#connect()
      return
    }
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
    if (this.#current === null) {
      this.#listener.reconnecting(failure, wait)
      return
    }
    const fresh = this.#fresh(link)
    if (fresh.length > 0) this.#listener.failing(fresh, failure, wait)
  }

  /** A response that was to end soon has ended: the next one follows. False if that is a failure. */
  #ended(link: Link): boolean {
    const { ways, environment } = this.#config
    const { way, lifetime } = link.asked
    const lasted = environment.now() - link.begun
    const held = wasHeld(link, environment.now())
    if (way === 'stream' || (!held && lasted < lifetime / 2)) return false
    if (held) this.#comes(way)
    else ways.improve()
    // It has not ended as it was asked to, by a server that knows nothing of that.
    if (!held && lasted > 2 * lifetime) return false
    this.#current = null
    this.#failures = 0
    // Not more often than a stream that breaks is opened again; at once, if this one was only to tell the place.
    const isFirst = link.from === null && this.#lastId !== null
    this.#wait(isFirst ? 0 : Math.max(0, this.#retry - lasted))
    return true
  }

  #comes(way: Way): void {
    this.#config.ways.works(way)
    this.#listener.comes(way)
  }

  /** Learns what a failure says of the way that was taken, and whether it is final for all of them. */
  #judged(link: Link, failure: Failure): Failure {
    const { ways } = this.#config
    const { way } = link.asked
    // The stream that is open shows that nothing is held back.
    if (link.opened !== null || this.#current?.asked.way === 'stream') return failure
    // Something may refuse a POST that would not refuse a GET.
    const unknown = way === 'poll' && failure.final && !isEnd(failure) && failure.status !== 401
    const nothing = failure.reason === 'held' || failure.reason === 'late' || (failure.reason === 'ended' && link.answered)
    if (unknown || nothing) ways.failed(way)
    return unknown ? { ...failure, final: false } : failure
  }

  /** What is new in the request, and no stream has had yet. */
  #fresh(link: Link): string[] {
    return link.topics.filter((topic) => !allCovered([topic], this.#accepted))
  }

  /** The server doesn't want to be asked again: for what is new in the request, or at all. */
  #final(link: Link, failure: Failure): void {
    const fresh = this.#fresh(link)
    if (link.opened === null && this.#accepted.length > 0 && fresh.length > 0) {
      this.#wanted = this.#wanted.filter((topic) => !fresh.includes(topic))
      this.#listener.refused(fresh, failure)
      if (this.#current !== null) this.#narrowLater()
      else if (this.#wanted.length > 0) this.#connect()
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
  #guard(anew = false): void {
    if (this.#watchdog.runs && !anew) return
    const { openTimeout, ways } = this.#config
    const first = ways.watches ? ways.config.firstBytesTimeout : openTimeout
    const often = Math.max(50, Math.min(this.#silence(this.#current) || openTimeout, openTimeout, first) / 4)
    this.#watchdog.start(often, () => {
      this.#guard()
      this.#look()
    })
  }

  /** Milliseconds without a byte after which this stream is dead; 0: never. */
  #silence(link: Link | null): number {
    const told = link?.heartbeat ?? null
    return this.#config.heartbeatTimeout ?? (told === null ? HEARTBEAT_TIMEOUT : told * 3)
  }

  #look(): void {
    const { openTimeout, ways, environment } = this.#config
    const { firstBytesTimeout } = ways.config
    const now = environment.now()
    const late = (link: Link) => patience(link, { openTimeout, firstBytesTimeout, silence: this.#silence(link) })
    const isLate = (link: Link | null): link is Link => link !== null && late(link) > 0 && now - link.alive > late(link)
    const link = [this.#next, this.#current].find(isLate)
    if (link) {
      const why = `nothing came from the server for ${late(link)} ms`
      const held = `nothing of the response came for ${late(link)} ms after its headers: a proxy may hold it back`
      const reason = link.opened !== null ? 'silent' : link.answered ? 'held' : 'late'
      this.#failed(link, { reason, message: reason === 'held' ? held : why, final: false })
    } else if (this.#timer.runs && now >= this.#due) {
      // A timer that is late: the machine slept, or the tab is throttled.
      if (this.#current !== null) this.#current.placed = true
      this.#connect()
    }
  }
}

function broken(error: unknown): Failure {
  return { reason: 'network', message: `the headers could not be made: ${String(error)}`, final: false }
}
