/**
 * The stream read with fetch and a parser: it can send headers, and sees what the browser's EventSource keeps to itself,
 * that is statuses, heartbeats (comments) and the fields `topic`, `cursor`, `reached`, `finished`, `retained` and `heartbeat` of php-sse.
 */

import { createParser } from 'eventsource-parser'
import type { Environment } from './environment.js'
import { type Failure, ofStatus } from './failure.js'
import type { Transport } from './transport.js'

/** A transport by this runtime's fetch. */
export function fetchTransport({ fetch, now }: Pick<Environment, 'fetch' | 'now'>): Transport {
  if (fetch === null) throw new Error("SSEManager: transport 'fetch' needs fetch(), which this runtime doesn't have")
  return (request, listener) => {
    const abort = new AbortController()
    const fail = (failure: Failure) => {
      if (abort.signal.aborted) return
      abort.abort()
      listener.fail(failure)
    }
    const read = async () => {
      const response = await fetch(request.url, {
        method: request.method,
        ...(request.body !== null && { body: request.body }),
        // "Set request's cache mode to 'no-store'."
        cache: 'no-store',
        // "(`Accept`, `text/event-stream`)"
        headers: { Accept: 'text/event-stream', ...request.headers },
        credentials: request.withCredentials ? 'include' : 'same-origin',
        signal: abort.signal,
      })
      if (abort.signal.aborted) return
      if (response.status !== 200) {
        fail(ofStatus(response.status, response.headers.get('Retry-After'), now()))
        return
      }
      // "if res's … `Content-Type` is not `text/event-stream`, then fail the connection". Here it is tried again: a proxy's
      // or a maintenance page, or a fatal error's, passes.
      const type = response.headers.get('Content-Type') ?? ''
      if (!/^text\/event-stream\s*(;|$)/i.test(type) || response.body === null) {
        const message = `the response is no event stream, but '${type}'`
        fail({ reason: 'type', message, status: 200, final: false })
        return
      }
      listener.open(response.headers.get('Sse-Refused'))
      await parse(response.body)
      fail({ reason: 'ended', message: 'the server ended the stream', final: false })
    }
    const parse = async (body: ReadableStream<Uint8Array>) => {
      let topics: string[] = []
      let finished = false
      let retained: string | null = null
      const parser = createParser({
        onEvent: ({ id, event, data }) => {
          if (abort.signal.aborted) return
          const told = { topics, finished, retained }
          topics = []
          finished = false
          retained = null
          listener.frame({ kind: 'event', id: id ?? null, type: event ?? 'message', data, ...told })
        },
        onRetry: (milliseconds) => listener.retry(milliseconds),
        // "Otherwise: The field is ignored", and so it is by every other client.
        onError: ({ type, field, value = '' }) => {
          if (type !== 'unknown-field' || abort.signal.aborted) return
          if (field === 'topic') topics.push(value)
          if (field === 'finished') finished = true
          if (field === 'retained') retained = value
          if (field === 'heartbeat' && /^\d{1,9}$/.test(value)) listener.heartbeat(Number(value))
          if (field === 'cursor' || field === 'reached') listener.frame({ kind: field, id: value })
        },
      })
      // "Streams must be decoded using the UTF-8 decode algorithm", which "strips one leading UTF-8 byte order mark".
      const decoder = new TextDecoder()
      const lines = unifyLineEnds()
      const reader = body.getReader()
      for (;;) {
        const { done, value } = await reader.read()
        if (done || abort.signal.aborted) return
        listener.alive()
        parser.feed(lines(decoder.decode(value, { stream: true })))
      }
    }
    read().catch((error: unknown) => {
      fail({ reason: 'network', message: `the connection failed: ${String(error)}`, final: false })
    })
    return () => abort.abort()
  }
}

/**
 * "Lines must be separated by either a U+000D CARRIAGE RETURN U+000A LINE FEED (CRLF) character pair, a single U+000A LINE FEED (LF)
 * character, or a single U+000D CARRIAGE RETURN (CR) character." A CR at the end of a chunk may be either of two; the parser
 * waits for the next character to tell, and with it an event that is complete. So every line ends here at once, by an LF, and the
 * LF that may follow is dropped.
 */
function unifyLineEnds(): (chunk: string) => string {
  let endedByCr = false
  return (chunk) => {
    if (chunk === '') return chunk
    const rest = endedByCr && chunk.startsWith('\n') ? chunk.slice(1) : chunk
    endedByCr = chunk.endsWith('\r')
    return rest.includes('\r') ? rest.replace(/\r\n?/g, '\n') : rest
  }
}
