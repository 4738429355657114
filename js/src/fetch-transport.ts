/**
 * The stream read with fetch and a parser: it can send headers, and sees what the browser's EventSource keeps to itself,
 * that is statuses, heartbeats (comments) and the fields `topic`, `cursor` and `reached` of php-sse.
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
      listener.open()
      await parse(response.body)
      fail({ reason: 'ended', message: 'the server ended the stream', final: false })
    }
    const parse = async (body: ReadableStream<Uint8Array>) => {
      let topics: string[] = []
      const parser = createParser({
        onEvent: ({ id, event, data }) => {
          if (abort.signal.aborted) return
          const of = topics
          topics = []
          listener.frame({ kind: 'event', id: id ?? null, type: event ?? 'message', data, topics: of })
        },
        onRetry: (milliseconds) => listener.retry(milliseconds),
        // "Otherwise: The field is ignored", and so it is by every other client.
        onError: ({ type, field, value = '' }) => {
          if (type !== 'unknown-field' || abort.signal.aborted) return
          if (field === 'topic') topics.push(value)
          if (field === 'cursor' || field === 'reached') listener.frame({ kind: field, id: value })
        },
      })
      // "Streams must be decoded using the UTF-8 decode algorithm", which "strips one leading UTF-8 byte order mark".
      const decoder = new TextDecoder()
      const reader = body.getReader()
      for (;;) {
        const { done, value } = await reader.read()
        if (done || abort.signal.aborted) return
        listener.alive()
        parser.feed(decoder.decode(value, { stream: true }))
      }
    }
    read().catch((error: unknown) => {
      fail({ reason: 'network', message: `the connection failed: ${String(error)}`, final: false })
    })
    return () => abort.abort()
  }
}
