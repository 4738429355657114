/** What all tabs watch together, as the one that has the connection knows it. */

import { union } from './inbox.js'
import { older } from './position.js'

export class Wants {
  readonly #topics = new Map<string, readonly string[]>()
  /** Those of them that the stream must have by their names. */
  readonly #exact = new Map<string, readonly string[]>()
  readonly #refused = new Set<string>()
  /** The oldest place that one of them needs everything from. */
  #needed: string | null = null

  /** What the stream is to have. */
  get topics(): string[] {
    return union([...this.#topics.values()].flat(), [...this.#exact.values()].flat()).filter((topic) => !this.#refused.has(topic))
  }

  /** The oldest place since the last call. */
  takeNeeded(): string | null {
    const needed = this.#needed
    this.#needed = null
    return needed
  }

  /** Whether this tab has said what it watches. */
  has(tab: string): boolean {
    return this.#topics.has(tab)
  }

  /** Returns those of the topics that the tab did not watch before. */
  set(tab: string, topics: readonly string[], exact: readonly string[], from: string | null): string[] {
    const before = this.#topics.get(tab)
    this.#topics.set(tab, topics)
    this.#exact.set(tab, exact)
    this.#needed = older(this.#needed, from)
    // Who asks for what was refused anew may have it now.
    const added = topics.filter((topic) => !before?.includes(topic))
    for (const topic of added) this.#refused.delete(topic)
    return added
  }

  delete(tab: string): boolean {
    this.#exact.delete(tab)
    return this.#topics.delete(tab)
  }

  /** The server will not have these. */
  refuse(topics: readonly string[]): void {
    for (const topic of topics) this.#refused.add(topic)
  }

  forgive(): void {
    this.#refused.clear()
  }

  clear(): void {
    this.#topics.clear()
    this.#exact.clear()
    this.#needed = null
  }
}
