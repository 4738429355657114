/** Finds streams, and disconnects them. */

import { byId, make, tell } from '../dom'
import { address, ask, type Found, reason, type StreamRow } from './data'
import { bytes, count, since } from './format'

const LABELS: Readonly<Record<string, string>> = { topic: 'Topic', user: 'User', address: 'Address', stream: 'Id' }

export const how = ({ callback, framing }: StreamRow): string => (callback ? 'callback' : framing === null ? 'held' : framing)

export const topicsOf = ({ topics, topic_count }: StreamRow): string => {
  const more = topic_count - topics.length
  return topics.join(' ') + (more > 0 ? ` and ${more} more` : '')
}

export class Search {
  readonly #by = byId<HTMLSelectElement>('by')
  readonly #what = byId<HTMLInputElement>('what')
  readonly #follow: (id: string) => void
  readonly #mayDisconnect: boolean
  #asked: Record<string, string> = {}
  #seen = 0
  #after: string | null = null

  constructor(mayDisconnect: boolean, follow: (id: string) => void) {
    this.#mayDisconnect = mayDisconnect
    this.#follow = follow
    const relabel = () => {
      const label = LABELS[this.#by.value]
      byId('what-label').hidden = label === undefined
      this.#what.required = label !== undefined
      byId('what-label').firstChild?.replaceWith(`${label ?? ''} `)
    }
    this.#by.addEventListener('change', relabel)
    relabel()
    byId('search').addEventListener('submit', (event) => {
      event.preventDefault()
      this.#begin(this.#by.value, this.#what.value.trim())
    })
    byId('more').addEventListener('click', () => void this.#next())
  }

  /** Shows the streams that get what is published to a topic. */
  ofTopic(topic: string): void {
    this.#by.value = 'topic'
    this.#by.dispatchEvent(new Event('change'))
    this.#what.value = topic
    this.#begin('topic', topic)
    byId('streams-title').scrollIntoView()
    this.#what.focus({ preventScroll: true })
  }

  #begin(by: string, what: string): void {
    this.#asked = { by, what: LABELS[by] === undefined ? '' : what }
    this.#seen = 0
    this.#after = null
    byId('streams').replaceChildren()
    byId('results').hidden = true
    void this.#next()
  }

  async #next(): Promise<void> {
    const asked = this.#asked
    const more = byId<HTMLButtonElement>('more')
    more.disabled = true
    try {
      const found = await ask<Found>(address('streams', { ...asked, after: this.#after ?? '' }))
      // Somebody has searched for something else meanwhile.
      if (asked !== this.#asked) return
      this.#seen += found.seen
      this.#after = found.after
      byId('streams').append(...found.streams.map((stream) => this.#row(stream)))
      const shown = byId('streams').childElementCount
      byId('results').hidden = shown === 0
      const some = shown === 1 ? '1 stream' : `${count(shown)} streams`
      tell(byId('found'), `${some} found${found.after === null ? '' : `, after a look at ${count(this.#seen)}; there are more`}.`)
    } catch (problem) {
      tell(byId('found'), reason(problem))
    }
    more.disabled = false
    more.hidden = this.#after === null
  }

  #row(stream: StreamRow): HTMLTableRowElement {
    const id = make('td', { class: 'id' }, stream.id)
    const follow = make('button', { type: 'button', class: 'link', 'aria-label': `Follow the stream ${stream.id}` }, 'Follow')
    follow.addEventListener('click', () => this.#follow(stream.id))
    const actions = make('td', {}, follow)
    if (this.#mayDisconnect) {
      const end = make('button', { type: 'button', class: 'link danger', 'aria-label': `Disconnect the stream ${stream.id}` }, 'Disconnect')
      end.addEventListener('click', () => void disconnect(stream.id, stream.user).then((ended) => {
        if (ended) {
          end.disabled = true
          tell(end, 'Disconnected')
        }
      }))
      actions.append(' ', end)
    }
    return make(
      'tr',
      {},
      id,
      make('td', {}, stream.user ?? '–'),
      make('td', {}, stream.address ?? '–'),
      make('td', {}, since(Date.now() / 1000 - stream.since)),
      make('td', { class: 'number' }, bytes(stream.bytes)),
      make('td', { class: 'number' }, bytes(stream.queue)),
      make('td', {}, how(stream)),
      make('td', {}, topicsOf(stream)),
      actions,
    )
  }
}

let questions = 0

/**
 * Opens the dialog until it is answered. The browser tells of its end later than it shows it: where it is opened again meanwhile, that
 * is the end of the question before, which was answered no.
 */
async function isConfirmed(dialog: HTMLDialogElement): Promise<boolean> {
  const question = ++questions
  dialog.returnValue = ''
  dialog.showModal()
  do await new Promise((resolve) => dialog.addEventListener('close', resolve, { once: true }))
  while (question === questions && dialog.open)
  return question === questions && dialog.returnValue === 'yes'
}

/** Asks whether that is meant, and ends a stream; false: it was not. */
export async function disconnect(id: string, user: string | null): Promise<boolean> {
  const dialog = byId<HTMLDialogElement>('sure')
  const whose = user === null ? '' : ` of the user ${user}`
  tell(byId('sure-text'), `The stream ${id}${whose} ends. Its client comes back by itself, unless its script then refuses it.`)
  if (!await isConfirmed(dialog)) return false
  try {
    const { ended } = await ask<{ ended: number }>(location.pathname + location.search, { stream: id })
    tell(byId('found'), ended === 0 ? 'That stream had ended already.' : `The stream ${id} was disconnected.`)
    return true
  } catch (problem) {
    tell(byId('found'), reason(problem))
    return false
  }
}
