/** Who watches a topic, and who is present there. */

import { byId, make, tell } from '../dom'
import { address, ask, type Members, reason } from './data'
import { count, since } from './format'

export class Presence {
  #topic = ''
  #after: string | null = null

  constructor() {
    byId('who').addEventListener('submit', (event) => {
      event.preventDefault()
      this.#topic = byId<HTMLInputElement>('who-topic').value.trim()
      this.#after = null
      byId('members').replaceChildren()
      void this.#next()
    })
    byId('who-more').addEventListener('click', () => void this.#next())
  }

  async #next(): Promise<void> {
    const topic = this.#topic
    try {
      const { watchers, all, count: present, members, after } = await ask<Members>(address('topic', { topic, ...(this.#after !== null && { after: this.#after }) }))
      if (topic !== this.#topic) return
      this.#after = after
      byId('members').append(
        ...members.map((member) =>
          make('tr', {}, make('td', {}, member.id), make('td', {}, since(Date.now() / 1000 - member.since)), make('td', { class: 'number' }, count(member.streams)), make('td', {}, member.info)),
        ),
      )
      const others = all === null ? '; the other machines can\'t be asked now' : all === watchers ? '' : `, ${count(all)} on all machines`
      tell(byId('who-found'), `${topic}: ${count(watchers)} streams of this machine watch it${others}; ${count(present)} users are present.`)
    } catch (problem) {
      this.#after = null
      tell(byId('who-found'), reason(problem))
    }
    byId('who-results').hidden = byId('members').childElementCount === 0
    byId('who-more').hidden = this.#after === null
  }
}
