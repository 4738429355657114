/** What all tabs watch together, as the one that has the connection knows it. */

import { union } from './inbox.js'
import { older } from './position.js'

export class Wants {
  readonly #topics = new Map<string, readonly string[]>()
  readonly #refused = new Set<string>()
  /** The oldest place that one of them needs everything from. */
  #needed: string | null = null

  /** What the stream is to have. */
  get topics(): string[] {
    return union([...this.#topics.values()].flat()).filter((topic) => !this.#refused.has(topic))
  }

  /** The oldest place since the last call. */
  takeNeeded(): string | null {
    const needed = this.#needed
    this.#needed = null
    return needed
  }

  /** True for a tab that was not known. */
  set(tab: string, topics: readonly string[], from: string | null): boolean {
    const before = this.#topics.get(tab)
    this.#topics.set(tab, topics)
    this.#needed = older(this.#needed, from)
    // Who asks for what was refused anew may have it now.
    for (const topic of topics) {
      if (!before?.includes(topic)) this.#refused.delete(topic)
    }
    return before === undefined
  }

  delete(tab: string): boolean {
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
    this.#needed = null
  }
}
