/** Charts of figures that change: a minute of each, drawn on a canvas, with its newest value as text. */

import uPlot from 'uplot'
import { make, tell } from './dom'

export interface Look {
  readonly title: string
  readonly unit: string
  readonly decimals: number
  /** The name of the CSS variable that has the line's colour. */
  readonly colour: string
}

/** The x axis goes back so many seconds. */
const SECONDS = 60
/** Steps of an axis whose values are whole numbers. */
const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 50000, 100000]

/** One figure over time. */
export class Series {
  readonly card: HTMLElement
  readonly #chart: Look
  readonly #unit: HTMLElement
  readonly #value = make('span', { class: 'figure-value' }, '–')
  readonly #place = make('div', { class: 'plot', 'aria-hidden': 'true' })
  #times: number[] = []
  #values: (number | null)[] = []
  #plot: uPlot | null = null

  constructor(chart: Look) {
    this.#chart = chart
    this.#unit = make('span', { class: 'text-sm text-base-content/70' }, chart.unit)
    const head = make('p', { class: 'flex items-baseline gap-1.5' }, this.#value, this.#unit)
    this.card = make('section', { class: 'card-plain p-4' }, make('h2', { class: 'text-sm font-medium' }, chart.title), head, this.#place)
    this.#value.dataset.figure = chart.title
    new ResizeObserver(() => this.#draw(true)).observe(this.#place)
    addEventListener('theme', () => this.#draw(true))
  }

  /** Adds the value of a moment, in milliseconds, and what is said beside it in place of the unit. */
  add(at: number, value: number | null, note: string = this.#chart.unit): void {
    const oldest = at / 1000 - SECONDS
    const from = this.#times.findIndex((time) => time >= oldest)
    const kept = from === -1 ? this.#times.length : from
    this.#times = [...this.#times.slice(kept), at / 1000]
    this.#values = [...this.#values.slice(kept), value]
    tell(this.#value, value === null ? '–' : value.toFixed(this.#chart.decimals))
    tell(this.#unit, note)
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
    const axis: uPlot.Axis = { stroke: text, font: `11px ${getComputedStyle(document.body).fontFamily}`, grid: { stroke: grid, width: 1 }, ticks: { show: false } }
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
