/** The busiest topics, the slowest scripts, and the log's end. */

import { byId, make, tell } from '../dom'
import { at } from '../figures'
import type { BusyTopic, Figures, SlowScript } from './data'
import { bytes, count, perSecond } from './format'
import { Rows } from './rows'

/** Most lines of the log that the page keeps. */
const LINES = 200

export class Tables {
  readonly #topics: Rows
  readonly #scripts: Rows
  #lines: readonly string[] = []

  /** `search` is called with a topic whose streams are wanted. */
  constructor(search: (topic: string) => void) {
    this.#topics = new Rows(byId('topics'), (topic) => {
      const name = make('button', { type: 'button', class: 'link' }, topic)
      name.addEventListener('click', () => search(topic))
      const cells = [1, 2, 3, 4].map(() => make('td', { class: 'number' }))
      return { row: make('tr', {}, make('td', {}, name), ...cells), texts: [name, ...cells] }
    })
    this.#scripts = new Rows(byId('scripts'), () => {
      const cells = ['', 'number', 'number', 'number', 'number', 'number'].map((name) => make('td', { class: name }))
      return { row: make('tr', {}, ...cells), texts: cells }
    })
  }

  show({ stats, watchers, log }: Figures): void {
    const busiest = at(stats, 'busiest') as unknown as { seconds: number; topics: readonly BusyTopic[]; left_out: number } | undefined
    const seconds = Math.max(busiest?.seconds ?? 0, 0.001)
    const topics = busiest?.topics ?? []
    tell(byId('topics-note'), topics.length === 0 ? 'Nothing was published in the last seconds.' : `What came in the last ${Math.max(1, Math.round(seconds))} seconds; the busiest ${topics.length} topics.`)
    this.#topics.show(
      topics.map(({ topic, events, bytes: size, notifications }) => {
        const here = watchers[topic]
        return [topic, [topic, here === undefined ? '–' : count(here), perSecond(events / seconds), bytes(size / seconds), perSecond(notifications / seconds)]]
      }),
    )
    const slowest = at(stats, 'renders.slowest') as unknown as { scripts: readonly SlowScript[] } | undefined
    const scripts = slowest?.scripts ?? []
    tell(byId('scripts-note'), scripts.length === 0 ? 'No script was run for a stream in the last minute.' : 'By the time that their renders took together in the last minute or two.')
    this.#scripts.show(
      scripts.map(({ script, done, failed, total_ms, longest_ms }) => {
        const mean = total_ms / Math.max(1, done + failed)
        return [script, [script, count(done), count(failed), mean.toFixed(1), longest_ms.toFixed(1), count(total_ms)]]
      }),
    )
    this.#showLog(log)
  }

  /** Adds the lines that are new, so that what somebody reads or has marked stays. */
  #showLog({ lines, problem }: Figures['log']): void {
    tell(byId('log-problem'), problem ?? '')
    const list = byId('log')
    list.hidden = lines.length === 0
    const last = this.#lines.at(-1)
    const known = last === undefined ? -1 : lines.lastIndexOf(last)
    const isAtEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 8
    list.append(...lines.slice(known + 1).map((line) => make('p', /\b(WARN|ERROR)\b/.test(line) ? { class: 'warn' } : {}, line)))
    while (list.childElementCount > LINES) list.firstElementChild?.remove()
    if (isAtEnd && known + 1 < lines.length) list.scrollTop = list.scrollHeight
    this.#lines = lines
  }
}
