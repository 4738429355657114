/** A POST with the configured headers; after a 401 once more, where a function makes them anew. */

import type { SSEManagerConfig } from './config.js'

export interface Post {
  readonly url: string
  readonly body: string | URLSearchParams
  readonly headers: Record<string, string>
  readonly signal?: AbortSignal | undefined
}

export async function post(config: SSEManagerConfig, fetch: typeof globalThis.fetch, request: Post): Promise<Response> {
  const { headers = {}, withCredentials } = config
  const send = async (renew: boolean) =>
    fetch(request.url, {
      method: 'POST',
      headers: {
        Accept: 'application/json',
        ...(typeof headers === 'function' ? await headers({ renew }) : headers),
        ...request.headers,
      },
      credentials: withCredentials ? 'include' : 'same-origin',
      body: request.body,
      ...(request.signal && { signal: request.signal }),
    })
  const response = await send(false)
  // The headers may have been out of date: made anew, once, they deserve another try. Nothing was done by a 401.
  return response.status === 401 && typeof headers === 'function' ? send(true) : response
}
