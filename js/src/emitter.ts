/** Typed events. */

export interface ListenOptions {
  /** Ends after the first. */
  readonly once?: boolean
  /** Ends when that is aborted. */
  readonly signal?: AbortSignal
}

export class Emitter<Events extends object> {
  readonly #names: readonly (keyof Events & string)[]
  readonly #listeners = new Map<keyof Events, Set<(event: never) => void>>()

  constructor(names: readonly (keyof Events & string)[]) {
    this.#names = names
  }

  /** Calls the listener each time; what it returns takes it off again. */
  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void, options: ListenOptions = {}): () => void {
    if (!(this.#names as readonly unknown[]).includes(name)) {
      throw new TypeError(`on(): there is no '${String(name)}' to listen to; there are ${this.#names.join(', ')}`)
    }
    if (typeof listener !== 'function') {
      throw new TypeError(`on(): the listener of '${String(name)}' must be a function, ${typeof listener} given`)
    }
    const listeners = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, listeners)
    const off = () => void listeners.delete(told)
    const told = (event: Events[Name]) => {
      if (options.once) off()
      listener(event)
    }
    if (options.signal?.aborted) return off
    listeners.add(told)
    options.signal?.addEventListener('abort', off, { once: true })
    return off
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
