/** The figures by what they are about. */

import { byId, make, tell } from '../dom'
import { at, figure, rate, type Tree } from '../figures'
import type { Figures } from './data'
import { bytes, count, perSecond } from './format'

/** How a figure is shown: as a number, as bytes, as its growth a second, as milliseconds, or as it is. */
type Kind = 'number' | 'bytes' | 'rate' | 'byte rate' | 'ms' | 'us' | 'text'
type Line = readonly [label: string, path: string, kind: Kind]

const GROUPS: readonly (readonly [title: string, lines: readonly Line[]])[] = [
  ['Streams', [
    ['Open', 'streams.open', 'number'], ['Workers still sending headers', 'streams.held', 'number'], ['Opened a second', 'streams.opened', 'rate'],
    ['Topics and patterns watched', 'topics', 'number'], ['PHP processes connected', 'connections', 'number'], ['Disconnected by scripts', 'disconnects', 'number'],
  ]],
  ['Delivery', [
    ['Published a second', 'published', 'rate'], ['Published, bytes a second', 'published_bytes', 'byte rate'], ['Delivered a second', 'delivered', 'rate'],
    ['Delivered, bytes a second', 'delivered_bytes', 'byte rate'], ['Watched by nobody, a second', 'published_unwatched', 'rate'], ['Notifications a second', 'triggers', 'rate'],
  ]],
  ['Latency', [
    ['Answer of the hub', 'answer_ms', 'ms'], ['Longest turn of its main thread', 'turns.longest_us', 'us'],
    ['Half of the renders within', 'renders.p50_ms', 'ms'], ['99 of 100 renders within', 'renders.p99_ms', 'ms'],
  ]],
  ['Renders', [
    ['Streams with a callback', 'renders.streams', 'number'], ['Running', 'renders.running', 'number'], ['Waiting', 'renders.queued', 'number'],
    ['Failed', 'renders.failed', 'number'], ['Took too long', 'renders.timed_out', 'number'], ['Streams denied', 'renders.denied', 'number'],
  ]],
  ['Slow clients', [
    ['Bytes that wait for them', 'queued_bytes', 'bytes'], ['Kept for them only', 'pinned_bytes', 'bytes'], ['Streams ended as too slow', 'streams.closed.slow', 'number'],
    ['Events replaced by newer ones', 'superseded', 'number'],
  ]],
  ['Gaps', [
    ['Clients that came back', 'history.resumed', 'number'], ['Told of a gap', 'history.gaps', 'number'], ['Gaps of the bus', 'bus.gaps', 'number'],
    ['Events kept for them', 'history.events', 'number'],
  ]],
  ['Presence', [
    ['Topics with members', 'presence.topics', 'number'], ['Members', 'presence.members', 'number'], ['Joins a second', 'presence.joins', 'rate'],
    ['Leaves a second', 'presence.leaves', 'rate'],
  ]],
  ['Bus', [
    ['Redis', 'bus.address', 'text'], ['State', 'bus.state', 'text'], ['Outages', 'bus.outages', 'number'], ['Read a second', 'bus.read', 'rate'],
    ['Events waiting', 'bus.waiting', 'number'], ['Failed', 'bus.failed', 'number'], ['Other hubs with members', 'bus.presence.hubs', 'number'],
  ]],
  ['Memory', [
    ['Resident', 'resident_bytes', 'bytes'], ['History', 'history.bytes', 'bytes'], ['Topics', 'topic_bytes', 'bytes'], ['Renders', 'renders.bytes', 'bytes'],
    ['Last values', 'retained.bytes', 'bytes'], ['Finished topics', 'finished.bytes', 'bytes'],
  ]],
]

export class Groups {
  readonly #cells: (readonly [Line, HTMLElement, HTMLElement])[] = []
  readonly #reasons: readonly (readonly [string, HTMLElement])[]
  readonly #bus: HTMLElement

  constructor() {
    const cards = GROUPS.map(([title, lines]) => this.#card(title, lines))
    const reasons = (['streams.closed', 'refused'] as const).map((path) => [path, make('dl')] as const)
    this.#reasons = reasons
    const titles = ['Why streams ended', 'Why clients were refused']
    cards.push(...reasons.map(([, list], nth) => make('section', { class: 'card-plain' }, make('h3', {}, titles[nth] ?? ''), list)))
    this.#bus = cards[GROUPS.findIndex(([title]) => title === 'Bus')] as HTMLElement
    byId('groups').append(...cards)
  }

  show(now: Figures, before: Figures | null): void {
    this.#bus.hidden = now.stats.bus === undefined
    for (const [line, row, cell] of this.#cells) {
      const text = shown(line, now, before)
      row.hidden = text === null
      tell(cell, text ?? '')
    }
    for (const [path, list] of this.#reasons) this.#showReasons(at(now.stats, path), list)
  }

  #card(title: string, lines: readonly Line[]): HTMLElement {
    const list = make('dl')
    for (const line of lines) {
      const cell = make('dd', { 'data-path': line[1] })
      const row = make('div', {}, make('dt', {}, line[0]), cell)
      this.#cells.push([line, row, cell])
      list.append(row)
    }
    return make('section', { class: 'card-plain' }, make('h3', {}, title), list)
  }

  /** Those that there were; each has its row from then on. */
  #showReasons(reasons: Tree[string] | undefined, list: HTMLElement): void {
    if (typeof reasons !== 'object' || reasons === null) return
    for (const [name, number] of Object.entries(reasons)) {
      if (typeof number !== 'number' || number === 0) continue
      let cell = list.querySelector<HTMLElement>(`[data-reason="${CSS.escape(name)}"]`)
      if (cell === null) {
        cell = make('dd', { 'data-reason': name })
        list.append(make('div', {}, make('dt', {}, name), cell))
      }
      tell(cell, count(number))
    }
    if (list.childElementCount === 0) list.append(make('div', {}, make('dt', {}, 'None so far')))
    else if (list.childElementCount > 1 && list.querySelector('dd') !== null && list.firstElementChild?.querySelector('dd') === null) list.firstElementChild?.remove()
  }
}

function shown([, path, kind]: Line, now: Figures, before: Figures | null): string | null {
  if (kind === 'text') {
    const text = at(now.stats, path)
    return typeof text === 'string' ? text : null
  }
  if (kind === 'rate' || kind === 'byte rate') {
    if (figure(now.stats, path) === null) return null
    const growth = rate(now, before, path)
    if (growth === null) return '–'
    return kind === 'rate' ? perSecond(growth) : bytes(growth)
  }
  const value = path === 'answer_ms' ? now.answer_ms : figure(now.stats, path)
  if (value === null) return kind === 'ms' && at(now.stats, path) === null ? '–' : null
  switch (kind) {
    case 'bytes':
      return bytes(value)
    case 'ms':
      return `${value.toFixed(2)} ms`
    case 'us':
      return `${(value / 1000).toFixed(2)} ms`
    default:
      return count(value)
  }
}
