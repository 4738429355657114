/** Typed events. */

export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<(event: never) => void>>()

  /** Calls the listener each time; what it returns takes it off again. */
  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, listeners)
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }

  emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) guarded(() => listener(event as never))
  }
}

/** What a handler throws is its page's, and must not end the stream for the others: it is reported as uncaught. */
export function guarded(run: () => void): void {
  try {
    run()
  } catch (error) {
    if (typeof reportError === 'function') reportError(error)
    else queueMicrotask(() => { throw error })
  }
}
