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
  readonly nudged: number
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
  answered(answer: Answer): void
  state(state: State): void
  members(members: readonly Member[]): void
  typing(name: string | null): void
  /** What has been got or is to be sent has changed. */
  progress(): void
}

const PRESENT_EVERY = 5000
const TYPING_LASTS = 4000

export class Conversation {
  readonly client: string
  readonly name: string
  readonly #room: string
  readonly #network: Network
  readonly #listener: ConversationListener
  /** Messages whose turn has not come, by their numbers. */
  readonly #early = new Map<number, { message: Message; at: number }>()
  readonly #seenIds = new Set<string>()
  #outbox: Outgoing[] = []
  #sending = false
  #healing = false
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
    network.addEventListener('up', () => void this.#present(true))
    addEventListener('pagehide', () => {
      if (!network.down) navigator.sendBeacon('present.php', this.#form({ name: this.name, here: '0' }))
    })
    setInterval(() => void this.#present(true), PRESENT_EVERY)
  }

  /** Messages that wait to be sent. */
  get waiting(): number {
    return this.#outbox.length
  }

  async begin(): Promise<void> {
    let state = await this.#load(null)
    while (state === null) {
      await wait(1000)
      state = await this.#load(null)
    }
    this.last = (state.messages[0]?.seq ?? 1) - 1
    for (const message of state.messages) this.#got(message, now(), false)
    this.#listener.members(state.present)
    new Live({
      url: 'stream.php',
      query: { room: this.#room },
      topics: [`chat.${this.#room}`, `chat.${this.#room}.*`],
      network: this.#network,
      lastEventId: state.cursor,
      state: (state) => {
        this.#listener.state(state)
        if (state === 'open') void this.#present(true)
      },
      gap: () => void this.#heal(),
      event: (event) => this.#event(event),
    })
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
    if (type === 'present') this.#listener.members(data as Member[])
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
    const { seq } = message
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
    this.#healing = false
    for (const message of state?.messages ?? []) this.#got(message, now(), false)
    if (this.#early.size > 0) setTimeout(() => void this.#heal(), 1000)
  }

  async #load(after: number | null): Promise<{ cursor: string; messages: Message[]; present: Member[] } | null> {
    const query = new URLSearchParams({ room: this.#room })
    if (after !== null) query.set('after', String(after))
    try {
      const response = await this.#network.fetch(`messages.php?${query.toString()}`)
      return response.ok ? ((await response.json()) as { cursor: string; messages: Message[]; present: Member[] }) : null
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
        }
        // What PHP will not have, it will not have the next time either.
        if (response.status < 500) this.#outbox = this.#outbox.filter((other) => other.key !== key)
        else await wait(1000)
      } catch {
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

  async #present(here: boolean): Promise<void> {
    if (this.#network.down) return
    await this.#post('present.php', { name: this.name, here: here ? '1' : '0' }).catch(() => {})
  }

  #post(target: string, fields: Record<string, string>): Promise<Response> {
    return this.#network.fetch(target, { method: 'POST', body: this.#form(fields) })
  }

  #form(fields: Record<string, string>): URLSearchParams {
    return new URLSearchParams({ room: this.#room, client: this.client, ...fields })
  }
}

/** Anybody on the server's machine can publish anything. */
function isMessage(data: unknown): data is Message {
  const { from, text } = (data ?? {}) as { from?: unknown; text?: unknown }
  return typeof from === 'string' && typeof text === 'string'
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
