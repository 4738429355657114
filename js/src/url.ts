/** The address of the stream, and the headers it is asked for with. */

import type { SSEManagerConfig, TopicsAs } from './config.js'
import type { Environment } from './environment.js'
import type { Request } from './transport.js'
import type { WayRequest } from './ways.js'

/** What is asked for. */
export interface WantedResponse {
  readonly topics: readonly string[]
  readonly lastEventId: string | null
  readonly asked: WayRequest
  /** Whether it is to begin with the last values of its topics, if the page wants those. */
  readonly retained: boolean
}

export interface StreamUrl {
  readonly transport: 'fetch' | 'eventsource'
  /** The same for all pages that may share a connection. */
  readonly name: string
  readonly request: (wanted: WantedResponse) => Pick<Request, 'url' | 'method' | 'body'>
  readonly headers: (lastEventId: string | null, renew: boolean) => Record<string, string> | Promise<Record<string, string>>
}

export function streamUrl(config: SSEManagerConfig, environment: Environment): StreamUrl {
  const { url, headers = {}, method = 'GET' } = config
  const { base, fetch } = environment
  const transport = config.transport ?? (fetch === null || typeof ReadableStream === 'undefined' ? 'eventsource' : 'fetch')
  // Where there is no fetch, the browser's EventSource can only get: then the address has the parameters.
  const posts = method === 'POST' && transport === 'fetch'
  const topicsAs: TopicsAs = transport === 'fetch' ? 'field' : 'envelope'
  const absolute = (address: string) => new URL(address, base ?? undefined)
  const ask = (parameters: URLSearchParams, { topics, lastEventId, retained }: WantedResponse) => {
    parameters.set('topics', topics.join(','))
    parameters.set('topicsAs', topicsAs)
    if (config.retained && retained) parameters.set('retained', '1')
    if (lastEventId !== null) parameters.set('lastEventId', lastEventId)
    return parameters
  }
  const of = (wanted: WantedResponse) => {
    const { topics, lastEventId, asked } = wanted
    const made = typeof url === 'function' ? url({ topics, lastEventId, topicsAs }) : null
    if (made !== null && asked.way === 'stream') return made
    const address = absolute(made ?? (url as string))
    if (made === null && !posts) ask(address.searchParams, wanted)
    // sse_stream() reads these by itself, and only there.
    if (asked.lifetime > 0) address.searchParams.set('maxLifetime', String(Math.max(1, Math.ceil(asked.lifetime / 1000))))
    if (asked.way === 'poll') address.searchParams.set('longPoll', '1')
    return address.href
  }
  const name = typeof url === 'function' ? url({ topics: [], lastEventId: null, topicsAs }) : absolute(url).href
  // "If the last event ID string is not the empty string … set (`Last-Event-ID`, lastEventIDValue)". Another origin would have
  // to allow this header first; there the parameter does it alone.
  const sameOrigin = base !== null && absolute(name).origin === new URL(base).origin
  const own = (lastEventId: string | null): Record<string, string> =>
    sameOrigin && lastEventId !== null && isHeader(lastEventId) ? { 'Last-Event-ID': lastEventId } : {}
  return {
    transport,
    name,
    request: (wanted) => ({
      url: of(wanted),
      method: posts || wanted.asked.way === 'poll' ? 'POST' : 'GET',
      body: posts ? ask(new URLSearchParams(), wanted) : null,
    }),
    headers: (lastEventId, renew) => {
      const given = typeof headers === 'function' ? headers({ renew }) : headers
      if (!('then' in given)) return { ...own(lastEventId), ...(given as Record<string, string>) }
      return (given as Promise<Record<string, string>>).then((given) => ({ ...own(lastEventId), ...given }))
    },
  }
}

/** Whether fetch takes it as a header's value as it is. */
function isHeader(value: string): boolean {
  return /^[\x21-\x7e]+$/.test(value)
}
