/** What `dashboard.php` answers. */

import type { Moment } from '../figures'

export interface Figures extends Moment {
  readonly answer_ms: number
  readonly watchers: Readonly<Record<string, number>>
  readonly log: { readonly lines: readonly string[]; readonly problem: string | null }
}

export interface BusyTopic {
  readonly topic: string
  readonly events: number
  readonly bytes: number
  readonly notifications: number
}

export interface SlowScript {
  readonly script: string
  readonly done: number
  readonly failed: number
  readonly total_ms: number
  readonly longest_ms: number
}

export interface StreamRow {
  readonly id: string
  readonly topics: readonly string[]
  readonly topic_count: number
  readonly user: string | null
  readonly address: string | null
  readonly since: number
  readonly bytes: number
  readonly queue: number
  readonly callback: boolean
  readonly framing: string | null
}

export interface Found {
  readonly streams: readonly StreamRow[]
  readonly seen: number
  readonly after: string | null
}

export interface Members {
  readonly watchers: number
  readonly all: number | null
  readonly count: number
  readonly members: readonly { readonly id: string; readonly info: string; readonly since: number; readonly streams: number }[]
  readonly after: string | null
}

export function address(data: string, parameters: Readonly<Record<string, string>> = {}): string {
  return `?${new URLSearchParams({ data, ...parameters }).toString()}`
}

/** The answer, or an Error with the sentence that the server has for people. */
export async function ask<Type>(url: string, form?: Readonly<Record<string, string>>): Promise<Type> {
  const response = await fetch(url, form === undefined ? {} : { method: 'POST', body: new URLSearchParams(form) })
  const answer = (await response.json().catch(() => null)) as (Type & { readonly error?: string }) | null
  if (!response.ok || answer === null) throw new Error(answer?.error ?? `The server answered ${response.status}.`)
  return answer
}

/** What a failure is called on the page. */
export const reason = (problem: unknown): string => (problem instanceof Error ? problem.message : String(problem))
