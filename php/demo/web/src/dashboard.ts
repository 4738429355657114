/** The hub's page: its figures, drawn, once a second. */

import uPlot from 'uplot'
import { byId, make, tell } from './dom'
import { killHub } from './kill'
import { Live } from './live'
import { Network } from './network'
import { showState, stateOf } from './state'

type Tree = { readonly [name: string]: Tree | number | string | null }

interface Figures {
  /** Milliseconds since 1970, by PHP's clock. */
  readonly at: number
  readonly publish_ms: number
  readonly memory: number | null
  readonly stats: Tree
}

interface Chart {
  readonly title: string
  readonly unit: string
  readonly decimals: number
  readonly colour: string
  /** The value for these figures; `before` are those of the second before, of the same hub. */
  readonly value: (figures: Figures, before: Figures | null) => number | null
}

const SECONDS = 60
/** Steps of an axis whose values are whole numbers. */
const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 50000, 100000]

const CHARTS: readonly Chart[] = [
  { title: 'Open streams', unit: '', decimals: 0, colour: '--color-primary', value: ({ stats }) => figure(stats, 'streams.open') },
  { title: 'Topics watched', unit: '', decimals: 0, colour: '--color-primary', value: ({ stats }) => figure(stats, 'topics') },
  { title: 'Events published', unit: 'a second', decimals: 0, colour: '--color-secondary', value: (now, before) => rate(now, before, 'published') },
  { title: 'Latency of a publish', unit: 'ms', decimals: 2, colour: '--color-secondary', value: ({ publish_ms }) => publish_ms },
  { title: 'Renders', unit: 'a second', decimals: 0, colour: '--color-accent', value: (now, before) => rate(now, before, 'renders.done') },
  { title: 'Memory of the hub', unit: 'MB', decimals: 1, colour: '--color-accent', value: ({ memory }) => (memory === null ? null : memory / 1e6) },
]

export function dashboard(): void {
  const series = CHARTS.map((chart) => new Series(chart))
  byId('charts').append(...series.map(({ card }) => card))
  const network = new Network()
  let before: Figures | null = null
  new Live({
    url: 'hub-stream.php',
    topics: ['demo.figures'],
    network,
    state: (state) => showState(byId('state'), stateOf(state, null)),
    event: ({ type, data }) => {
      if (type !== 'figures') return
      const figures = data as Figures
      const sameHub = before?.stats.pid === figures.stats.pid
      if (before !== null && !sameHub) tell(byId('note'), `There is a new hub, process ${String(figures.stats.pid)}: its counters begin at zero, and everybody is back.`)
      for (const one of series) one.add(figures, sameHub ? before : null)
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

/** One figure over time. */
class Series {
  readonly card: HTMLElement
  readonly #chart: Chart
  readonly #value = make('span', { class: 'figure-value' }, '–')
  readonly #place = make('div', { class: 'plot', 'aria-hidden': 'true' })
  #times: number[] = []
  #values: (number | null)[] = []
  #plot: uPlot | null = null

  constructor(chart: Chart) {
    this.#chart = chart
    const unit = make('span', { class: 'text-sm text-base-content/70' }, chart.unit)
    const head = make('p', { class: 'flex items-baseline gap-1.5' }, this.#value, unit)
    this.card = make('section', { class: 'card-plain p-4' }, make('h2', { class: 'text-sm font-medium' }, chart.title), head, this.#place)
    this.#value.dataset.figure = chart.title
    new ResizeObserver(() => this.#draw(true)).observe(this.#place)
    addEventListener('theme', () => this.#draw(true))
  }

  add(figures: Figures, before: Figures | null): void {
    const value = this.#chart.value(figures, before)
    this.#times = [...this.#times, figures.at / 1000].slice(-SECONDS)
    this.#values = [...this.#values, value].slice(-SECONDS)
    tell(this.#value, value === null ? '–' : value.toFixed(this.#chart.decimals))
    this.#draw(false)
  }

  #draw(anew: boolean): void {
    if (anew) {
      this.#plot?.destroy()
      this.#plot = null
    }
    const width = this.#place.clientWidth
    if (width === 0) return
    this.#plot ??= new uPlot(this.#options(width), [[], []], this.#place)
    const newest = this.#times.at(-1) ?? 0
    this.#plot.setData([this.#times.map((time) => time - newest), this.#values])
  }

  #options(width: number): uPlot.Options {
    const style = getComputedStyle(document.documentElement)
    const colour = style.getPropertyValue(this.#chart.colour).trim()
    const text = style.getPropertyValue('--axis').trim()
    const grid = style.getPropertyValue('--grid').trim()
    const axis: uPlot.Axis = { stroke: text, font: '11px Inter', grid: { stroke: grid, width: 1 }, ticks: { show: false } }
    return {
      width,
      height: 130,
      padding: [8, 16, 0, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: {
        x: { time: false, range: () => [-SECONDS, 0] },
        y: { range: (_plot, _least, most) => [0, Math.max(1e-3, (most ?? 0) * 1.25 || 1)] },
      },
      axes: [
        { ...axis, space: 50, size: 22, incrs: [15, 30], values: (_plot, times) => times.map(ago) },
        { ...axis, space: 28, size: 44, ...(this.#chart.decimals === 0 ? { incrs: WHOLE } : {}) },
      ],
      series: [{}, { stroke: colour, width: 2, fill: `color-mix(in oklab, ${colour} 14%, transparent)`, points: { show: false } }],
    }
  }
}

const ago = (seconds: number): string => (seconds === 0 ? 'now' : `${String(seconds).replace('-', '−')} s`)

function figure(tree: Tree, path: string): number | null {
  let value: Tree | number | string | null | undefined = tree
  for (const name of path.split('.')) value = typeof value === 'object' && value !== null ? value[name] : undefined
  return typeof value === 'number' ? value : null
}

function rate(now: Figures, before: Figures | null, path: string): number | null {
  const [newer, older] = [figure(now.stats, path), before === null ? null : figure(before.stats, path)]
  if (newer === null || older === null || before === null || now.at <= before.at) return null
  return (1000 * (newer - older)) / (now.at - before.at)
}

function age(seconds: number): string {
  if (seconds < 120) return `${seconds} s`
  return seconds < 7200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`
}

const cells = new Map<string, HTMLElement>()

/** All figures, by their paths; each has one place, so that only what has changed is written. */
function showAll(tree: Tree, path = ''): void {
  for (const [name, value] of Object.entries(tree)) {
    if (typeof value === 'object' && value !== null) {
      showAll(value, `${path}${name}.`)
      continue
    }
    let cell = cells.get(path + name)
    if (cell === undefined) {
      cell = make('dd', { 'data-path': path + name })
      cells.set(path + name, cell)
      byId('figures').append(make('div', {}, make('dt', {}, path + name), cell))
    }
    tell(cell, value === null ? '–' : String(value))
  }
}
