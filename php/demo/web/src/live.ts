/**
 * The stream of a page: read with fetch and a parser, opened again after every break, from the last event on. The rest of the
 * demo knows no other way to events than this file.
 */

import { createParser, type EventSourceMessage } from 'eventsource-parser'
import type { Network } from './network'

export type State = 'connecting' | 'open' | 'waiting'

export interface LiveConfig {
  readonly url: string
  readonly network: Network
  /** The id to begin after; null: with what comes next. */
  readonly lastEventId?: string | null
  readonly event: (event: EventSourceMessage) => void
  readonly state: (state: State) => void
}

/** Milliseconds after which a hidden page lets its stream go: a browser has six connections to a server, for all its tabs. */
const HIDDEN = 5000

export class Live {
  readonly #config: LiveConfig
  #lastEventId: string | null
  #retry = 1000
  #abort: AbortController | null = null
  #timer: ReturnType<typeof setTimeout> | undefined
  #ended = false

  constructor(config: LiveConfig) {
    this.#config = config
    this.#lastEventId = config.lastEventId ?? null
    config.network.addEventListener('up', () => this.#again(0))
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) this.#timer = setTimeout(() => this.#pause(), HIDDEN)
      else this.#again(0)
    })
    addEventListener('pagehide', () => this.#pause())
    addEventListener('pageshow', (event) => {
      if (event.persisted) this.#again(0)
    })
    void this.#read()
  }

  end(): void {
    this.#ended = true
    this.#pause()
  }

  #pause(): void {
    clearTimeout(this.#timer)
    this.#abort?.abort()
    this.#abort = null
  }

  #again(milliseconds: number): void {
    clearTimeout(this.#timer)
    if (this.#ended || this.#abort !== null) return
    this.#timer = setTimeout(() => void this.#read(), milliseconds)
  }

  async #read(): Promise<void> {
    const { url, network, event, state } = this.#config
    const abort = new AbortController()
    this.#abort = abort
    state('connecting')
    try {
      const headers: Record<string, string> = { Accept: 'text/event-stream' }
      if (this.#lastEventId !== null) headers['Last-Event-ID'] = this.#lastEventId
      const response = await network.fetch(url, { headers, cache: 'no-store', signal: abort.signal })
      if (!response.ok || response.body === null) throw new Error(`the server answered ${response.status}`)
      state('open')
      const parser = createParser({
        onEvent: (message) => {
          if (message.id) this.#lastEventId = message.id
          event(message)
        },
        onRetry: (milliseconds) => {
          this.#retry = milliseconds
        },
      })
      const decoder = new TextDecoder()
      const reader = response.body.getReader()
      for (;;) {
        const { done, value } = await reader.read()
        if (done || abort.signal.aborted) break
        parser.feed(decoder.decode(value, { stream: true }))
      }
    } catch {
      // It is opened again, whatever it was.
    }
    if (this.#abort !== abort) return
    this.#abort = null
    state('waiting')
    // Not all at the same moment.
    if (!network.down) this.#again(this.#retry * (0.5 + Math.random() / 2))
  }
}
