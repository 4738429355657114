/**
 * The stream of a page: SSEManager, over a connection that can be broken. The rest of the demo knows no other way to events
 * than this file. Each page has a stream of its own, although they could share one: Alice and Bob are two clients.
 */

import { type Member, SSEManager, type SSEMessage } from '../../../../js/dist/sse-manager.js'
import type { Network } from './network'

export type State = 'connecting' | 'open' | 'waiting'

export interface LiveConfig {
  readonly url: string
  /** Parameters of the URL, besides those of SSEManager. */
  readonly query?: Readonly<Record<string, string>>
  readonly topics: readonly string[]
  readonly network: Network
  /** The id to begin after; without one, with what comes next. */
  readonly lastEventId?: string
  readonly event: (event: SSEMessage) => void
  /** Who is on a topic, each time that it changes. */
  readonly presence?: { readonly topic: string; readonly changed: (members: readonly Member[]) => void }
  readonly gap?: () => void
  readonly state: (state: State) => void
}

/** Milliseconds after which a hidden page lets its stream go: a browser has six connections to a server, for all its tabs. */
const HIDDEN = 5000

export class Live {
  readonly #config: LiveConfig
  #manager: SSEManager | null = null
  #paused = false
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(config: LiveConfig) {
    this.#config = config
    // A tab that was opened in the background has no stream until somebody looks at it.
    if (document.hidden) this.#paused = true
    else this.#manager = this.#open(config.lastEventId)
    // It would try again by itself, after a while.
    config.network.addEventListener('up', () => this.#manager?.connect())
    document.addEventListener('visibilitychange', () => {
      clearTimeout(this.#timer)
      if (document.hidden) this.#timer = setTimeout(() => this.#pause(), HIDDEN)
      else if (this.#paused) this.#resume()
    })
  }

  /** The public id of the stream, by which a request names it; null while none is open. */
  get streamId(): string | null {
    return this.#manager?.streamId ?? null
  }

  #open(lastEventId: string | undefined): SSEManager {
    const { url, query = {}, topics, network, event, gap, state, presence } = this.#config
    const address = ({ lastEventId, topicsAs }: { lastEventId: string | null; topicsAs: string }) => {
      const parameters = new URLSearchParams({ ...query, topicsAs, ...(lastEventId !== null && { lastEventId }) })
      return new URL(`${url}?${parameters.toString()}`, location.href).href
    }
    const manager = new SSEManager({
      url: address,
      ...(lastEventId !== undefined && { lastEventId }),
      retry: 1000,
      maxRetry: 5000,
      environment: { fetch: network.fetch },
    })
    state('connecting')
    manager.on('open', () => state('open'))
    manager.on('reconnecting', () => state('waiting'))
    manager.on('gap', () => gap?.())
    for (const topic of topics) manager.subscribe(topic, event)
    if (presence !== undefined) {
      const here = manager.presence(presence.topic)
      for (const name of ['list', 'join', 'leave'] as const) here.on(name, () => presence.changed(here.list))
    }
    return manager
  }

  #pause(): void {
    this.#paused = true
    this.#manager?.close()
  }

  #resume(): void {
    this.#paused = false
    this.#manager = this.#open(this.#manager?.lastEventId ?? this.#config.lastEventId)
  }
}
