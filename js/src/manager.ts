/**
 * `SSEManager`: what a page uses. It puts the parts together: the subscriptions of this tab, the connection, and the other
 * tabs. Everything that the connection tells goes the same way, whether it is this tab's or another's.
 */

import { check, type SSEManagerConfig } from './config.js'
import { Connection } from './connection.js'
import { disposable } from './disposable.js'
import { Emitter, type ListenOptions } from './emitter.js'
import { type Environment, surroundings } from './environment.js'
import { NAMES, type SSEManagerEvents, type State } from './events.js'
import { eventSourceTransport } from './eventsource-transport.js'
import { isEnd } from './failure.js'
import { fetchTransport } from './fetch-transport.js'
import { Inbox } from './inbox.js'
import { Memory } from './memory.js'
import { message } from './message.js'
import { watchPage } from './page.js'
import { type Presence, presenceOf } from './presence.js'
import { parseRefused } from './refused.js'
import { publish, type SendOptions } from './send.js'
import { steerBy } from './steer.js'
import { handle, type Handler, type SubscribeOptions, Subscriber, type Subscription } from './subscription.js'
import { type News, Tabs, type Word } from './tabs.js'
import { Timer } from './timer.js'
import { allCovered, checkPattern, checkTopic } from './topic.js'
import { streamUrl } from './url.js'
import { Wants } from './wants.js'
import { type Way, Ways } from './ways.js'

/** Milliseconds in which the other tabs say what they watch, when the one that had the connection is gone. */
const ROLL_CALL = 100

/** `Topics`: what data each topic or pattern has, for TypeScript: `new SSEManager<{ 'chat.general': Line }>(…)`. */
export class SSEManager<Topics extends object = Record<never, never>> implements Disposable {
  /** Made by `disposable()`, where the runtime has it. */
  declare readonly [Symbol.dispose]: () => void
  readonly #config: SSEManagerConfig
  readonly #environment: Environment
  readonly #debug: ((what: string, details: unknown) => void) | null
  readonly #emitter = new Emitter<SSEManagerEvents>(NAMES)
  readonly #id: string
  readonly #connection: Connection
  readonly #ways: Ways
  readonly #inbox: Inbox
  readonly #memory: Memory | null
  #tabs: Tabs | null
  readonly #wants = new Wants()
  #leavePage: (() => void) | null = null
  #state: State = 'idle'
  #way: Way = 'stream'
  #streamId: string | null = null
  #refused = ''
  #asked = false
  #away = false
  #changing = false
  /** Whether subscriptions were ended since the last change, and nothing else. */
  #onlyLess = true
  readonly #rollCall: Timer

