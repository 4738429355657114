/** Publishing from the page. */

import type { SSEManagerConfig } from './config.js'
import type { Environment } from './environment.js'
import { post } from './post.js'

export interface SendOptions {
  /** The event's type. */
  event?: string
  /** An id of the page's own, so that the server can tell a message that is sent twice. */
  id?: string
  /** Ends the request. */
  signal?: AbortSignal
  /** Further request headers, such as a CSRF token. */
  headers?: Record<string, string>
}

/** What the server answered to `send()`, where that was not a success. */
export class SendError extends Error {
  readonly status: number
  /** The answer's body. */
  readonly body: string

  constructor(status: number, body: string) {
    super(`send(): the server answered ${status}${body === '' ? '' : `: ${body.slice(0, 200)}`}`)
    this.name = 'SendError'
    this.status = status
    this.body = body
  }
}

/**
 * A POST of JSON: pages of other origins can't send that without being asked for by CORS first, as they could a form.
 */
export async function publish(
  config: SSEManagerConfig,
  { fetch }: Pick<Environment, 'fetch'>,
  topic: string,
  data: unknown,
  { event, id, signal, headers: more }: SendOptions,
): Promise<unknown> {
  const { publishUrl } = config
  if (publishUrl === undefined) throw new TypeError('send(): config.publishUrl is not set; it names the script to post to')
  if (fetch === null) throw new TypeError("send(): this runtime has no fetch()")
  const body = JSON.stringify({ topic, data, ...(event !== undefined && { event }), ...(id !== undefined && { id }) })
  const response = await post(config, fetch, {
    url: publishUrl,
    body,
    headers: { 'Content-Type': 'application/json', ...more },
    signal,
  })
  const answer = await response.text()
  if (!response.ok) throw new SendError(response.status, answer)
  try {
    return JSON.parse(answer) as unknown
  } catch {
    return answer
  }
}
