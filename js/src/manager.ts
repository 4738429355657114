/**
 * `SSEManager`: what a page uses. It puts the parts together: the subscriptions of this tab, the connection, and the other
 * tabs. Everything that the connection tells goes the same way, whether it is this tab's or another's.
 */

import { check, type SSEManagerConfig } from './config.js'
import { Connection } from './connection.js'
import { Emitter } from './emitter.js'
import { type Environment, surroundings } from './environment.js'
import { eventSourceTransport } from './eventsource-transport.js'
import type { Failure } from './failure.js'
import { fetchTransport } from './fetch-transport.js'
import { type Gap, Inbox } from './inbox.js'
import { Memory } from './memory.js'
import { message, type SSEMessage } from './message.js'
import { watchPage } from './page.js'
import { publish, type SendOptions } from './send.js'
import { type Handler, Subscriber, type Subscription } from './subscription.js'
import { type News, Tabs, type Word } from './tabs.js'
import { Timer } from './timer.js'
import { allCovered, checkPattern } from './topic.js'
import { streamUrl } from './url.js'
import { Wants } from './wants.js'

/** `idle`: nothing is subscribed. `closed`: the server doesn't want to be asked again, or `close()` was called. */
export type State = 'idle' | 'connecting' | 'open' | 'reconnecting' | 'closed'

/** What `on()` can listen to. */
export interface SSEManagerEvents {
  /** The stream is open, for the first time or again. */
  open: { topics: readonly string[] }
  /** Every event, whatever its topic. */
  message: SSEMessage
  /** Events may be missing: load the page's state anew. */
  gap: Gap
  /** The stream broke; the next attempt is in `delay` milliseconds. */
  reconnecting: { failure: Failure; delay: number }
  /** The server refuses these topics; the others go on. */
  error: { topics: readonly string[]; failure: Failure }
  /** It is over: by `close()` (no failure), or because the server said so; `connect()` tries again. */
  closed: { failure: Failure | null }
  /** This tab has, or no longer has, the connection that all share. */
  leader: { leads: boolean }
}

/** Milliseconds in which the other tabs say what they watch, when the one that had the connection is gone. */
const ROLL_CALL = 100

/** Milliseconds between looks after the tab that has the connection, and for its answer. */
const LOOK_AFTER = 20_000
const ANSWER = 5_000

export class SSEManager {
  readonly #config: SSEManagerConfig
  readonly #environment: Environment
  readonly #emitter = new Emitter<SSEManagerEvents>()
  readonly #id: string
  readonly #connection: Connection
  readonly #inbox: Inbox
  readonly #memory: Memory | null
  readonly #tabs: Tabs | null
  readonly #wants = new Wants()
  #leavePage: (() => void) | null = null
  #state: State = 'idle'
  #asked = false
  #joined = false
  #away = false
  #changing = false
  readonly #rollCall: Timer
  readonly #lookAfter: Timer
  readonly #answer: Timer

  constructor(config: SSEManagerConfig) {
    check(config)
    this.#config = config
    this.#environment = { ...surroundings(), ...config.environment }
    this.#rollCall = new Timer(this.#environment)
    this.#lookAfter = new Timer(this.#environment)
    this.#answer = new Timer(this.#environment)
    const { random, now, storage } = this.#environment
    this.#id = `${now().toString(36)}${random().toString(36).slice(2, 10)}`
    const url = streamUrl(config, this.#environment)
    this.#memory =
      storage !== null && config.session !== undefined && config.resume !== false
        ? new Memory(storage, url.name, config.session)
        : null
    this.#inbox = new Inbox(
      config.lastEventId || null,
      (gap) => this.#emitter.emit('gap', gap),
      (frame) => this.#emitter.emit('message', message(frame, frame.topics[0] ?? '', config.decode ?? 'json')),
    )
    this.#connection = new Connection(
      {
        name: this.#id,
        transport:
          url.transport === 'fetch'
            ? fetchTransport(this.#environment)
            : eventSourceTransport(this.#environment, config.eventTypes ?? []),
        url: url.of,
        headers: url.headers,
        withCredentials: config.withCredentials ?? false,
        retry: config.retry ?? 2000,
        longestDelay: config.maxRetry ?? 60_000,
        // The browser's EventSource doesn't tell of heartbeats: its silence says nothing.
        heartbeatTimeout: url.transport === 'fetch' ? (config.heartbeatTimeout ?? 45_000) : 0,
        openTimeout: config.openTimeout ?? 30_000,
        environment: this.#environment,
      },
      {
        opened: (link, topics, from) => this.#tell({ say: 'opened', link, topics, from }),
        received: (received) => this.#tell({ say: 'received', received }),
        reconnecting: (failure, delay) => this.#tell({ say: 'reconnecting', failure, delay }),
        refused: (topics, failure) => this.#tell({ say: 'refused', topics, failure }),
        closed: (failure) => this.#tell({ say: 'closed', failure }),
      },
    )
    this.#tabs =
      config.session !== undefined && config.share !== false
        ? Tabs.among(`${url.name} ${config.session}`, this.#id, this.#environment, {
            joined: () => this.#want(),
            lead: (alone) => this.#lead(alone),
            follow: () => this.#follow(),
            heard: (word) => this.#heard(word),
          })
        : null
  }

