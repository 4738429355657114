/** A stream of the dashboard's own: it begins anew after a failure, and rests while nobody looks. */

export type FeedState = 'connecting' | 'open' | 'waiting' | 'paused'

interface FeedConfig {
  readonly url: string
  /** By the type of the event. */
  readonly events: Readonly<Record<string, (data: string) => void>>
  readonly state?: (state: FeedState) => void
}

/** Milliseconds until a stream that was refused is asked for again. */
const RETRY = 5000
/** Milliseconds in a tab that nobody sees, after which the stream ends. */
const HIDDEN = 30_000

export class Feed {
  readonly #config: FeedConfig
  #source: EventSource | null = null
  #retry: ReturnType<typeof setTimeout> | undefined
  #hide: ReturnType<typeof setTimeout> | undefined
  #paused = false
  #closed = false

  constructor(config: FeedConfig) {
    this.#config = config
    document.addEventListener('visibilitychange', this.#seen)
    if (!document.hidden) this.#open()
  }

  /** Ends it for good. */
  close(): void {
    this.#closed = true
    document.removeEventListener('visibilitychange', this.#seen)
    clearTimeout(this.#hide)
    this.#stop()
  }

  pause(paused: boolean): void {
    this.#paused = paused
    this.#stop()
    if (paused) this.#config.state?.('paused')
    else this.#open()
  }

  readonly #seen = (): void => {
    clearTimeout(this.#hide)
    if (document.hidden) this.#hide = setTimeout(() => this.#stop(), HIDDEN)
    else if (this.#source === null && !this.#paused) this.#open()
  }

  #stop(): void {
    clearTimeout(this.#retry)
    this.#source?.close()
    this.#source = null
  }

  #open(): void {
    this.#stop()
    if (this.#closed) return
    this.#config.state?.('connecting')
    const source = new EventSource(this.#config.url)
    this.#source = source
    source.addEventListener('open', () => this.#config.state?.('open'))
    source.addEventListener('error', () => {
      this.#config.state?.('waiting')
      // An answer that is no stream ends an EventSource: the permission is gone, or the server is being restarted.
      if (source.readyState === EventSource.CLOSED && this.#source === source) this.#retry = setTimeout(() => this.#open(), RETRY)
    })
    for (const [type, take] of Object.entries(this.#config.events)) {
      source.addEventListener(type, (event) => take((event as MessageEvent<string>).data))
    }
  }
}