  constructor(config: SSEManagerConfig) {
    check(config)
    disposable(this, () => this.close())
    const { debug = false } = config
    this.#debug = debug === true ? (what, details) => console.debug(`SSEManager: ${what}`, details) : debug || null
    this.#config = config
    this.#environment = { ...surroundings(), ...config.environment }
    this.#rollCall = new Timer(this.#environment)
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
      (topics) => this.#emitter.emit('finished', { topics }),
    )
    const transport =
      url.transport === 'fetch'
        ? fetchTransport(this.#environment)
        : eventSourceTransport(this.#environment, config.eventTypes ?? [])
    this.#ways = new Ways(
      {
        // The browser's EventSource tells nothing of the first bytes, and can't post.
        fallback: url.transport === 'fetch' ? (config.fallback ?? ['short', 'poll']) : [],
        firstBytesTimeout: config.firstBytesTimeout ?? 5000,
        lifetimes: { short: config.shortLifetime ?? 5000, poll: config.pollLifetime ?? 25_000 },
        keep: config.fallbackTime ?? 300_000,
      },
      now,
      storage,
      url.name,
    )
    this.#connection = new Connection(
      {
        name: this.#id,
        transport: (request, listener) => {
          this.#debug?.('asks for a stream', request.url)
          return transport(request, listener)
        },
        request: url.request,
        ways: this.#ways,
        headers: url.headers,
        renewable: typeof config.headers === 'function',
        withCredentials: config.withCredentials ?? false,
        retry: config.retry ?? 2000,
        longestDelay: config.maxRetry ?? 60_000,
        // The browser's EventSource doesn't tell of heartbeats: its silence says nothing.
        heartbeatTimeout: url.transport === 'fetch' ? (config.heartbeatTimeout ?? null) : 0,
        openTimeout: config.openTimeout ?? 30_000,
        steer: steerBy(config, this.#environment),
        environment: this.#environment,
      },
      {
        opened: (link, topics, from, refused) => this.#tell({ say: 'opened', link, topics, from, refused }),
        named: (stream) => this.#tell({ say: 'named', stream }),
        changing: (link, topics) => this.#tell({ say: 'changing', link, topics }),
        changed: (link, topics, place) => this.#tell({ say: 'changed', link, topics, place }),
        received: (received) => this.#tell({ say: 'received', received }),
        reconnecting: (failure, delay) => this.#tell({ say: 'reconnecting', failure, delay }),
        failing: (topics, failure, delay) => this.#tell({ say: 'failing', topics, failure, delay }),
        refused: (topics, failure) => this.#tell({ say: 'refused', topics, failure }),
        comes: (way) => way !== this.#way && this.#tell({ say: 'comes', way }),
        closed: (failure) => this.#tell({ say: 'closed', failure }),
      },
    )
    this.#tabs =
      config.session !== undefined && config.share !== false
        ? Tabs.among(`${url.name} ${config.session}`, this.#id, config.workerUrl, this.#environment, {
            joined: () => this.#want(),
            lead: (alone) => this.#lead(alone),
            follow: () => this.#follow(),
            heard: (word) => this.#heard(word),
            alone: () => {
              this.#debug?.('can not share', `config.workerUrl: '${config.workerUrl}' could not be loaded as a shared worker`)
              this.#tabs = null
              this.#want()
            },
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

  /**
   * How events come: by a `stream`, or, where a proxy holds streams back, by `short` responses or by long-polls (`poll`).
   */
  get way(): Way {
    return this.#way
  }

  /**
   * The public id of the stream that this page reads, by which its requests name it; null while none is open, or if the server
   * doesn't tell it (`stream_id` of sse_stream()).
   */
  get streamId(): string | null {
    return this.#streamId
  }

  /** The id of the last event that this page has; null before the first. */
  get lastEventId(): string | null {
    return this.#inbox.position
  }

  /**
   * Watches a topic, or all that match a pattern (`orders.*`, `chat.**`). Call what it returns to end that, or read it by
   * `for await`.
   */
  subscribe<Topic extends keyof Topics & string>(
    topic: Topic,
    handler?: Handler<Topics[Topic]>,
    options?: SubscribeOptions,
  ): Subscription<Topics[Topic]>
  subscribe<Data = unknown>(topic: string, handler?: Handler<Data>, options?: SubscribeOptions): Subscription<Data>
  subscribe(topic: string, handler?: Handler<never>, options: SubscribeOptions = {}): Subscription<unknown> {
    checkPattern(topic)
    if (handler !== undefined && typeof handler !== 'function') {
      throw new TypeError(`subscribe(): the handler of '${topic}' must be a function, ${handler === null ? 'null' : typeof handler} given`)
    }
    const { decode = 'json', lastEventId } = this.#config
    // Before the first connection it is the page that says where it is, or its last visit; later, now.
    const from = this.#asked ? null : lastEventId || (this.#memory?.position(topic) ?? null)
    const end = () => {
      subscriber.end()
      if (this.#inbox.remove(subscriber)) this.#change(true)
    }
    const subscriber = new Subscriber(topic, handler as Handler | undefined, decode, from, options, end)
    if (from !== null && this.#inbox.position === null) this.#inbox.resume(from)
    this.#inbox.subscribers.add(subscriber)
    this.#leavePage ??= this.#watchPage()
    this.#change()
    if (options.signal?.aborted) end()
    else options.signal?.addEventListener('abort', end, { once: true })
    return handle(subscriber, end)
  }

  /**
   * Who is on a topic, and who comes and goes; it watches the topic for that. The server tells it where `stream.php` sets the options
   * `presence` and `presence_events`.
   */
  presence<Info = unknown>(topic: string): Presence<Info> {
    checkTopic(topic)
    const subscription = this.subscribe(topic, () => {})
    return presenceOf(this.#inbox.rooms, topic, subscription) as Presence<Info>
  }

  /** Listens to what happens to the connection; returns a function that ends that. */
  on<Name extends keyof SSEManagerEvents>(
    name: Name,
    listener: (event: SSEManagerEvents[Name]) => void,
    options?: ListenOptions,
  ): () => void {
    return this.#emitter.on(name, listener, options)
  }

  /** Listens for the first time that it happens. */
  once<Name extends keyof SSEManagerEvents>(name: Name, listener: (event: SSEManagerEvents[Name]) => void): () => void {
    return this.#emitter.on(name, listener, { once: true })
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
    this.#become('closed')
    this.#emitter.emit('closed', { failure: null })
  }

  /** Several subscriptions made together are one change. */
  #change(less = false): void {
    this.#onlyLess &&= less
    if (this.#changing) return
    this.#changing = true
    queueMicrotask(() => {
      const onlyLess = this.#onlyLess
      this.#changing = false
      this.#onlyLess = true
      if (this.#away) return
      this.#asked ||= this.#inbox.subscribers.size > 0
      if (this.#tabs === null || this.#tabs.joined) this.#want(onlyLess)
      else this.#tabs.join()
    })
  }

  /** Says what this tab watches. */
  #want(less = false): void {
    const topics = this.#inbox.topics
    // Once it has begun, this tab needs everything from where it is.
    const from = this.#inbox.hasBegun ? this.#inbox.position : null
    if (this.#state === 'idle' && topics.length > 0) this.#become('connecting')
    const anew = this.#config.retained === true && [...this.#inbox.subscribers].some(({ wantsStream }) => wantsStream)
    const word: Word = { say: 'want', tab: this.#id, topics, exact: this.#inbox.rooms.wanted, from, less, anew }
    if (this.leads) this.#wanted(word)
    else this.#tabs?.say(word)
  }

  /** A tab has said what it watches; this one has the connection. */
  #wanted({ tab, topics, exact, from, less, anew }: Extract<Word, { say: 'want' }>): void {
    const isNew = !this.#wants.has(tab)
    const added = this.#wants.set(tab, topics, exact, from)
    if (isNew && tab !== this.#id) this.#tabs?.outlive(tab, () => this.#unwanted(tab))
    // Who needs less has no reason to ask a server again that has said no.
    if (this.#rollCall.runs || (less && this.#state === 'closed')) return
    this.#watch(false, anew)
    const state = this.#sayState()
    if (tab === this.#id) {
      // The stream may have had the topic before this subscription.
      if (this.#connection.link !== null) this.#learn(state)
      return
    }
    const rooms = this.#inbox.rooms.among(added)
    if (rooms.length > 0) this.#tabs?.say({ say: 'present', tab, rooms })
  }

  #unwanted(tab: string): void {
    if (this.#wants.delete(tab)) this.#watch()
  }

  /** Has the connection read what all tabs watch. */
  #watch(again = false, anew = false): void {
    if (this.#away || this.#rollCall.runs) return
    const { topics } = this.#wants
    const needed = this.#wants.takeNeeded()
    if (topics.length === 0) {
      this.#connection.watch([])
      if (this.#state !== 'closed') this.#become('idle')
      return
    }
    if (this.#state === 'idle' || this.#state === 'closed') this.#become('connecting')
    this.#connection.watch(topics, needed, anew)
    if (again) this.#connection.poke()
  }

  /** This tab has the connection from now on. */
  #lead(alone: boolean): void {
    this.#wants.clear()
    // What the tab before it has found out holds for this one.
    this.#ways.use(this.#way)
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
        if (!leads) this.#learn(word)
        break
      case 'present':
        if (!leads && word.tab === this.#id) this.#inbox.rooms.learn(word.rooms)
        break
      default:
        if (!leads) this.#apply(word)
    }
  }

  #sayState(): Extract<Word, { say: 'state' }> {
    const link = this.#connection.link?.name ?? null
    const word = {
      say: 'state',
      state: this.#state,
      link,
      topics: this.#connection.topics,
      stream: this.#streamId,
      refused: this.#connection.link?.refused ?? null,
      way: this.#way,
      place: this.#connection.lastId,
      now: this.#connection.link?.ordered ? this.#inbox.position : null,
    } as const
    this.#tabs?.say(word)
    return word
  }

  /** How it is with the tab that has the connection. */
  #learn({ state, link, topics, stream, refused, way, place, now }: Extract<Word, { say: 'state' }>): void {
    this.#comes(way)
    if (link !== null) {
      const reads = this.#inbox.joined(link, topics, place, now)
      if (reads && allCovered(this.#inbox.topics, topics)) this.#opened(topics)
      if (reads && stream !== null) this.#named(stream)
      if (reads) this.#tellRefused(refused)
    } else if (state === 'reconnecting' || state === 'connecting') {
      this.#become(state)
    }
  }

  /** Tells this tab, and all others. */
  #tell(news: News): void {
    if (news.say === 'refused') this.#wants.refuse(news.topics)
    this.#tabs?.say(news)
    this.#apply(news)
  }

  #apply(news: News): void {
    this.#debug?.(news.say, news)
    switch (news.say) {
      case 'opened':
        // Too late for this tab: the connection must go on from an older place.
        if (!this.#inbox.opened(news.link, news.topics, news.from)) {
          this.#want()
          break
        }
        this.#opened(news.topics)
        this.#tellRefused(news.refused)
        break
      case 'named':
        this.#named(news.stream)
        break
      case 'changing':
        this.#inbox.expect(news.link, news.topics)
        break
      case 'changed':
        if (this.#inbox.changed(news.link, news.topics, news.place) && allCovered(this.#inbox.topics, news.topics)) {
          this.#opened(news.topics)
        }
        break
      case 'received':
        this.#inbox.received(news.received)
        break
      case 'reconnecting':
        this.#become('reconnecting')
        this.#emitter.emit('reconnecting', { failure: news.failure, delay: news.delay })
        break
      case 'failing': {
        const own = this.#inbox.topics.filter((topic) => allCovered([topic], news.topics))
        if (own.length === 0) break
        for (const subscriber of this.#inbox.subscribers) {
          if (allCovered([subscriber.pattern], own)) subscriber.fail(news.failure)
        }
        this.#emitter.emit('error', { topics: own, failure: news.failure, delay: news.delay })
        break
      }
      case 'refused': {
        const own = this.#inbox.topics.filter((topic) => allCovered([topic], news.topics))
        if (own.length === 0) break
        const error = new Error(`${news.failure.message} to the topics ${own.join(', ')}`)
        for (const subscriber of this.#inbox.subscribers) {
          if (allCovered([subscriber.pattern], own)) subscriber.refuse(error, news.failure)
        }
        this.#emitter.emit('error', { topics: own, failure: news.failure, delay: null })
        break
      }
      case 'comes':
        this.#comes(news.way)
        break
      case 'closed':
        this.#become('closed')
        for (const subscriber of this.#inbox.subscribers) subscriber.refuse(new Error(news.failure.message), news.failure)
        if (isEnd(news.failure)) this.#tellFinished()
        this.#emitter.emit('closed', { failure: news.failure })
    }
  }

  /** Tells of the topics whose last events have not told it. */
  #tellFinished(): void {
    const topics = this.#inbox.unfinished
    if (topics.length > 0) this.#emitter.emit('finished', { topics })
  }

  #comes(way: Way): void {
    if (this.#way === way) return
    this.#way = way
    // The one that was told has ended.
    if (way !== 'stream') this.#streamId = null
    if (way === 'stream') this.#emitter.emit('restored', {})
    else this.#emitter.emit('degraded', { way })
  }

  #named(stream: string): void {
    if (this.#streamId === stream) return
    this.#streamId = stream
    this.#emitter.emit('stream', { stream })
  }

  #tellRefused(header: string | null): void {
    const refused = header ?? ''
    if (this.#refused === refused) return
    this.#refused = refused
    this.#emitter.emit('refused', parseRefused(refused))
  }

  #become(state: State): void {
    this.#state = state
    if (state !== 'open') this.#streamId = null
  }

  #opened(topics: readonly string[]): void {
    const wasOpen = this.#state === 'open'
    this.#become('open')
    if (wasOpen) return
    // A page that can't be seen may end without another word.
    if (this.#environment.document?.visibilityState !== 'hidden') this.#memory?.forget()
    this.#emitter.emit('open', { topics })
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
        this.#memory?.forget()
        this.#connection.poke()
        this.#tabs?.ask()
      },
      // What was open may be dead, and nobody would tell.
      online: (again) => this.#connection.poke(again),
    })
  }

  #leave(): void {
    this.#rollCall.stop()
    this.#wants.clear()
    this.#inbox.left()
    this.#connection.close()
    this.#tabs?.leave()
    if (this.#state !== 'closed') this.#become('idle')
  }
}
