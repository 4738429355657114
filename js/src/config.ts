/** What an SSEManager is made with. */

import type { Environment } from './environment.js'
import type { Decode } from './message.js'

type Headers = Record<string, string>

export interface SSEManagerConfig {
  /**
   * The script that calls `sse_stream()`. The topics are added as the parameter `topics`, joined by commas; `topicsAs`, how
   * topics are to be told; and `lastEventId`. A function makes the whole URL itself.
   */
  url: string | ((wanted: { topics: readonly string[]; lastEventId: string | null; topicsAs: TopicsAs }) => string)
  /** The script that calls `sse_publish()`, for `send()`. */
  publishUrl?: string
  /**
   * The script that calls `sse_retopic()`: topics are added to the open stream, and taken from it, by a POST to it, without another
   * stream. `stream.php` of the PHP library does both. Without it, or where it can't be done, another stream takes the place.
   */
  topicsUrl?: string
  /**
   * Who this browser is logged in as: the user's id, or `'public'` where everybody gets the same. Pages with the same `url` and
   * `session` share one connection, and a reload goes on where it was. Without it, each page has a connection of its own:
   * the client can't know when a user has changed.
   */
  session?: string
  /**
   * The id of the newest event when the page's data was read (`sse_cursor()`): what came after it comes first. It is for the
   * subscriptions made before the first connection.
   */
  lastEventId?: string
  /**
   * Request headers, such as `Authorization`, or a function that makes them before each request. Needs transport `fetch`. After
   * a 401 the function is called once more, with `renew: true`: the token that it had is not good any more.
   */
  headers?: Headers | ((why: { renew: boolean }) => Headers | Promise<Headers>)
  /**
   * `POST`: the topics and the other parameters go into the body, as a form, for lists that no URL has room for. The script
   * reads `$_POST`, and where there is no `fetch`, so that EventSource is used, `$_GET`. Default `GET`.
   */
  method?: 'GET' | 'POST'
  /** Send cookies to another origin as well. Default false. */
  withCredentials?: boolean
  /**
   * `fetch` (default where there is one): sees statuses, `Retry-After` and heartbeats. `eventsource`: the browser's own, which
   * sees none of these.
   */
  transport?: 'fetch' | 'eventsource'
  /** Event types that the browser's EventSource is to listen to, where the server tells no topics. */
  eventTypes?: readonly string[]
  /** How data becomes a value; default `json`: what is no JSON stays text. */
  decode?: Decode
  /**
   * True: a subscription first gets the last value of each of its topics, what was published with `retain` (`retained` of
   * sse_stream(), for which the parameter `retained=1` asks). Default false.
   */
  retained?: boolean
  /**
   * The address of `sse-worker.js`, of the page's own origin: pages without HTTPS, which have no Web Locks, share a connection by that
   * worker. Without it, each has its own.
   */
  workerUrl?: string
  /** False: this page keeps a connection of its own although it has a `session`. Default true. */
  share?: boolean
  /** False: a reload begins anew although there is a `session`. Default true. */
  resume?: boolean
  /** Milliseconds before a broken stream is opened again, until the server tells another time. Default 2000. */
  retry?: number
  /** Milliseconds between two attempts at most, plus up to half of it by chance. Default 60000. */
  maxRetry?: number
  /**
   * Milliseconds without a byte after which a stream counts as dead. 0: never. By default three of the heartbeats that the server
   * tells; 45000 where it tells none.
   */
  heartbeatTimeout?: number
  /** Milliseconds that the server may take to begin a stream. Default 30000. */
  openTimeout?: number
  /**
   * What is tried in this order where a proxy holds streams back: `short`, responses that end after `shortLifetime`, and `poll`,
   * long-polls by POST. Default both; `[]`: nothing but streams. Needs transport `fetch`.
   */
  fallback?: readonly ('short' | 'poll')[]
  /** Milliseconds after its headers in which the first bytes of a stream must come, or it counts as held back. Default 5000. */
  firstBytesTimeout?: number
  /** Milliseconds after which a response of the way `short` ends. Default 5000. */
  shortLifetime?: number
  /** Milliseconds that a long-poll waits for events. Default 25000. */
  pollLifetime?: number
  /** Milliseconds after which a lasting stream is tried again while another way is used, or no way has helped. Default 300000. */
  fallbackTime?: number
  /** Parts of the surroundings to be used in place of the runtime's, for tests and other runtimes. */
  environment?: Partial<Environment>
  /** True: what happens is written to the console (`console.debug`). Or a function that gets it. */
  debug?: boolean | ((what: string, details: unknown) => void)
}

/** How topics are told: by a field, which only the transport `fetch` sees, or by an envelope around the data. */
export type TopicsAs = 'field' | 'envelope'

