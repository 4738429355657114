/**
 * What Echo makes of `broadcaster: SseConnector`: it asks the application which channels the page may have and by which topics
 * they come, and reads all of them by one SSEManager.
 */

import { delay } from '../backoff.js'
import { guarded } from '../emitter.js'
import { surroundings } from '../environment.js'
import { type Failure, ofStatus } from '../failure.js'
import { SSEManager, type State } from '../index.js'
import type { Refused } from '../refused.js'
import { Timer } from '../timer.js'
import { type ChannelHost, SseChannel, type SseError, SsePresenceChannel, SsePrivateChannel } from './channel.js'
import { Requests, type SseEchoOptions } from './options.js'

/** As Echo has them. */
export type ConnectionStatus = 'connected' | 'disconnected' | 'connecting' | 'reconnecting' | 'failed'

/** Channels that are asked for at once: a URL has room for some. */
const ASKED_AT_ONCE = 25

/** Characters of a page's secret, by which the application knows it. */
const SECRET = 16

/** What the route `channels` answers. */
interface Answer {
  readonly channels: readonly { readonly channel: string; readonly topic: string; readonly member?: unknown }[]
  readonly refused: readonly { readonly channel: string; readonly reason: string }[]
  readonly socket?: string
}

/** A stream, and what its presence channels tell of the user; null: it has none yet. */
interface OneStream {
  readonly manager: SSEManager
  member: string | null
}

export class SseConnector implements ChannelHost {
  readonly options: SseEchoOptions
  readonly requests: Requests
  /** By their whole names, which may be any, such as `constructor`; Echo's leaveAllChannels() reads it. */
  readonly channels: Record<string, SseChannel> = Object.create(null)
  mark: string | null = null
  /** Says to the application which page it is, and to nobody else. */
  readonly #secret: string
  #streams: OneStream[] = []
  /** Channels that were left in this moment, by their names: who takes one again now has it at once, and misses nothing. */
  readonly #left = new Map<string, SseChannel>()
  /** Channels that the application is to be asked for, and those that need an answer of their own. */
  #wanted: SseChannel[] = []
  #alone: SseChannel[] = []
  #asking = false
  #failures = 0
  #ended = false
  #told: ConnectionStatus = 'disconnected'
  readonly #listeners = new Set<(status: ConnectionStatus) => void>()
  readonly #environment: ReturnType<typeof surroundings>
  readonly #again: Timer

  constructor(options: SseEchoOptions = {}) {
    this.options = options
    this.requests = new Requests(options)
    this.#environment = { ...surroundings(), ...options.stream?.environment }
    this.#again = new Timer(this.#environment)
    const { random } = this.#environment
    this.#secret = Array.from({ length: SECRET }, () => Math.floor(random() * 36).toString(36)).join('')
  }

  get namespace(): string | false {
    return this.options.namespace ?? 'App.Events'
  }

