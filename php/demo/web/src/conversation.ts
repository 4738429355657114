/**
 * One client of a room: what it has got, in order and once, and what it has to send. It owns the client's stream. The numbers
 * that SQLite gave the messages tell whether one is missing; what the stream can't bring is asked for.
 */

import type { SSEMessage } from '../../../../js/dist/sse-manager.js'
import { now, wait } from './clock'
import { Live, type State } from './live'
import type { Network } from './network'

export interface Message {
  /** Its number in the room; a message from a shell has none. */
  readonly seq?: number
  /** The database that gave it the number. */
  readonly epoch?: string
  readonly key?: string
  readonly client?: string
  readonly from: string
  readonly text: string
  /** Milliseconds since 1970, by PHP's clock. */
  readonly sent?: number
  readonly steps?: Steps
}

/** When PHP did what, by its clock. */
export interface Steps {
  readonly began: number
  readonly stored: number
  readonly notified: number
  readonly held?: number
  readonly answered?: number
}

export interface Member {
  readonly client: string
  readonly name: string
}

export interface Outgoing {
  readonly key: string
  readonly text: string
  /** When the button was pressed. */
  readonly pressed: number
}

/** What PHP answered, and when it was asked and had answered. */
export interface Answer {
  readonly key: string
  readonly seq: number
  readonly steps: Steps
  readonly asked: number
  readonly answered: number
}

export interface ConversationListener {
  /** A message, when its turn has come; `live`: by the stream, at this time. */
  message(message: Message, at: number, live: boolean): void
  outgoing(message: Outgoing): void
  /** How far a message is that has not come back by the stream. */
  outgoingIs(key: string, how: 'sent' | 'unanswered'): void
  /** The server has another database: the messages of before are gone, and the numbers begin anew. */
  anew(): void
  answered(answer: Answer): void
  state(state: State): void
  members(members: readonly Member[]): void
  typing(name: string | null): void
  /** What has been got or is to be sent has changed. */
  progress(): void
}

/** What the server has of the room. */
interface RoomState {
  readonly epoch: string
  readonly cursor: string
  readonly messages: Message[]
}

const TYPING_LASTS = 4000

export class Conversation {
  readonly client: string
  readonly name: string
  readonly #room: string
  readonly #network: Network
  readonly #listener: ConversationListener
  #live: Live | null = null
  /** Messages whose turn has not come, by their numbers. */
  readonly #early = new Map<number, { message: Message; at: number }>()
  readonly #seenIds = new Set<string>()
  #outbox: Outgoing[] = []
  #sending = false
  #healing = false
  #epoch: string | null = null
  #typingTold = 0
  #typingEnds: ReturnType<typeof setTimeout> | undefined
  #othersTyping: ReturnType<typeof setTimeout> | undefined
  /** All up to this number have been got. */
  last = 0
  /** Events that came twice. */
  twice = 0

  constructor(room: string, name: string, network: Network, listener: ConversationListener) {
    this.#room = room
    this.name = name
    this.client = remembered(`php-sse-demo client ${room} ${name}`)
    this.#network = network
    this.#listener = listener
  }

  /** Messages that wait to be sent. */
  get waiting(): number {
    return this.#outbox.length
  }

