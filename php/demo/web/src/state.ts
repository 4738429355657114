/** The badge that says how the stream is. */

import { tell } from './dom'
import type { State } from './live'
import type { Network } from './network'

export function stateOf(state: State, network: Network | null): { kind: string; text: string } {
  if (network?.down) return { kind: 'off', text: 'No Wi-Fi' }
  if (network?.stalled) return { kind: 'stalled', text: 'Stalled: not reading' }
  if (state === 'open') return { kind: 'open', text: 'Live' }
  return state === 'waiting' ? { kind: 'waiting', text: 'Reconnecting' } : { kind: 'connecting', text: 'Connecting' }
}

export function showState(element: HTMLElement, { kind, text }: { kind: string; text: string }): void {
  element.dataset.kind = kind
  tell(element, text)
}
