// A clock for managers that goes on only as a test says: nothing is late because the machine is busy.
export class Clock {
  #now = Date.now()
  #timers = new Set()

  /** For a manager's configuration. */
  environment = {
    now: () => this.#now,
    setTimeout: (run, milliseconds) => {
      const timer = { run, at: this.#now + milliseconds }
      this.#timers.add(timer)
      return timer
    },
    clearTimeout: (timer) => this.#timers.delete(timer),
  }

  /** So many milliseconds pass. */
  pass(milliseconds) {
    const end = this.#now + milliseconds
    for (;;) {
      const due = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (due === undefined) break
      this.#timers.delete(due)
      this.#now = Math.max(this.#now, due.at)
      due.run()
    }
    this.#now = end
  }

  /** Time passes until that holds, or half a minute has passed in vain. */
  async until(what, holds) {
    const PATIENCE = 30_000
    const deadline = Date.now() + PATIENCE
    while (!holds()) {
      if (Date.now() > deadline) throw new Error(`waited in vain until ${what}`)
      this.pass(100)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
}
