/** One timer that is started and stopped. */

import type { Environment } from './environment.js'

export class Timer {
  readonly #environment: Pick<Environment, 'setTimeout' | 'clearTimeout'>
  #timer: unknown = null

  constructor(environment: Pick<Environment, 'setTimeout' | 'clearTimeout'>) {
    this.#environment = environment
  }

  get runs(): boolean {
    return this.#timer !== null
  }

  /** In place of what it was started for before. */
  start(milliseconds: number, run: () => void): void {
    this.stop()
    this.#timer = this.#environment.setTimeout(() => {
      this.#timer = null
      run()
    }, milliseconds)
  }

  stop(): void {
    if (this.#timer !== null) this.#environment.clearTimeout(this.#timer as never)
    this.#timer = null
  }
}
