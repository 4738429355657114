/** The address of the stream, and the headers it is asked for with. */

import type { SSEManagerConfig, TopicsAs } from './config.js'
import type { Environment } from './environment.js'

export interface StreamUrl {
  readonly transport: 'fetch' | 'eventsource'
  /** The same for all pages that may share a connection. */
  readonly name: string
  readonly of: (topics: readonly string[], lastEventId: string | null) => string
  readonly headers: (lastEventId: string | null) => Record<string, string> | Promise<Record<string, string>>
}

export function streamUrl(config: SSEManagerConfig, environment: Environment): StreamUrl {
  const { url, headers = {} } = config
  const { base, fetch } = environment
  const transport = config.transport ?? (fetch === null || typeof ReadableStream === 'undefined' ? 'eventsource' : 'fetch')
  const topicsAs: TopicsAs = transport === 'fetch' ? 'field' : 'envelope'
  const absolute = (address: string) => new URL(address, base ?? undefined)
  const of = (topics: readonly string[], lastEventId: string | null) => {
    if (typeof url === 'function') return url({ topics, lastEventId, topicsAs })
    const address = absolute(url)
    address.searchParams.set('topics', topics.join(','))
    address.searchParams.set('topicsAs', topicsAs)
    if (lastEventId !== null) address.searchParams.set('lastEventId', lastEventId)
    return address.href
  }
  const name = typeof url === 'function' ? of([], null) : absolute(url).href
  // "If the last event ID string is not the empty string … set (`Last-Event-ID`, lastEventIDValue)". Another origin would have
  // to allow this header first; there the parameter does it alone.
  const sameOrigin = base !== null && absolute(name).origin === new URL(base).origin
  const own = (lastEventId: string | null): Record<string, string> =>
    sameOrigin && lastEventId !== null && isHeader(lastEventId) ? { 'Last-Event-ID': lastEventId } : {}
  return {
    transport,
    name,
    of,
    headers: (lastEventId) => {
      const given = typeof headers === 'function' ? headers() : headers
      if (!('then' in given)) return { ...own(lastEventId), ...(given as Record<string, string>) }
      return (given as Promise<Record<string, string>>).then((given) => ({ ...own(lastEventId), ...given }))
    },
  }
}

/** Whether fetch takes it as a header's value as it is. */
function isHeader(value: string): boolean {
  return /^[\x21-\x7e]+$/.test(value)
}
