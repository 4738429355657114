/** What Echo passes on: its own options, and those of this connector. */

import type { SSEManagerConfig } from '../index.js'

/** Options of SSEManager that a page may set beside those that the connector makes itself. */
type Stream = Omit<SSEManagerConfig, 'url' | 'topicsUrl' | 'publishUrl' | 'headers' | 'session' | 'withCredentials' | 'decode' | 'lastEventId'>

export interface SseEchoOptions {
  /** The origin of the application, where that is another one than the page's: `https://api.example.com`. */
  host?: string | null
  /** Where the package's routes are, as `path` of config/sse.php. Default `/sse`. */
  path?: string
  /** Who is logged in: all tabs then share one connection, see SSEManager. Default: each tab has its own. */
  session?: string
  /** Send cookies to another origin as well. Default false. */
  withCredentials?: boolean
  /** Further options of SSEManager, such as `method: 'POST'` for more channels than a URL has room for. */
  stream?: Stream
  /** Headers of all requests. */
  auth?: { headers: Record<string, string> }
  bearerToken?: string | null
  csrfToken?: string | null
  /** Where events are whose names begin with no dot. Default `App.Events`; false: nowhere. */
  namespace?: string | false
}

/** Makes the requests of a connector. */
export class Requests {
  readonly #options: SseEchoOptions
  readonly #fetch: typeof fetch | null

  constructor(options: SseEchoOptions) {
    this.#options = options
    this.#fetch = options.stream?.environment?.fetch ?? globalThis.fetch?.bind(globalThis) ?? null
  }

  url(route: string): string {
    const { host, path = '/sse' } = this.#options
    return `${host?.replace(/\/$/, '') ?? ''}/${path.replace(/^\/|\/$/g, '')}/${route}`
  }

  /** The headers, as the page has them now: a login may have brought another token. */
  headers(): Record<string, string> {
    const { auth, bearerToken } = this.#options
    const token = this.#csrfToken()
    return {
      ...(token && { 'X-CSRF-TOKEN': token }),
      ...(bearerToken && { Authorization: `Bearer ${bearerToken}` }),
      ...auth?.headers,
    }
  }

  get(route: string, parameters: URLSearchParams, headers: Record<string, string> = {}): Promise<Response> {
    return this.#ask(`${this.url(route)}?${parameters}`, { headers: { Accept: 'application/json', ...this.headers(), ...headers } })
  }

  post(route: string, content: unknown, headers: Record<string, string>): Promise<Response> {
    const own = { Accept: 'application/json', 'Content-Type': 'application/json' }
    return this.#ask(this.url(route), {
      method: 'POST',
      headers: { ...own, ...this.headers(), ...headers },
      body: JSON.stringify(content),
    })
  }

  #ask(url: string, init: RequestInit): Promise<Response> {
    if (this.#fetch === null) throw new TypeError('SseConnector: this runtime has no fetch()')
    return this.#fetch(url, { credentials: this.#options.withCredentials ? 'include' : 'same-origin', ...init })
  }

  /** Where Echo's own connectors look for it. */
  #csrfToken(): string | null {
    const page = globalThis as { Laravel?: { csrfToken?: string }; document?: Document }
    const { csrfToken } = this.#options
    return (
      page.Laravel?.csrfToken ?? csrfToken ?? page.document?.querySelector('meta[name="csrf-token"]')?.getAttribute('content') ?? null
    )
  }
}
