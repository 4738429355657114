/** One stream, looked at every second. */

import { byId, make, tell } from '../dom'
import { address, type StreamRow } from './data'
import { Feed } from './feed'
import { bytes, since } from './format'
import { disconnect, how, topicsOf } from './streams'

/** Most events that are kept, and most characters of the data that are shown. */
const EVENTS = 100
const LONGEST = 300
/** Milliseconds between drawings of events. */
const PAUSE = 200

interface Envelope {
  readonly topics: readonly string[]
  readonly event: string | null
  readonly data: string
}

export class Follow {
  readonly #rights: ReadonlySet<string>
  #feeds: Feed[] = []
  #row: StreamRow | null = null
  /** Events that are not drawn yet. */
  #lines: string[] = []
  #draw: ReturnType<typeof setTimeout> | undefined
  #before: { readonly at: number; readonly bytes: number } | null = null

  constructor(rights: ReadonlySet<string>) {
    this.#rights = rights
    byId('unfollow').addEventListener('click', () => {
      this.#stop()
      byId('followed').hidden = true
      byId('what').focus()
    })
    byId('followed-disconnect').addEventListener('click', () => {
      if (this.#row !== null) void disconnect(this.#row.id, this.#row.user)
    })
  }

  begin(id: string): void {
    this.#stop()
    this.#row = this.#before = null
    byId('followed').hidden = false
    tell(byId('followed-title'), `Followed stream ${id}`)
    tell(byId('followed-state'), '')
    byId('followed-figures').replaceChildren()
    byId('followed-disconnect').hidden = !this.#rights.has('disconnect')
    byId('followed-title').focus()
    const gone = () => {
      tell(byId('followed-state'), 'It has ended.')
      byId('followed-disconnect').hidden = true
      this.#stop()
    }
    this.#feeds.push(new Feed({ url: address('follow', { stream: id }), events: { data: (data) => this.#show(JSON.parse(data) as StreamRow), gone } }))
    byId('events-part').hidden = !this.#rights.has('events')
    byId('events').replaceChildren()
    if (this.#rights.has('events')) {
      this.#feeds.push(new Feed({ url: address('events', { stream: id }), events: { message: (data) => this.#event(data) } }))
    }
  }

  #stop(): void {
    this.#feeds.forEach((feed) => feed.close())
    this.#feeds = []
    clearTimeout(this.#draw)
    this.#showLines()
  }

  #show(row: StreamRow): void {
    this.#row = row
    tell(byId('followed-state'), 'It is open.')
    const now = Date.now()
    const growth = this.#before === null ? 0 : (1000 * (row.bytes - this.#before.bytes)) / Math.max(1, now - this.#before.at)
    this.#before = { at: now, bytes: row.bytes }
    const figures: readonly (readonly [string, string])[] = [
      ['User', row.user ?? '–'],
      ['Address', row.address ?? '–'],
      ['Open for', since(now / 1000 - row.since)],
      ['Written to it', bytes(row.bytes)],
      ['Bytes a second', bytes(growth)],
      ['Waiting for its client', bytes(row.queue)],
      ['How', how(row)],
      ['Topics', topicsOf(row)],
    ]
    for (const [label, text] of figures) {
      let cell = byId('followed-figures').querySelector<HTMLElement>(`[data-label="${label}"]`)
      if (cell === null) {
        cell = make('dd', { 'data-label': label })
        byId('followed-figures').append(make('div', {}, make('dt', {}, label), cell))
      }
      tell(cell, text)
    }
  }

  #showLines(): void {
    this.#draw = undefined
    byId('events').prepend(...this.#lines.reverse().map((line) => make('p', {}, line)))
    this.#lines = []
    while (byId('events').childElementCount > EVENTS) byId('events').lastElementChild?.remove()
  }

  #event(data: string): void {
    let envelope: Envelope
    try {
      envelope = JSON.parse(data) as Envelope
    } catch {
      return
    }
    // The stream also tells where it is: `cursor`, `reached`.
    if (typeof envelope.data !== 'string') return
    const text = envelope.data.length > LONGEST ? `${envelope.data.slice(0, LONGEST)}… (${envelope.data.length} characters)` : envelope.data
    const time = new Date().toLocaleTimeString('en-GB')
    this.#lines.push(`${time} ${envelope.topics.join(' ')} ${envelope.event ?? 'message'}: ${text}`)
    // However many come, they are drawn a few times a second, and only those that are kept.
    if (this.#lines.length > EVENTS) this.#lines.shift()
    this.#draw ??= setTimeout(() => this.#showLines(), PAUSE)
  }
}
