/** Channels, with the methods that Echo's own have. */

import { guarded } from '../emitter.js'
import type { Member, Presence, SSEManager, SSEMessage, Subscription } from '../index.js'
import type { Requests } from './options.js'

/** Gets the event's data, which is the application's. */
export type Listener = (data: any) => void

/** What `error()` listeners get: a status as Pusher's have, and the server's reason, where it tells one. */
export interface SseError {
  readonly type: 'AuthError' | 'WhisperError' | 'StreamError'
  readonly status?: number
  readonly reason?: string
  readonly error: string
}

/** What a channel needs of its connector. */
export interface ChannelHost {
  readonly requests: Requests
  readonly namespace: string | false
  /** By which the page knows what it has sent itself; null before the application has told it. */
  readonly mark: string | null
}

export class SseChannel {
  readonly name: string
  protected readonly host: ChannelHost
  protected manager: SSEManager | null = null
  readonly #listeners = new Map<string, Set<Listener>>()
  readonly #toAll = new Set<(event: string, data: unknown) => void>()
  readonly #succeeded = new Set<() => void>()
  readonly #failed = new Set<(error: SseError) => void>()
  #subscription: Subscription | null = null
  #subscribed = false
  #lost = false
  /** Who reads the subscription: another channel of this name, once this one was left. */
  #reader: { channel: SseChannel | null } = { channel: this }

  constructor(host: ChannelHost, name: string) {
    this.host = host
    this.name = name
  }

