/**
 * Who is on the topics of the stream, as the hub tells it: a list when the stream begins, and then who comes and who goes.
 *
 * It is known of every topic of the stream, whether the page has asked or not: a list comes only once, and somebody may ask later.
 */

import { disposable } from './disposable.js'
import { Emitter, type ListenOptions } from './emitter.js'
import type { EventFrame } from './frame.js'
import type { Subscription } from './subscription.js'
import { covers } from './topic.js'

/** Somebody who is on a topic: a user, however many tabs they have. */
export interface Member<Info = unknown> {
  readonly id: string
  /** What the server tells of them. */
  readonly info: Info
  /** Since when, in milliseconds since 1970. */
  readonly since: number
}

/** What `presence()` can listen to, by name. */
export interface PresenceEvents<Info = unknown> {
  /** Everybody who is there, anew: the stream has begun, for the first time or again. Nobody is told of as having come or gone. */
  list: { members: readonly Member<Info>[]; count: number; more: boolean }
  /** These have come; `count` are there now. */
  join: { members: readonly Member<Info>[]; count: number }
  /** These have gone; `count` are there now. */
  leave: { members: readonly Member<Info>[]; count: number }
}

/** What `presence()` returns. */
export interface Presence<Info = unknown> extends Disposable {
  readonly topic: string
  /** Who is there, in the order in which it was told; empty until the first list has come. */
  readonly list: readonly Member<Info>[]
  /** How many are there, also of those that the list has no room for. */
  readonly count: number
  /** Whether the list has no room for all: the rest is for a request of the page's own (`sse_presence()`). */
  readonly more: boolean
  /** Resolved when the first list has come. Rejected if the server refuses the topic, or `close()` is called before. */
  readonly ready: Promise<void>
  /** Listens; returns a function that ends that. */
  on<Name extends keyof PresenceEvents>(
    name: Name,
    listener: (event: PresenceEvents<Info>[Name]) => void,
    options?: ListenOptions,
  ): () => void
  /** Listens for the first time that it happens. */
  once<Name extends keyof PresenceEvents>(name: Name, listener: (event: PresenceEvents<Info>[Name]) => void): () => void
  /** Ends it. */
  close(): void
}

/** The topics on which the hub tells of others, and nobody else publishes. */
const PREFIX = '$presence.'

const NAMES = ['list', 'join', 'leave'] as const

type Kind = (typeof NAMES)[number]

/** What one event tells. */
interface Told {
  readonly kind: Kind
  readonly topic: string
  readonly members: readonly Member[]
  readonly count: number
  readonly more: boolean
}

/** Who is on a topic; also what one tab tells another one that is new. */
export interface Room {
  readonly topic: string
  readonly members: Map<string, Member>
  count: number
  more: boolean
}

/** What is known of all topics, and who is told of it. */
export class Rooms {
  readonly #rooms = new Map<string, Room>()
  readonly #listeners = new Set<{ topic: string; tell: (told: Told) => void }>()

  /** Topics that somebody listens to: the stream must have them by their names, as nobody is on a pattern. */
  get wanted(): string[] {
    return [...this.#listeners].map(({ topic }) => topic)
  }

  room(topic: string): Room | undefined {
    return this.#rooms.get(topic)
  }

  /** Rooms that one of these patterns covers. */
  among(patterns: readonly string[]): Room[] {
    return [...this.#rooms.values()].filter(({ topic }) => patterns.some((pattern) => covers(pattern, topic)))
  }

  listen(topic: string, tell: (told: Told) => void): () => void {
    const listener = { topic, tell }
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Takes what an event of the hub tells; false if the event tells nothing of the kind. */
  take(frame: EventFrame): boolean {
    const told = parse(frame)
    if (told === null) return false
    const { kind, topic, members, count, more } = told
    const room = kind === 'list' ? { topic, members: new Map<string, Member>(), count, more } : this.#rooms.get(topic)
    // Without a list it is not known who else is there.
    if (room === undefined) return true
    this.#rooms.set(topic, room)
    room.count = count
    for (const member of members) {
      if (kind === 'leave') room.members.delete(member.id)
      else room.members.set(member.id, member)
    }
    this.#tell(told)
    return true
  }

  /** Takes rooms from the tab that has the connection, where this one has missed their lists. */
  learn(rooms: readonly Room[]): void {
    for (const room of rooms) {
      if (this.#rooms.has(room.topic)) continue
      this.#rooms.set(room.topic, room)
      this.#tell({ ...room, kind: 'list', members: [...room.members.values()] })
    }
  }

  /** The stream has these topics now; nothing more is told of others. */
  keep(patterns: readonly string[]): void {
    const kept = new Set(this.among(patterns))
    for (const room of this.#rooms.values()) {
      if (!kept.has(room)) this.#rooms.delete(room.topic)
    }
  }

  /** Nothing is known any more. */
  clear(): void {
    this.#rooms.clear()
  }

  #tell(told: Told): void {
    for (const listener of [...this.#listeners]) {
      if (listener.topic === told.topic) listener.tell(told)
    }
  }
}

/** What `presence()` returns for a topic that `subscription` watches; both are made in one task, so that they are one change. */
export function presenceOf(rooms: Rooms, topic: string, subscription: Subscription): Presence {
  const emitter = new Emitter<PresenceEvents>(NAMES)
  let settle: { resolve: () => void; reject: (error: unknown) => void } = { resolve: () => {}, reject: () => {} }
  const ready = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject }
  })
  // Who doesn't ask whether it is ready needs no word of a rejection.
  ready.catch(() => {})
  subscription.ready.catch((error: unknown) => settle.reject(error))
  const leave = rooms.listen(topic, ({ kind, members, count, more }) => {
    if (kind === 'list') settle.resolve()
    emitter.emit(kind, { members, count, more })
  })
  if (rooms.room(topic) !== undefined) settle.resolve()
  const close = () => {
    leave()
    subscription()
    settle.reject(new Error(`the presence of '${topic}' was closed`))
  }
  const on: Presence['on'] = (name, listener, options) => emitter.on(name, listener, options)
  const once: Presence['once'] = (name, listener) => emitter.on(name, listener, { once: true })
  const presence = {
    topic,
    get list() {
      return [...(rooms.room(topic)?.members.values() ?? [])]
    },
    get count() {
      return rooms.room(topic)?.count ?? 0
    },
    get more() {
      return rooms.room(topic)?.more ?? false
    },
    ready,
    on,
    once,
    close,
  }
  disposable(presence, close)
  return presence as typeof presence & Disposable
}

/** What the hub tells of a topic; null if the event is another one, or somebody else's, which has an id. */
function parse({ type, id, data, topics }: EventFrame): Told | null {
  if (!type.startsWith('presence.') || id !== null) return null
  const kind = NAMES.find((kind) => type === `presence.${kind}`)
  // Where the server tells topics, nobody else's event has one like this.
  if (kind === undefined || !topics.every((topic) => topic.startsWith(PREFIX))) return null
  try {
    const { topic, count, members, more } = JSON.parse(data) as Record<string, unknown>
    if (typeof topic !== 'string' || typeof count !== 'number' || !Array.isArray(members)) return null
    return { kind, topic, count, members: members as Member[], more: more === true }
  } catch {
    return null
  }
}
