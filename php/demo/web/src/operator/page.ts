/** The administrators' dashboard: `Sse\Endpoint\Dashboard` serves it. */

import { byId, press, tell } from '../dom'
import { figure, rate, showAll } from '../figures'
import { type Look, Series } from '../series'
import { offer } from '../theme'
import { Alerts } from './alerts'
import { address, type Figures } from './data'
import { Feed, type FeedState } from './feed'
import { Follow } from './follow'
import { since } from './format'
import { Groups } from './groups'
import { Presence } from './presence'
import { Search } from './streams'
import { Tables } from './tables'

interface Chart extends Look {
  readonly value: (now: Figures, before: Figures | null) => number | null
}

const CHARTS: readonly Chart[] = [
  { title: 'Open streams', unit: '', decimals: 0, colour: '--color-primary', value: ({ stats }) => figure(stats, 'streams.open') },
  { title: 'Events published', unit: 'a second', decimals: 1, colour: '--color-secondary', value: (now, before) => rate(now, before, 'published') },
  { title: 'Events delivered', unit: 'a second', decimals: 1, colour: '--color-secondary', value: (now, before) => rate(now, before, 'delivered') },
  { title: 'Renders', unit: 'a second', decimals: 1, colour: '--color-accent', value: (now, before) => rate(now, before, 'renders.done') },
  { title: 'Answer of the hub', unit: 'ms', decimals: 2, colour: '--color-accent', value: ({ answer_ms }) => answer_ms },
  { title: 'Memory', unit: 'MB', decimals: 1, colour: '--color-primary', value: ({ stats }) => (figure(stats, 'resident_bytes') ?? 0) / 1e6 },
]

const STATES: Readonly<Record<FeedState, string>> = { connecting: 'Connecting', open: 'Live', waiting: 'Reconnecting', paused: 'Paused' }

const rights = new Set((document.body.dataset.rights ?? '').split(' '))
const charts = CHARTS.map((chart) => ({ chart, line: new Series(chart) }))
byId('charts').append(...charts.map(({ line }) => line.card))
const groups = new Groups()
const alerts = new Alerts()
const follow = new Follow(rights)
const search = new Search(rights.has('disconnect'), (id) => follow.begin(id))
const tables = new Tables((topic) => search.ofTopic(topic))
new Presence()
offer(byId('theme'))

let before: Figures | null = null

function show(now: Figures): void {
  const earlier = before?.stats.pid === now.stats.pid ? before : null
  for (const { chart, line } of charts) line.add(now.at, chart.value(now, earlier))
  groups.show(now, earlier)
  alerts.add(now)
  tables.show(now)
  showAll(now.stats)
  tell(byId('process'), `Hub ${String(now.stats.version)}, process ${String(now.stats.pid)}, for ${since(figure(now.stats, 'uptime') ?? 0)}`)
  before = now
}

const feed = new Feed({
  url: address('figures'),
  events: { data: (data) => show(JSON.parse(data) as Figures) },
  state: (state) => {
    byId('state').dataset.kind = state
    tell(byId('state'), STATES[state])
  },
})

let paused = false
byId('pause').addEventListener('click', () => {
  paused = !paused
  press(byId('pause'), paused, paused ? 'Go on' : 'Pause')
  feed.pause(paused)
})