  async begin(): Promise<void> {
    const state = await this.#loadAll()
    this.#start(state)
    this.#live = new Live({
      url: 'stream.php',
      query: { room: this.#room, client: this.client, name: this.name },
      topics: [`chat.${this.#room}`, `chat.${this.#room}.*`],
      network: this.#network,
      lastEventId: state.cursor,
      state: (state) => this.#listener.state(state),
      presence: {
        topic: `chat.${this.#room}`,
        changed: (members) => this.#listener.members(members.map(({ id, info }) => ({ client: id, name: nameIn(info) }))),
      },
      gap: () => void this.#heal(),
      event: (event) => this.#event(event),
    })
    this.#listener.progress()
  }

  #start({ epoch, messages }: RoomState): void {
    this.#epoch = epoch
    this.#early.clear()
    this.last = (messages[0]?.seq ?? 1) - 1
    for (const message of messages) this.#got(message, now(), false)
  }

  /** The messages that it has are of a database that is gone. What is still to be sent is sent to the new one. */
  async #startAnew(): Promise<void> {
    const state = await this.#loadAll()
    if (state.epoch === this.#epoch) return
    this.#listener.anew()
    this.#start(state)
    this.#listener.progress()
  }

  send(text: string): void {
    const message = { key: unique(), text, pressed: now() }
    this.#outbox.push(message)
    this.#listener.outgoing(message)
    this.#listener.progress()
    void this.#deliver()
    this.#stopTyping(false)
  }

  /** Something was typed. */
  typed(): void {
    clearTimeout(this.#typingEnds)
    this.#typingEnds = setTimeout(() => this.#stopTyping(true), 3000)
    if (now() - this.#typingTold < 2500 && this.#typingTold > 0) return
    this.#typingTold = now()
    void this.#post('typing.php', { name: this.name, typing: '1' }).catch(() => {})
  }

  #stopTyping(tell: boolean): void {
    clearTimeout(this.#typingEnds)
    if (tell && this.#typingTold > 0) void this.#post('typing.php', { name: this.name, typing: '0' }).catch(() => {})
    this.#typingTold = 0
  }

  #event({ type, id, data }: SSEMessage): void {
    const at = now()
    if (this.#seenIds.has(id)) this.twice++
    this.#seenIds.add(id)
    if (type === 'message' && isMessage(data)) this.#got(data, at, true)
    if (type === 'typing') this.#typing(data as Member & { typing: boolean })
  }

  #typing({ client, name, typing }: Member & { typing: boolean }): void {
    if (client === this.client) return
    clearTimeout(this.#othersTyping)
    this.#listener.typing(typing ? name : null)
    // Whoever was typing may have lost the Wi-Fi.
    if (typing) this.#othersTyping = setTimeout(() => this.#listener.typing(null), TYPING_LASTS)
  }

  #got(message: Message, at: number, live: boolean): void {
    const { seq, epoch = this.#epoch } = message
    if (epoch !== this.#epoch) {
      void this.#heal()
      return
    }
    if (seq === undefined) {
      this.#listener.message(message, at, live)
      return
    }
    // Told again, as its sender had got no answer; or asked for meanwhile.
    if (seq <= this.last) return
    if (seq > this.last + 1) {
      this.#early.set(seq, { message, at })
      setTimeout(() => void this.#heal(), 300)
      return
    }
    this.last = seq
    this.#outbox = this.#outbox.filter(({ key }) => key !== message.key)
    if (message.client !== this.client) this.#listener.typing(null)
    this.#listener.message(message, at, live)
    const next = this.#early.get(seq + 1)
    this.#early.delete(seq + 1)
    if (next !== undefined) this.#got(next.message, next.at, live)
    else this.#listener.progress()
  }

  /** Asks for what has not come. */
  async #heal(): Promise<void> {
    if (this.#healing) return
    this.#healing = true
    const state = await this.#load(this.last)
    if (state !== null && state.epoch !== this.#epoch) {
      await this.#startAnew()
      this.#healing = false
      // What came in the meantime was of a database that was not known yet.
      return this.#heal()
    }
    this.#healing = false
    for (const message of state?.messages ?? []) this.#got(message, now(), false)
    if (this.#early.size > 0) setTimeout(() => void this.#heal(), 1000)
  }

  /** What the server has, as soon as it answers. */
  async #loadAll(): Promise<RoomState> {
    for (;;) {
      const state = await this.#load(null)
      if (state !== null) return state
      await wait(1000)
    }
  }

  async #load(after: number | null): Promise<RoomState | null> {
    const query = new URLSearchParams({ room: this.#room })
    if (after !== null) query.set('after', String(after))
    try {
      const response = await this.#network.fetch(`messages.php?${query.toString()}`)
      return response.ok ? ((await response.json()) as RoomState) : null
    } catch {
      return null
    }
  }

  /** Sends what waits, one after the other, each until PHP has answered. */
  async #deliver(): Promise<void> {
    if (this.#sending) return
    this.#sending = true
    for (let message = this.#outbox[0]; message !== undefined; message = this.#outbox[0]) {
      const { key, text } = message
      const asked = now()
      try {
        const response = await this.#post('send.php', { from: this.name, text, key })
        const answered = now()
        if (response.ok) {
          const { seq, steps } = (await response.json()) as { seq: number; steps: Steps }
          this.#listener.answered({ key, seq, steps, asked, answered })
          this.#listener.outgoingIs(key, 'sent')
        }
        // What PHP will not have, it will not have the next time either.
        if (response.status < 500) this.#outbox = this.#outbox.filter((other) => other.key !== key)
        else {
          this.#listener.outgoingIs(key, 'unanswered')
          await wait(1000)
        }
      } catch {
        this.#listener.outgoingIs(key, 'unanswered')
        await this.#back()
      }
      this.#listener.progress()
    }
    this.#sending = false
  }

  /** Waits until it makes sense to try again. */
  async #back(): Promise<void> {
    if (!this.#network.down) return wait(1000)
    await new Promise((resolve) => this.#network.addEventListener('up', resolve, { once: true }))
  }

  #post(target: string, fields: Record<string, string>): Promise<Response> {
    const stream = this.#live?.streamId ?? ''
    const body = new URLSearchParams({ room: this.#room, client: this.client, stream, ...fields })
    return this.#network.fetch(target, { method: 'POST', body })
  }
}

/** Anybody on the server's machine can publish anything. */
function isMessage(data: unknown): data is Message {
  const { from, text } = (data ?? {}) as { from?: unknown; text?: unknown }
  return typeof from === 'string' && typeof text === 'string'
}

/** A shell may be there under any name, and without one. */
function nameIn(info: unknown): string {
  const { name } = (info ?? {}) as { name?: unknown }
  return typeof name === 'string' ? name : 'somebody'
}

const unique = (): string => Math.random().toString(36).slice(2) + Date.now().toString(36)

/** Who this tab is: the same one after a reload. */
function remembered(key: string): string {
  try {
    const client = sessionStorage.getItem(key) ?? unique()
    sessionStorage.setItem(key, client)
    return client
  } catch {
    return unique()
  }
}
