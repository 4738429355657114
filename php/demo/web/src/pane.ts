/** What the page and the clients that it shows side by side say to each other, by postMessage(). */

import type { Answer, Message, Outgoing } from './conversation'

/** From a client to the page. */
export type Report =
  | { readonly type: 'ready' }
  | { readonly type: 'outgoing'; readonly message: Outgoing }
  | { readonly type: 'answered'; readonly answer: Answer }
  | { readonly type: 'message'; readonly message: Message; readonly at: number; readonly live: boolean }
  | { readonly type: 'progress'; readonly last: number; readonly twice: number; readonly waiting: number }
  | { readonly type: 'state'; readonly state: string }
  | { readonly type: 'anew' }
  | { readonly type: 'said' }
  /** Somebody has begun to write where a line was being typed. */
  | { readonly type: 'taken' }

/** From the page to a client. */
export type Command =
  | { readonly type: 'say'; readonly text: string }
  | { readonly type: 'hush' }
  | { readonly type: 'wifi'; readonly down: boolean }
  | { readonly type: 'stall'; readonly stalled: boolean }

export const isPane = window.parent !== window

export function report(report: Report): void {
  if (isPane) window.parent.postMessage(report, location.origin)
}

export function command(pane: HTMLIFrameElement, command: Command): void {
  pane.contentWindow?.postMessage(command, location.origin)
}
