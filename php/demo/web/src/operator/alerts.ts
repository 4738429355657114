/** What needs somebody's attention. The sentences have no figures that change, so that a screen reader is told each once. */

import { byId, make } from '../dom'
import { at, figure } from '../figures'
import type { Figures } from './data'

/** How far back the growth of a counter goes, in milliseconds. */
const BACK = 60_000

export class Alerts {
  #moments: Figures[] = []
  #shown = ''

  add(now: Figures): void {
    const sameHub = this.#moments.at(-1)?.stats.pid === now.stats.pid
    this.#moments = sameHub ? [...this.#moments.filter(({ at: time }) => time >= now.at - BACK), now] : [now]
    const texts = this.#texts(now)
    const key = texts.join('\n')
    if (key === this.#shown) return
    this.#shown = key
    byId('alerts').replaceChildren(...texts.map((text) => make('p', {}, text)))
  }

  #texts(now: Figures): string[] {
    const { stats } = now
    const oldest = this.#moments[0] ?? now
    const grown = (path: string): number => (figure(stats, path) ?? 0) - (figure(oldest.stats, path) ?? 0)
    const texts: string[] = []
    const problem = at(stats, 'history.file.problem')
    if (typeof problem === 'string') texts.push(`The file of sse.history can't be written, so nothing can be published: ${problem}`)
    if (stats.bus !== undefined && at(stats, 'bus.state') !== 'connected') {
      texts.push(`Redis (sse.bus) is away, so what is published reaches nobody: ${String(at(stats, 'bus.problem') ?? 'not connected yet')}`)
    }
    const refused = Object.keys((stats.refused ?? {}) as object).filter((reason) => grown(`refused.${reason}`) > 0)
    if (refused.length > 0) texts.push(`Clients or PHP processes were refused in the last minute: ${refused.join(', ')}`)
    if (grown('streams.closed.slow') > 0) texts.push('Streams of clients that read too slowly were ended in the last minute')
    if (grown('renders.failed') > 0) texts.push('Renders failed in the last minute; the log says which script, and why')
    if ((figure(stats, 'renders.queued') ?? 0) > 20) texts.push('Renders wait for their turn: scripts are slow, or sse.render_concurrency is low')
    const [published, unwatched] = [grown('published'), grown('published_unwatched')]
    if (published > 0 && published === unwatched) texts.push('Nobody watched what was published in the last minute: a mistyped topic, or another hub')
    if (grown('history.gaps') + grown('bus.gaps') > 0) texts.push('Clients were told of gaps in the last minute: they came back later than the history goes back')
    const room = [figure(stats, 'settings.max_streams') ?? 0, figure(stats, 'descriptor_limit') ?? 0].filter((limit) => limit > 0)
    const open = figure(stats, 'streams.open') ?? 0
    if (stats.processes === undefined && room.length > 0 && open >= 0.9 * Math.min(...room)) texts.push('There is room for few more streams: sse.max_streams, or the limit of descriptors')
    return texts
  }
}