  /** Calls the listener for each event of this name: in the namespace, or as it is where it begins with a dot. */
  listen(event: string, listener: Listener): this {
    return this.on(this.#format(event), listener)
  }

  stopListening(event: string, listener?: Listener): this {
    const type = this.#format(event)
    if (listener === undefined) this.#listeners.delete(type)
    else this.#listeners.get(type)?.delete(listener)
    return this
  }

  /** Calls the listener for all events, with the name as `listen()` takes it. */
  listenToAll(listener: (event: string, data: unknown) => void): this {
    this.#toAll.add(listener)
    return this
  }

  stopListeningToAll(listener?: (event: string, data: unknown) => void): this {
    if (listener === undefined) this.#toAll.clear()
    else this.#toAll.delete(listener)
    return this
  }

  notification(listener: Listener): this {
    return this.listen(NOTIFICATION, listener)
  }

  stopListeningForNotification(listener?: Listener): this {
    return this.stopListening(NOTIFICATION, listener)
  }

  listenForWhisper(event: string, listener: Listener): this {
    return this.listen(`.${WHISPER}${event}`, listener)
  }

  stopListeningForWhisper(event: string, listener?: Listener): this {
    return this.stopListening(`.${WHISPER}${event}`, listener)
  }

  /** Calls the listener when the stream has the channel, at once where it has it. */
  subscribed(listener: () => void): this {
    this.#succeeded.add(listener)
    if (this.#subscribed) guarded(listener)
    return this
  }

  /** Calls the listener when the server refuses the channel, or a whisper. */
  error(listener: (error: SseError) => void): this {
    this.#failed.add(listener)
    return this
  }

  /** Calls the listener for each event whose type is exactly this. */
  on(type: string, listener: Listener): this {
    const listeners = this.#listeners.get(type) ?? new Set()
    listeners.add(listener)
    this.#listeners.set(type, listeners)
    return this
  }

  /** @internal The server allows the channel: its events come on this topic. */
  begin(manager: SSEManager, topic: string): void {
    this.manager = manager
    const reader = this.#reader
    this.#subscription = manager.subscribe(topic, (message) => reader.channel?.take(message))
    this.#await()
  }

  #await(): void {
    const { manager } = this
    const subscription = this.#subscription
    const succeed = () => {
      if (this.#subscription === subscription) this.#succeed()
    }
    subscription?.ready.then(
      // Who has a channel may send at once, and be left out: the stream's id comes first, but after the response's headers.
      () => {
        if (manager === null || manager.streamId !== null) succeed()
        else manager.once('stream', succeed)
      },
      // What the server says to it comes by the manager's events.
      () => {},
    )
  }

  /** @internal */
  get topic(): string | null {
    return this.#subscription?.topic ?? null
  }

  /** @internal Whether its stream brings it. */
  get isUp(): boolean {
    return this.#subscription !== null && !this.#lost
  }

  /** @internal It is left, but may be taken again at once: see `adopt`. */
  pause(): void {
    this.#reader.channel = null
    this.#subscribed = false
  }

  /** @internal Goes on where one of this name was that has just been left. */
  adopt(left: SseChannel): void {
    this.manager = left.manager
    this.#subscription = left.#subscription
    left.#subscription = null
    this.#reader = left.#reader
    this.#reader.channel = this
    this.#await()
  }

  /** @internal Whether it is one of this stream's. */
  isOf(manager: SSEManager): boolean {
    return this.manager === manager && this.#subscription !== null
  }

  /** @internal Whether the server has refused it since it began. */
  get isLost(): boolean {
    return this.#lost
  }

  /** @internal The server allows it again. */
  regain(): void {
    if (!this.#lost) return
    this.#lost = false
    this.#succeed()
  }

  /** @internal The channel is not there, or no longer; with `lost` it may come back by its stream. */
  fail(error: SseError, lost = false): void {
    this.#subscribed = false
    this.#lost = lost
    this.tell(error)
  }

  protected tell(error: SseError): void {
    for (const listener of [...this.#failed]) guarded(() => listener(error))
  }

  /** Ends it. */
  unsubscribe(): void {
    this.#subscribed = this.#lost = false
    this.#subscription?.()
    this.#subscription = null
  }

  #succeed(): void {
    this.#subscribed = true
    for (const listener of [...this.#succeeded]) guarded(listener)
  }

  protected take({ type, data: published }: SSEMessage): void {
    const { data, isOwn } = type.startsWith(WHISPER) ? { data: published, isOwn: false } : ofPage(published, this.host.mark)
    // What this page has sent with `toOthers()` while it had another stream, or shared one with other tabs.
    if (isOwn) return
    for (const listener of [...(this.#listeners.get(type) ?? [])]) guarded(() => listener(data))
    for (const listener of [...this.#toAll]) guarded(() => listener(this.#short(type), data))
  }

  /** `OrderPaid` is `App\Events\OrderPaid`; `.order.paid` and `\Other\Event` are whole names. */
  #format(event: string): string {
    if (event.startsWith('.') || event.startsWith('\\')) return event.slice(1)
    const { namespace } = this.host
    return (namespace ? `${namespace}.${event}` : event).replaceAll('.', '\\')
  }

  #short(type: string): string {
    const { namespace } = this.host
    const prefix = namespace ? `${namespace.replaceAll('.', '\\')}\\` : ''
    return prefix !== '' && type.startsWith(prefix) ? type.slice(prefix.length) : `.${type}`
  }
}

/** Laravel's broadcasts have no `socket` of their own: it is the mark of the page that has sent them. */
function ofPage(published: unknown, mark: string | null): { data: unknown; isOwn: boolean } {
  if (typeof published !== 'object' || published === null || !('socket' in published)) return { data: published, isOwn: false }
  const { socket, ...data } = published
  return typeof socket === 'string' && /^[a-f\d]{16}$/.test(socket) ? { data, isOwn: socket === mark } : { data: published, isOwn: false }
}

const WHISPER = 'client-'

const NOTIFICATION = '.Illuminate\\Notifications\\Events\\BroadcastNotificationCreated'

export class SsePrivateChannel extends SseChannel {
  /** Tells the other clients of the channel something, past the application. */
  whisper(event: string, data: unknown): this {
    const socket = this.manager?.streamId
    const whisper = { channel: this.name, event: `${WHISPER}${event}`, data }
    const failed = (error: string, status?: number) =>
      this.tell({ type: 'WhisperError', error, ...(status !== undefined && { status }) })
    this.host.requests.post('whisper', whisper, socket ? { 'X-Socket-ID': socket } : {}).then(
      ({ ok, status }) => {
        if (!ok) failed(`the server answered ${status} to a whisper`, status)
      },
      (error: unknown) => failed(String(error)),
    )
    return this
  }
}

/** Pages of members of a room whose list the stream had no room for. */
const MOST_PAGES = 100

export class SsePresenceChannel extends SsePrivateChannel {
  readonly #here = new Set<(members: unknown[]) => void>()
  readonly #joining = new Set<Listener>()
  readonly #leaving = new Set<Listener>()
  #presence: Presence | null = null
  /** By id; null before the first list. */
  #members: Map<string, unknown> | null = null
  /** What has come while the rest of a list is asked for. */
  #waiting: (() => void)[] | null = null

  /** Calls the listener with all members, once they are known: at once where they are. */
  here(listener: (members: unknown[]) => void): this {
    this.#here.add(listener)
    const members = this.#members
    if (members !== null) guarded(() => listener([...members.values()]))
    return this
  }

  joining(listener: Listener): this {
    this.#joining.add(listener)
    return this
  }

  leaving(listener: Listener): this {
    this.#leaving.add(listener)
    return this
  }

  /** @internal */
  override begin(manager: SSEManager, topic: string): void {
    super.begin(manager, topic)
    this.#watch(manager, topic)
  }

  /** @internal */
  override pause(): void {
    super.pause()
    for (const listeners of [this.#here, this.#joining, this.#leaving]) listeners.clear()
  }

  /** @internal */
  override adopt(left: SseChannel): void {
    super.adopt(left)
    // Before the other one ends its own: the list stays.
    if (this.manager !== null && this.topic !== null) this.#watch(this.manager, this.topic)
  }

  #watch(manager: SSEManager, topic: string): void {
    const presence = manager.presence(topic)
    this.#presence = presence
    presence.on('list', ({ members, more }) => this.#in(() => (more ? this.#askAll(presence, members) : this.#all(members))))
    presence.on('join', ({ members }) => this.#in(() => this.#come(members)))
    presence.on('leave', ({ members }) => this.#in(() => this.#go(members)))
    if (presence.list.length > 0) this.#all(presence.list)
  }

  override unsubscribe(): void {
    this.#presence?.close()
    this.#presence = this.#members = this.#waiting = null
    super.unsubscribe()
  }

  /** In the order in which it came. */
  #in(change: () => void): void {
    if (this.#waiting === null) change()
    else this.#waiting.push(change)
  }

  /** A list, the first one or another after a reconnection: then it is told who has come and gone meanwhile. */
  #all(members: readonly Member[]): void {
    const before = this.#members
    if (before === null) {
      const known = new Map(members.map(({ id, info }) => [id, info]))
      this.#members = known
      for (const listener of [...this.#here]) guarded(() => listener([...known.values()]))
      return
    }
    const now = new Set(members.map(({ id }) => id))
    this.#go([...before.keys()].filter((id) => !now.has(id)).map((id) => ({ id })))
    this.#come(members)
  }

  #come(members: readonly Member[]): void {
    for (const { id, info } of members) {
      const isNew = !this.#members?.has(id)
      this.#members?.set(id, info)
      if (isNew) for (const listener of [...this.#joining]) guarded(() => listener(info))
    }
  }

  #go(members: readonly Pick<Member, 'id'>[]): void {
    for (const { id } of members) {
      const info = this.#members?.get(id)
      if (this.#members?.delete(id)) for (const listener of [...this.#leaving]) guarded(() => listener(info))
    }
  }

  /** The list was cut: the application has all of it. Without an answer the part that came has to do. */
  #askAll(presence: Presence, members: readonly Member[]): void {
    const waiting: (() => void)[] = []
    this.#waiting = waiting
    this.#pages().catch(() => members).then((all) => {
      if (this.#presence !== presence || this.#waiting !== waiting) return
      this.#waiting = null
      this.#all(all)
      for (const change of waiting) this.#in(change)
    })
  }

  async #pages(): Promise<Member[]> {
    const all: Member[] = []
    for (let page = 0; page < MOST_PAGES; page++) {
      const after = all.at(-1)?.id
      const parameters = new URLSearchParams({ channel: this.name, ...(after !== undefined && { after }) })
      const response = await this.host.requests.get('members', parameters)
      if (!response.ok) throw new Error(`the server answered ${response.status} to the question who is on ${this.name}`)
      const { members } = (await response.json()) as { members: Member[] }
      if (members.length === 0) break
      all.push(...members)
    }
    return all
  }
}
