/** The hub's page: its figures, drawn, once a second. */

import { byId, tell } from './dom'
import { age, figure, rate, showAll, type Tree } from './figures'
import { killHub } from './kill'
import { Live } from './live'
import { Network } from './network'
import { type Look, Series } from './series'
import { showState, stateOf } from './state'

interface Figures {
  /** Milliseconds since 1970, by PHP's clock. */
  readonly at: number
  readonly publish_ms: number
  readonly memory: number | null
  readonly stats: Tree
}

interface Chart extends Look {
  /** The value for these figures; `before` are those of the second before, of the same hub. */
  readonly value: (figures: Figures, before: Figures | null) => number | null
  /** What is said beside the value, in place of the unit alone. */
  readonly note?: (figures: Figures) => string
}

/** Figures of a new hub without a further stream after which no more are waited for: their clients are gone. */
const PATIENCE = 10

const CHARTS: readonly Chart[] = [
  { title: 'Open streams', unit: '', decimals: 0, colour: '--color-primary', value: ({ stats }) => figure(stats, 'streams.open') },
  { title: 'Topics watched', unit: '', decimals: 0, colour: '--color-primary', value: ({ stats }) => figure(stats, 'topics') },
  { title: 'Events published', unit: 'a second', decimals: 0, colour: '--color-secondary', value: (now, before) => rate(now, before, 'published') },
  { title: 'Latency of a publish', unit: 'ms', decimals: 2, colour: '--color-secondary', value: ({ publish_ms }) => publish_ms },
  { title: 'Renders', unit: 'a second', decimals: 0, colour: '--color-accent', value: (now, before) => rate(now, before, 'renders.done') },
  {
    title: 'Memory of the hub alone',
    unit: 'MB',
    decimals: 1,
    colour: '--color-accent',
    value: ({ memory }) => (memory === null ? null : memory / 1e6),
    note: ({ stats }) => `MB; resident, with what it shares with PHP: ${((figure(stats, 'resident_bytes') ?? 0) / 1e6).toFixed(1)} MB`,
  },
]

export function dashboard(): void {
  const series = CHARTS.map((chart) => ({ chart, line: new Series(chart) }))
  byId('charts').append(...series.map(({ line }) => line.card))
  const network = new Network()
  let before: Figures | null = null
  /** How many streams the hub had that has ended, until the new one has as many. */
  let expected: number | null = null
  let most = 0
  let patience = 0
  new Live({
    url: 'hub-stream.php',
    topics: ['demo.figures'],
    network,
    state: (state) => showState(byId('state'), stateOf(state, null)),
    event: ({ type, data }) => {
      if (type !== 'figures') return
      const figures = data as Figures
      const sameHub = before?.stats.pid === figures.stats.pid
      if (before !== null && !sameHub) {
        expected = figure(before.stats, 'streams.open')
        most = 0
        patience = PATIENCE
      }
      if (expected !== null) {
        const back = figure(figures.stats, 'streams.open') ?? 0
        patience = back > most ? PATIENCE : patience - 1
        most = Math.max(most, back)
        const over = back >= expected || patience <= 0
        const all = `all ${expected} streams are back`
        const some = over ? `${back} of ${expected} streams are back, the clients of the others are gone` : `${back} of ${expected} streams are back so far`
        const how = back < expected ? some : all
        tell(byId('note'), `There is a new hub, process ${String(figures.stats.pid)}: its counters begin at zero, and ${how}.`)
        if (over) expected = null
      }
      for (const { chart, line } of series) line.add(figures.at, chart.value(figures, sameHub ? before : null), chart.note?.(figures))
      tell(byId('process'), `Process ${String(figures.stats.pid)}, for ${age(Number(figures.stats.uptime))}`)
      showAll(figures.stats)
      before = figures
    },
  })
  killHub((text) => tell(byId('note'), text))
  byId('burst').addEventListener('click', async () => {
    const response = await fetch('burst.php', { method: 'POST' }).catch(() => null)
    if (!response?.ok) return tell(byId('note'), 'The events could not be published.')
    const { published, ms } = (await response.json()) as { published: number; ms: number }
    tell(byId('note'), `PHP published ${published} events in ${ms} ms.`)
  })
}
