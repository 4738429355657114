/**
 * Other topics for the stream that is open: a form is posted to the script that calls sse_retopic(). It has the stream's public id,
 * which nobody else knows; so no page of another site can post it.
 */

import type { SSEManagerConfig } from './config.js'
import type { Environment } from './environment.js'
import { post } from './post.js'

/** What the stream is to watch from now on, and no longer. */
export interface TopicsChange {
  /** The stream's public id. */
  readonly stream: string
  readonly add: readonly string[]
  readonly remove: readonly string[]
}

/**
 * `done`: the change holds for all events after the cursor. `refused`: nothing has changed. `gone`: nor can it for this stream, which
 * another machine has, or another user. `never`: nor can it for any. `unknown`: it may have changed.
 */
export type SteerAnswer =
  | { readonly what: 'done'; readonly cursor: string }
  | { readonly what: 'refused' | 'gone' | 'never' | 'unknown' }

export type Steer = (change: TopicsChange, signal: AbortSignal) => Promise<SteerAnswer>

/** Statuses of what is not there, or knows no POST. */
const NEVER = [404, 405, 501]

/** Null where the page has not said which script does it, or can't post. */
export function steerBy(config: SSEManagerConfig, { base, fetch }: Pick<Environment, 'base' | 'fetch'>): Steer | null {
  const { topicsUrl } = config
  if (topicsUrl === undefined || fetch === null) return null
  const url = new URL(topicsUrl, base ?? undefined).href
  return async ({ stream, add, remove }, signal) => {
    try {
      const body = new URLSearchParams({ stream, add: add.join(','), remove: remove.join(',') })
      const response = await post(config, fetch, { url, body, headers: {}, signal })
      // A script that knows nothing of this may have begun a stream.
      if (!/^application\/json\b/i.test(response.headers.get('Content-Type') ?? '')) {
        await response.body?.cancel()
        return { what: response.ok || NEVER.includes(response.status) ? 'never' : 'refused' }
      }
      const answer = (await response.json()) as { cursor?: unknown } | null
      if (response.ok) return typeof answer?.cursor === 'string' ? { what: 'done', cursor: answer.cursor } : { what: 'unknown' }
      return { what: NEVER.includes(response.status) ? 'never' : response.status === 409 ? 'gone' : 'refused' }
    } catch {
      return { what: 'unknown' }
    }
  }
}