  /** Tries again at once where the connection has failed, or waits. */
  connect(): void {
    this.#ended = false
    for (const { manager } of this.#streams) manager.connect()
    if (this.#wanted.length + this.#alone.length > 0) this.#ask()
  }

  listen(name: string, event: string, listener: (data: unknown) => void): SseChannel {
    return this.channel(name).listen(event, listener)
  }

  channel(name: string): SseChannel {
    return this.#channel(name, SseChannel)
  }

  privateChannel(name: string): SsePrivateChannel {
    return this.#channel(`private-${name}`, SsePrivateChannel)
  }

  presenceChannel(name: string): SsePresenceChannel {
    return this.#channel(`presence-${name}`, SsePresenceChannel)
  }

  leave(name: string): void {
    for (const prefix of ['', 'private-', 'presence-']) this.leaveChannel(prefix + name)
  }

  leaveChannel(name: string): void {
    const channel = this.channels[name]
    if (channel === undefined) return
    if (channel.isUp) {
      channel.pause()
      this.#left.set(name, channel)
      queueMicrotask(() => this.#endLeft(name))
    } else {
      channel.unsubscribe()
    }
    delete this.channels[name]
    this.#wanted = this.#wanted.filter((one) => one !== channel)
    this.#alone = this.#alone.filter((one) => one !== channel)
  }

  /**
   * By what the application leaves this page out: `toOthers()`. The stream's id, by which the hub does not send it the event,
   * and the page's secret, of which the event has a hash, the mark: where it comes later, by another stream, the page drops it. Tabs
   * that share a stream have the secret only.
   */
  socketId(): string | undefined {
    const { manager } = this.#streams[0] ?? {}
    if (manager === undefined) return undefined
    const stream = this.options.session === undefined ? (manager.streamId ?? '') : ''
    return `${stream}.${this.#secret}`
  }

  connectionStatus(): ConnectionStatus {
    if (this.#ended) return 'disconnected'
    const { manager } = this.#streams[0] ?? {}
    if (manager === undefined) return this.#failures > 0 ? 'reconnecting' : this.#asking ? 'connecting' : 'disconnected'
    return STATUS[manager.state]
  }

  onConnectionChange(listener: (status: ConnectionStatus) => void): () => void {
    const told = (status: ConnectionStatus) => listener(status)
    this.#listeners.add(told)
    return () => void this.#listeners.delete(told)
  }

  /** Ends the connection, and with it all channels. */
  disconnect(): void {
    this.#ended = true
    this.#again.stop()
    for (const name of Object.keys(this.channels)) this.leaveChannel(name)
    for (const name of this.#left.keys()) this.#endLeft(name)
    for (const { manager } of this.#streams) manager.close()
    this.#streams = []
    this.#failures = 0
    this.#tell()
  }

  #endLeft(name: string): void {
    this.#left.get(name)?.unsubscribe()
    this.#left.delete(name)
  }

  #channel<Kind extends SseChannel>(name: string, kind: new (host: ChannelHost, name: string) => Kind): Kind {
    const known = this.channels[name]
    if (known instanceof kind) return known
    known?.unsubscribe()
    const channel = new kind(this, name)
    this.channels[name] = channel
    this.#ended = false
    const left = this.#left.get(name)
    if (left instanceof kind) {
      channel.adopt(left)
      this.#endLeft(name)
      return channel
    }
    this.#wanted.push(channel)
    // Channels that a page asks for together are one question.
    queueMicrotask(() => this.#ask())
    return channel
  }

  /** Asks for those that have no topic yet; one question at a time. */
  #ask(): void {
    if (this.#asking) return
    this.#again.stop()
    const asked = this.#wanted.length > 0 ? this.#wanted.splice(0, ASKED_AT_ONCE) : this.#alone.splice(0, 1)
    if (asked.length === 0) return
    this.#asking = true
    this.#tell()
    const parameters = new URLSearchParams(asked.map(({ name }) => ['channels[]', name]))
    this.requests.get('channels', parameters, { 'X-Socket-ID': `.${this.#secret}` }).then(
      async (response) => {
        if (response.ok) return this.#learn(asked, (await response.json()) as Answer)
        throw ofStatus(response.status, response.headers.get('Retry-After'), this.#environment.now())
      },
    ).then(
      () => this.#answered(),
      (problem: unknown) => this.#unanswered(asked, problem),
    )
  }

  #answered(): void {
    this.#asking = false
    this.#failures = 0
    this.#tell()
    this.#ask()
  }

  #unanswered(asked: readonly SseChannel[], problem: unknown): void {
    const failure: Failure = isFailure(problem) ? problem : { reason: 'network', message: String(problem), final: false }
    if (failure.final) {
      const error: SseError = { type: 'AuthError', error: failure.message, ...(failure.status && { status: failure.status }) }
      for (const channel of this.#still(asked)) channel.fail(error, channel.topic !== null)
      this.#answered()
      return
    }
    this.#asking = false
    this.#failures++
    this.#wanted.unshift(...this.#still(asked))
    const { retry = 2000, maxRetry = 60_000 } = this.options.stream ?? {}
    this.#again.start(delay(retry, this.#failures - 1, maxRetry, this.#environment.random, failure), () => this.#ask())
    this.#tell()
  }

  #learn(asked: readonly SseChannel[], { channels, refused, socket }: Answer): void {
    this.mark = socket ?? null
    for (const channel of this.#still(asked)) {
      const allowed = channels.find((one) => one.channel === channel.name)
      if (allowed !== undefined) {
        if (channel.topic === null) channel.begin(this.#stream(allowed.member), allowed.topic)
        else channel.regain()
        continue
      }
      const reason = refused.find((one) => one.channel === channel.name)?.reason ?? 'unknown'
      // It tells something else of the user than the others: it is for a stream of its own.
      if (reason === 'presence' && asked.length > 1) this.#alone.push(channel)
      // What is refused is told once.
      else if (!channel.isLost) {
        channel.fail({ type: 'AuthError', status: 403, reason, error: `the server refuses the channel: ${reason}` }, channel.topic !== null)
      }
    }
  }

  /** Those that were not left meanwhile. */
  #still(asked: readonly SseChannel[]): SseChannel[] {
    return asked.filter((channel) => this.channels[channel.name] === channel)
  }

  /** The stream for a channel that tells this of the user. */
  #stream(member: unknown): SSEManager {
    const told = member === undefined ? null : JSON.stringify(member)
    const found = this.#streams.find((one) => told === null || one.member === null || one.member === told)
    const stream = found ?? { manager: this.#manager(this.#streams.length), member: told }
    stream.member ??= told
    if (found === undefined) this.#streams.push(stream)
    return stream.manager
  }

  #manager(number: number): SSEManager {
    const { session, withCredentials, stream } = this.options
    const manager = new SSEManager({
      ...stream,
      url: this.requests.url('stream'),
      topicsUrl: this.requests.url('topics'),
      headers: () => this.requests.headers(),
      ...(session !== undefined && { session: number === 0 ? session : `${session} ${number}` }),
      ...(withCredentials !== undefined && { withCredentials }),
    })
    const changed = () => this.#tell()
    manager.on('open', () => {
      changed()
      this.#check(manager, { names: [], more: false })
    })
    manager.on('reconnecting', changed)
    manager.on('closed', ({ failure }) => {
      if (failure !== null) this.#refused(manager, null, failure)
      changed()
    })
    manager.on('refused', (refused) => this.#check(manager, refused))
    manager.on('error', ({ topics, failure, delay }) => {
      if (delay === null) this.#refused(manager, topics, failure)
    })
    queueMicrotask(changed)
    return manager
  }

  /** A stream has come without some of its channels, or with some again: the application is asked which, and why. */
  #check(manager: SSEManager, { names, more }: Refused): void {
    const channels = Object.values(this.channels).filter((channel) => channel.isOf(manager) && !this.#wanted.includes(channel))
    this.#wanted.push(...channels.filter((channel) => more || channel.isLost || names.includes(channel.name)))
    this.#ask()
  }

  /** The server no longer gives these topics; null: none of the stream's. */
  #refused(manager: SSEManager, topics: readonly string[] | null, { message, status }: Failure): void {
    const own = this.#streams.some((one) => one.manager === manager)
    for (const channel of own ? Object.values(this.channels) : []) {
      if (channel.topic === null || (topics !== null && !topics.includes(channel.topic))) continue
      channel.fail({ type: 'StreamError', error: message, ...(status !== undefined && { status }) }, topics === null)
    }
  }

  #tell(): void {
    const status = this.connectionStatus()
    if (status === this.#told) return
    this.#told = status
    for (const listener of [...this.#listeners]) guarded(() => listener(status))
  }
}

const STATUS: Record<State, ConnectionStatus> = {
  idle: 'disconnected',
  connecting: 'connecting',
  open: 'connected',
  reconnecting: 'reconnecting',
  closed: 'failed',
}

function isFailure(problem: unknown): problem is Failure {
  return typeof problem === 'object' && problem !== null && 'final' in problem
}
