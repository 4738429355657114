/** How long to wait before the next attempt. */

import type { Failure } from './failure.js'

/**
 * "Wait a delay equal to the reconnection time of the event source. Optionally, wait some more. In particular, if the
 * previous attempt failed, then user agents might introduce an exponential backoff delay to avoid overloading a
 * potentially already overloaded server."
 *
 * So the delay is never shorter than the reconnection time; it doubles with each attempt that failed, up to `longest`, and
 * up to half of it is added by chance, so that the pages of a server that was restarted don't all come at once.
 */
export function delay(retry: number, failures: number, longest: number, random: () => number, failure: Failure): number {
  const doubled = Math.min(retry * 2 ** Math.min(failures, 30), Math.max(longest, retry))
  const spread = doubled * 0.5 * random()
  return Math.max(doubled, failure.retryAfter ?? 0) + spread
}
