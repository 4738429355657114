/** The way of a message, step by step, with the time of each. */

import { Alignment, duration } from './clock'
import type { Answer, Message, Outgoing, Steps } from './conversation'
import { byId, make, tell } from './dom'

export type Who = 'alice' | 'bob'
export const NAMES: Readonly<Record<Who, string>> = { alice: 'Alice', bob: 'Bob' }
const OTHER: Readonly<Record<Who, Who>> = { alice: 'bob', bob: 'alice' }

interface Trip {
  readonly key: string
  readonly from: Who
  readonly text: string
  /** By the page's clock. */
  readonly pressed: number
  arrived?: number
  seq?: number
  /** By PHP's clock, and how far that was ahead when it told. */
  steps?: Steps
  ahead?: number
  row?: HTMLElement
}

interface Step {
  readonly name: string
  readonly where: string
  readonly what: string
  /** Milliseconds since the button was pressed; undefined until then. */
  readonly begin: number | undefined
  readonly end: number | undefined
}

export class Timeline {
  readonly #trips = new Map<string, Trip>()
  readonly #alignment = new Alignment()
  readonly #feed = byId('feed')
  #times: number[] = []
  #shown: Trip | null = null
  /** Whether the newest message is shown, whichever that is. */
  #follows = true

  outgoing(from: Who, { key, text, pressed }: Outgoing): void {
    const trip: Trip = { key, from, text, pressed }
    this.#trips.set(key, trip)
    trip.row = this.#messageRow(trip)
    if (this.#follows) this.#show(trip)
  }

  answered({ key, seq, steps, asked, answered }: Answer): void {
    const trip = this.#trips.get(key)
    if (trip === undefined) return
    this.#alignment.left(asked, steps.began)
    if (steps.answered !== undefined) this.#alignment.arrived(steps.answered, answered)
    trip.seq = seq
    trip.steps = steps
    this.#settle(trip)
  }

  arrived(at: Who, { key = '', seq, steps }: Message, time: number, live: boolean): void {
    const trip = this.#trips.get(key)
    if (trip === undefined || trip.arrived !== undefined || OTHER[trip.from] !== at) return
    trip.seq = seq
    trip.arrived = time
    if (live && steps !== undefined) this.#alignment.arrived(steps.notified, time)
    this.#times = [...this.#times.slice(-49), time - trip.pressed]
    tell(byId('median'), `median of ${this.#times.length}: ${duration(median(this.#times))}`)
    this.#settle(trip)
  }

  /** Something else that happened. */
  happened(text: string, kind: 'bad' | 'good' | 'plain' = 'plain'): void {
    this.#add(make('li', { class: `feed-event ${kind}` }, make('span', {}, text), clockTime()))
  }

  /** What the newest message took to the other side. */
  get newest(): number | null {
    return this.#times.at(-1) ?? null
  }

  #settle(trip: Trip): void {
    const { estimate } = this.#alignment
    if (estimate !== null) {
      trip.ahead = estimate.ahead
      tell(byId('doubt'), `At the moment that is exact to ±${estimate.doubt.toFixed(1)} ms.`)
    }
    if (trip.row) describe(trip.row, trip)
    if (this.#shown === trip) this.#show(trip)
  }

  #messageRow(trip: Trip): HTMLElement {
    const button = make('button', { type: 'button', class: 'feed-message' })
    button.addEventListener('click', () => {
      const newest = [...this.#trips.values()].at(-1) === trip
      this.#follows = newest
      this.#show(trip)
    })
    describe(button, trip)
    this.#add(make('li', {}, button))
    return button
  }

  #add(item: HTMLElement): void {
    this.#feed.prepend(item)
    while (this.#feed.childElementCount > 100) this.#feed.lastElementChild?.remove()
  }

  #show(trip: Trip): void {
    this.#shown?.row?.removeAttribute('aria-current')
    trip.row?.setAttribute('aria-current', 'true')
    this.#shown = trip
    const steps = stepsOf(trip)
    const total = Math.max(...steps.map(({ end }) => end ?? 0), 0.001)
    const number = trip.seq === undefined ? '' : ` #${trip.seq}`
    tell(byId('about'), `${NAMES[trip.from]}’s message${number}: “${short(trip.text, 60)}”`)
    byId('steps').replaceChildren(...steps.map((step) => line(step, total)))
  }
}

function stepsOf({ from, pressed, arrived, steps, ahead }: Trip): Step[] {
  const here = (there: number | undefined) => (there === undefined || ahead === undefined ? undefined : there - ahead - pressed)
  const began = here(steps?.began)
  const stored = here(steps?.stored)
  const notified = here(steps?.notified)
  const held = here(steps?.held)
  const got = arrived === undefined ? undefined : arrived - pressed
  return [
    { name: 'sender', where: `${NAMES[from]}’s browser`, what: 'the button is pressed', begin: 0, end: 0 },
    { name: 'php', where: 'PHP', what: 'the request is there, send.php begins', begin: 0, end: began },
    { name: 'sqlite', where: 'SQLite', what: 'the message is stored, with its number', begin: began, end: stored },
    { name: 'notification', where: 'Notification', what: 'PHP tells the hub', begin: stored, end: notified },
    { name: 'hub', where: 'Hub', what: 'has it in its history, and says so', begin: notified, end: held },
    { name: 'receiver', where: `${NAMES[OTHER[from]]}’s browser`, what: 'the event is there', begin: notified, end: got },
  ]
}

function line({ name, where, what, begin, end }: Step, total: number): HTMLElement {
  const bar = make('span', { class: 'bar', 'aria-hidden': 'true' })
  if (begin !== undefined && end !== undefined) {
    // Written by script, which the page's policy allows; an attribute would be refused.
    const left = Math.max(0, Math.min(begin, end))
    bar.style.marginLeft = `${(100 * left) / total}%`
    bar.style.width = `${(100 * Math.max(0, end - left)) / total}%`
  } else bar.hidden = true
  const item = make(
    'li',
    { 'data-step': name },
    make('span', { class: 'step-where' }, where),
    make('span', { class: 'step-what' }, what),
    make('span', { class: 'step-at' }, end === undefined ? 'waits' : stamp(end)),
    make('span', { class: 'track', 'aria-hidden': 'true' }, bar),
  )
  if (end !== undefined) item.dataset.at = String(end)
  return item
}

const stamp = (milliseconds: number): string => (milliseconds < 1000 ? `${milliseconds.toFixed(2)} ms` : duration(milliseconds))

function describe(row: HTMLElement, trip: Trip): void {
  const took = trip.arrived === undefined ? (trip.seq === undefined ? 'not sent yet' : 'kept') : duration(trip.arrived - trip.pressed)
  row.replaceChildren(
    make('span', { class: 'feed-way' }, `${NAMES[trip.from]} → ${NAMES[OTHER[trip.from]]}`),
    make('span', { class: 'feed-text' }, `${trip.seq === undefined ? '' : `#${trip.seq} `}${short(trip.text, 80)}`),
    make('span', { class: 'feed-took' }, took),
  )
}

function clockTime(): HTMLElement {
  return make('span', { class: 'feed-took' }, new Date().toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit' }))
}

const short = (text: string, length: number): string => (text.length > length ? `${text.slice(0, length - 1)}…` : text)

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}