  get state(): State {
    return this.#state
  }

  /** Whether the connection is this tab's own. */
  get leads(): boolean {
    return this.#tabs === null || this.#tabs.leads
  }

  /** The id of the last event that this page has; null before the first. */
  get lastEventId(): string | null {
    return this.#inbox.position
  }

  /**
   * Watches a topic, or all that match a pattern (`orders.*`, `chat.**`). Call what it returns to end that, or read it by
   * `for await`.
   */
  subscribe<Data = unknown>(topic: string, handler?: Handler<Data>): Subscription<Data> {
    checkPattern(topic)
    const { decode = 'json', lastEventId } = this.#config
    // Before the first connection it is the page that says where it is, or its last visit; later, now.
    const from = this.#asked ? null : lastEventId || (this.#memory?.position(topic) ?? null)
    const subscriber = new Subscriber(topic, handler as Handler | undefined, decode, from)
    if (from !== null && this.#inbox.position === null) this.#inbox.resume(from)
    this.#inbox.subscribers.add(subscriber)
    this.#leavePage ??= this.#watchPage()
    this.#change()
    const end = () => {
      subscriber.end()
      if (this.#inbox.remove(subscriber)) this.#change()
    }
    const iterator = (): AsyncIterator<SSEMessage<Data>> => ({
      next: () => subscriber.next() as Promise<IteratorResult<SSEMessage<Data>>>,
      return: () => {
        end()
        return Promise.resolve({ done: true, value: undefined })
      },
    })
    return Object.assign(end, { topic, ready: subscriber.ready, [Symbol.asyncIterator]: iterator })
  }

  /** Listens to what happens to the connection; returns a function that ends that. */
  on<Name extends keyof SSEManagerEvents>(name: Name, listener: (event: SSEManagerEvents[Name]) => void): () => void {
    return this.#emitter.on(name, listener)
  }

  /** Publishes by POST to `publishUrl`, and resolves with what that answers. */
  send<Answer = unknown>(topic: string, data: unknown, options: SendOptions = {}): Promise<Answer> {
    return publish(this.#config, this.#environment, topic, data, options) as Promise<Answer>
  }

  /** Tries again at once: after `closed`, or in place of waiting. */
  connect(): void {
    this.#wants.forgive()
    if (this.leads) this.#watch(true)
    else this.#tabs?.say({ say: 'again' })
  }

  /** Ends everything: subscriptions, listeners, connection. */
  close(): void {
    for (const subscriber of this.#inbox.subscribers) subscriber.end()
    this.#inbox.subscribers.clear()
    this.#memory?.save(null, [])
    this.#leave()
    this.#leavePage?.()
    this.#leavePage = null
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#emitter.emit('closed', { failure: null })
  }

  /** Several subscriptions made together are one change. */
  #change(): void {
    if (this.#changing) return
    this.#changing = true
    queueMicrotask(() => {
      this.#changing = false
      if (this.#away || (this.#state === 'closed' && this.#inbox.subscribers.size === 0)) return
      this.#asked ||= this.#inbox.subscribers.size > 0
      if (this.#tabs === null) this.#want()
      else if (this.#joined) this.#want()
      else {
        this.#joined = true
        this.#tabs.join()
        this.#watchOver()
      }
    })
  }

  /** Says what this tab watches. */
  #want(): void {
    const topics = this.#inbox.topics
    // Once it has begun, this tab needs everything from where it is.
    const from = this.#inbox.hasBegun ? this.#inbox.position : null
    if (this.#state === 'idle' && topics.length > 0) this.#state = 'connecting'
    const word: Word = { say: 'want', tab: this.#id, topics, from }
    if (this.leads) this.#wanted(word)
    else this.#tabs?.say(word)
  }

  /** A tab has said what it watches; this one has the connection. */
  #wanted({ tab, topics, from }: Extract<Word, { say: 'want' }>): void {
    if (this.#wants.set(tab, topics, from) && tab !== this.#id) this.#tabs?.outlive(tab, () => this.#unwanted(tab))
    if (this.#rollCall.runs) return
    this.#watch()
    this.#sayState()
  }

  #unwanted(tab: string): void {
    if (this.#wants.delete(tab)) this.#watch()
  }

  /** Has the connection read what all tabs watch. */
  #watch(again = false): void {
    if (this.#away || this.#rollCall.runs) return
    const { topics } = this.#wants
    const needed = this.#wants.takeNeeded()
    if (topics.length === 0) {
      this.#connection.watch([])
      if (this.#state !== 'closed') this.#state = 'idle'
      return
    }
    if (this.#state === 'idle' || this.#state === 'closed') this.#state = 'connecting'
    this.#connection.watch(topics, needed)
    if (again) this.#connection.poke()
  }

  /** This tab has the connection from now on. */
  #lead(alone: boolean): void {
    this.#answer.stop()
    this.#wants.clear()
    if (!alone) {
      // The others say where they are: what the oldest of them has missed is needed.
      this.#rollCall.start(ROLL_CALL, () => this.#watch())
      this.#tabs?.say({ say: 'hello' })
    }
    this.#want()
    this.#emitter.emit('leader', { leads: true })
  }

  /** Another tab has taken the connection. */
  #follow(): void {
    this.#rollCall.stop()
    this.#connection.close()
    this.#wants.clear()
    this.#emitter.emit('leader', { leads: false })
    this.#want()
  }

  #heard(word: Word): void {
    const leads = this.#tabs?.leads ?? false
    switch (word.say) {
      case 'want':
        if (leads) this.#wanted(word)
        break
      case 'bye':
        if (leads) this.#unwanted(word.tab)
        break
      case 'ping':
        if (leads) {
          // Whoever asks can be seen; this tab may be throttled.
          this.#connection.poke()
          this.#sayState()
        }
        break
      case 'again':
        if (leads) this.connect()
        break
      case 'hello':
        if (!leads) this.#want()
        break
      case 'state':
        this.#answer.stop()
        if (!leads) this.#learn(word)
        break
      default:
        this.#answer.stop()
        if (!leads) this.#apply(word)
    }
  }

  #sayState(): void {
    const link = this.#connection.link?.name ?? null
    const word: Word = {
      say: 'state',
      state: this.#state,
      link,
      topics: this.#connection.topics,
      place: this.#connection.lastId,
      now: this.#connection.link?.ordered ? this.#inbox.position : null,
    }
    this.#tabs?.say(word)
  }

  /** How it is with the tab that has the connection. */
  #learn({ state, link, topics, place, now }: Extract<Word, { say: 'state' }>): void {
    if (link !== null) {
      const reads = this.#inbox.joined(link, topics, place, now)
      if (reads && allCovered(this.#inbox.topics, topics)) this.#opened(topics)
    } else if (state === 'reconnecting' || state === 'connecting') {
      this.#state = state
    }
  }

  /** Tells this tab, and all others. */
  #tell(news: News): void {
    if (news.say === 'refused') this.#wants.refuse(news.topics)
    this.#tabs?.say(news)
    this.#apply(news)
  }

  #apply(news: News): void {
    switch (news.say) {
      case 'opened':
        // Too late for this tab: the connection must go on from an older place.
        if (this.#inbox.opened(news.link, news.topics, news.from)) this.#opened(news.topics)
        else this.#want()
        break
      case 'received':
        this.#inbox.received(news.received)
        break
      case 'reconnecting':
        this.#state = 'reconnecting'
        this.#emitter.emit('reconnecting', { failure: news.failure, delay: news.delay })
        break
      case 'refused': {
        const own = this.#inbox.topics.filter((topic) => allCovered([topic], news.topics))
        if (own.length === 0) break
        const error = new Error(`${news.failure.message} to the topics ${own.join(', ')}`)
        for (const subscriber of this.#inbox.subscribers) {
          if (allCovered([subscriber.pattern], own)) subscriber.refuse(error)
        }
        this.#emitter.emit('error', { topics: own, failure: news.failure })
        break
      }
      case 'closed':
        this.#state = 'closed'
        for (const subscriber of this.#inbox.subscribers) subscriber.refuse(new Error(news.failure.message))
        this.#emitter.emit('closed', { failure: news.failure })
    }
  }

  #opened(topics: readonly string[]): void {
    const wasOpen = this.#state === 'open'
    this.#state = 'open'
    if (!wasOpen) this.#emitter.emit('open', { topics })
  }

  #watchPage(): () => void {
    const save = () => this.#memory?.save(this.#inbox.position, this.#inbox.topics)
    return watchPage(this.#environment, {
      away: () => {
        save()
        this.#leave()
        this.#away = true
      },
      back: () => {
        this.#away = false
        this.#change()
      },
      hidden: save,
      seen: () => {
        this.#connection.poke()
        this.#ask()
      },
      // What was open may be dead, and nobody would tell.
      online: (again) => this.#connection.poke(again),
    })
  }

  #leave(): void {
    this.#rollCall.stop()
    this.#lookAfter.stop()
    this.#answer.stop()
    this.#joined = false
    this.#wants.clear()
    this.#inbox.left()
    this.#connection.close()
    this.#tabs?.leave()
    if (this.#state !== 'closed') this.#state = 'idle'
  }

  /** Looks from time to time whether the tab with the connection is alive: it may be frozen, and hold its lock. */
  #watchOver(): void {
    this.#lookAfter.start(LOOK_AFTER, () => {
      this.#watchOver()
      if (this.#environment.document?.visibilityState !== 'hidden') this.#ask()
    })
  }

  #ask(): void {
    const tabs = this.#tabs
    if (tabs === null || tabs.leads || !this.#joined || this.#answer.runs) return
    tabs.say({ say: 'ping' })
    this.#answer.start(ANSWER, () => tabs.steal())
  }
}