const KEYS: Record<keyof SSEManagerConfig, true> = {
  url: true,
  publishUrl: true,
  topicsUrl: true,
  session: true,
  lastEventId: true,
  headers: true,
  method: true,
  withCredentials: true,
  transport: true,
  eventTypes: true,
  decode: true,
  retained: true,
  workerUrl: true,
  share: true,
  resume: true,
  retry: true,
  maxRetry: true,
  heartbeatTimeout: true,
  openTimeout: true,
  fallback: true,
  firstBytesTimeout: true,
  shortLifetime: true,
  pollLifetime: true,
  fallbackTime: true,
  environment: true,
  debug: true,
}

const FLAGS = ['withCredentials', 'retained', 'share', 'resume'] as const
const NUMBERS = [
  'retry',
  'maxRetry',
  'heartbeatTimeout',
  'openTimeout',
  'firstBytesTimeout',
  'shortLifetime',
  'pollLifetime',
  'fallbackTime',
] as const

/** Throws where the configuration can't work. */
export function check(config: SSEManagerConfig): void {
  const wrong = (what: string): never => {
    throw new TypeError(`SSEManager: ${what}`)
  }
  if (typeof config !== 'object' || config === null) wrong(`the configuration must be an object, such as { url: '/stream.php' }`)
  for (const key of Object.keys(config)) {
    if (!Object.hasOwn(KEYS, key)) wrong(`config.${key} is unknown; there are ${Object.keys(KEYS).join(', ')}`)
  }
  const { url, publishUrl, topicsUrl, lastEventId, transport, headers, method, session, eventTypes, decode, debug, fallback, workerUrl } = config
  if (typeof url !== 'function' && (typeof url !== 'string' || url === '')) {
    wrong(`config.url must be the address of a stream or a function, ${typeof url} given`)
  }
  if (transport !== undefined && transport !== 'fetch' && transport !== 'eventsource') {
    wrong(`config.transport must be 'fetch' or 'eventsource', '${String(transport)}' given`)
  }
  if (transport === 'eventsource' && headers !== undefined) {
    wrong("config.headers can't be sent by transport 'eventsource'; leave the transport out")
  }
  if (method !== undefined && method !== 'GET' && method !== 'POST') {
    wrong(`config.method must be 'GET' or 'POST', '${String(method)}' given`)
  }
  if (transport === 'eventsource' && method === 'POST') {
    wrong("config.method 'POST' is not for transport 'eventsource'; leave the transport out")
  }
  if (debug !== undefined && typeof debug !== 'boolean' && typeof debug !== 'function') {
    wrong(`config.debug must be true, false or a function, ${typeof debug} given`)
  }
  if (session !== undefined && typeof session !== 'string') {
    wrong(`config.session must be a string, such as the user's id, ${typeof session} given`)
  }
  if (publishUrl !== undefined && typeof publishUrl !== 'string') {
    wrong(`config.publishUrl must be the address of a script, ${typeof publishUrl} given`)
  }
  if (topicsUrl !== undefined && (typeof topicsUrl !== 'string' || topicsUrl === '')) {
    wrong(`config.topicsUrl must be the address of a script, ${typeof topicsUrl} given`)
  }
  if (workerUrl !== undefined && (typeof workerUrl !== 'string' || workerUrl === '')) {
    wrong(`config.workerUrl must be the address of sse-worker.js, ${typeof workerUrl} given`)
  }
  // Null is what `sse_cursor()` becomes in a page that has none.
  if (lastEventId !== undefined && lastEventId !== null && typeof lastEventId !== 'string') {
    wrong(`config.lastEventId must be a string, ${typeof lastEventId} given`)
  }
  if (headers !== undefined && typeof headers !== 'function' && (typeof headers !== 'object' || headers === null)) {
    wrong(`config.headers must be an object or a function, ${headers === null ? 'null' : typeof headers} given`)
  }
  if (eventTypes !== undefined && !Array.isArray(eventTypes)) {
    wrong(`config.eventTypes must be an array of types, ${typeof eventTypes} given`)
  }
  if (decode !== undefined && decode !== 'json' && decode !== 'text' && typeof decode !== 'function') {
    wrong(`config.decode must be 'json', 'text' or a function, '${String(decode)}' given`)
  }
  if (fallback !== undefined && !(Array.isArray(fallback) && fallback.every((way) => way === 'short' || way === 'poll'))) {
    wrong("config.fallback must be an array of 'short' and 'poll', or empty")
  }
  for (const name of FLAGS) {
    const value = config[name]
    if (value !== undefined && typeof value !== 'boolean') {
      wrong(`config.${name} must be true or false, ${typeof value} given`)
    }
  }
  for (const name of NUMBERS) {
    const value = config[name]
    if (value !== undefined && !(value >= 0 && value <= 86_400_000)) {
      wrong(`config.${name} must be milliseconds from 0 to 86400000, ${String(value)} given`)
    }
  }
}
