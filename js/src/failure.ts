/** Why a stream ended, and whether to try again. */

export interface Failure {
  /**
   * `network`: no connection, or it broke. `late`: no answer came in time. `held`: headers came, and nothing after them: a proxy may
   * hold the response back. `ended`: the server ended the response. `silent`: no byte came for too long.
   * `status`: an error status. `type`: the response is no event stream. `refused`: the browser's EventSource gave up and
   * doesn't say why.
   */
  readonly reason: 'network' | 'late' | 'held' | 'ended' | 'silent' | 'status' | 'type' | 'refused'
  /** For people. */
  readonly message: string
  /** The response's status, where it is known. */
  readonly status?: number
  /** Whether trying again makes no sense. */
  readonly final: boolean
  /** Milliseconds that the server asked to wait. */
  readonly retryAfter?: number
}

/** Client errors that pass by themselves: 408 Request Timeout, 425 Too Early, 429 Too Many Requests. */
const PASSING = new Set([408, 425, 429])

/**
 * "HTTP 204 No Content … clients … told to stop reconnecting". A 4xx says that this request is wrong and stays so. The
 * standard fails the connection on every other status too; here a 5xx is tried again, as a restart of the server or an
 * overload must not end the streams of all pages.
 */
export function ofStatus(status: number, retryAfter: string | null, now: number): Failure {
  const final = status === 204 || status === 205 || (status >= 400 && status < 500 && !PASSING.has(status))
  const message = `the server answered ${status}`
  const delay = retryAfter === null ? null : parseRetryAfter(retryAfter, now)
  return { reason: 'status', message, status, final, ...(delay !== null && { retryAfter: delay }) }
}

/** Whether the server has said that nothing more is to come. */
export function isEnd({ status }: Failure): boolean {
  return status === 204 || status === 205
}

/** `Retry-After` as RFC 9110, 10.2.3 has it: "delay-seconds", or an HTTP date; null for anything else. */
export function parseRetryAfter(value: string, now: number): number | null {
  if (/^\d{1,9}$/.test(value.trim())) return Number(value) * 1000
  const date = Date.parse(value)
  return Number.isNaN(date) ? null : Math.max(0, date - now)
}
