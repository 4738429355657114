/**
 * Where a page was when it was left, so that it goes on from there after a reload. It is the tab's own (sessionStorage), kept only
 * while the page is away, as a tab that is duplicated, or opened by this one, gets a copy; and
 * bound to the session: what another user saw, before a logout, is no place to go on from.
 */

import type { Store } from './environment.js'
import { allCovered } from './topic.js'

interface Place {
  readonly position: string
  readonly topics: readonly string[]
}

export class Memory {
  readonly #store: Store
  readonly #key: string
  readonly #place: Place | null

  constructor(store: Store, url: string, session: string) {
    this.#store = store
    this.#key = `sse-manager ${url} ${session}`
    this.#place = this.#read()
  }

  /** Where the subscription of this pattern was; null if there was none. */
  position(pattern: string): string | null {
    const place = this.#place
    return place !== null && allCovered([pattern], place.topics) ? place.position : null
  }

  /** The page is there again: its place is the page's own affair, and no tab that copies this one's storage is to go on from it. */
  forget(): void {
    this.save(null, [])
  }

  save(position: string | null, topics: readonly string[]): void {
    try {
      if (position === null) this.#store.removeItem(this.#key)
      else this.#store.setItem(this.#key, JSON.stringify({ position, topics }))
    } catch {
      // "Throws a QuotaExceededError": the page will begin where its server says.
    }
  }

  #read(): Place | null {
    try {
      const place = JSON.parse(this.#store.getItem(this.#key) ?? 'null') as Partial<Place> | null
      return typeof place?.position === 'string' && Array.isArray(place.topics) ? (place as Place) : null
    } catch {
      return null
    }
  }
}
