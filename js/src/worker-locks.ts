/** Locks by a shared worker (src/worker), where there is no `navigator.locks`. */

import type { Environment, Locks, Shared, SharedPort } from './environment.js'
import { Timer } from './timer.js'
import type { ToTab, ToWorker } from './worker/words.js'

/** Milliseconds that the worker may take to begin. */
const HELLO = 10_000

/** There are no locks: the worker's script could not be loaded. */
export class NoLocks extends Error {}

/** How many pings of the worker may be missing before it counts as dead: it may have ended with the process of another tab. */
const MISSING = 4

type Said = 'granted' | 'unavailable' | 'lost' | 'none'

export class WorkerLocks implements Locks {
  readonly #start: () => Shared
  /** Null: there is no worker. */
  #port: SharedPort | null = null
  readonly #requests = new Map<number, (said: Said) => void>()
  /** Until the worker must have said something. */
  readonly #silence: Timer
  #ping: number | null = null
  #ids = 0

  constructor(url: string, environment: Pick<Environment, 'setTimeout' | 'clearTimeout'>, Worker: NonNullable<Environment['SharedWorker']>) {
    this.#silence = new Timer(environment)
    this.#start = () => new Worker(url, 'sse-manager')
    this.#connect()
  }

  /** As `navigator.locks.request()`: "when the promise is settled, the lock is released". */
  request(
    name: string,
    { ifAvailable = false, steal = false, signal }: { ifAvailable?: boolean; steal?: boolean; signal?: AbortSignal },
    held: (lock: unknown) => Promise<void> | void,
  ): Promise<unknown> {
    if (this.#port === null) return Promise.reject(new NoLocks())
    const id = ++this.#ids
    return new Promise((resolve, reject) => {
      const end = () => {
        signal?.removeEventListener('abort', aborted)
        this.#requests.delete(id)
        this.#tell({ do: 'release', id })
      }
      const aborted = () => {
        end()
        reject(new Error('AbortError'))
      }
      if (signal?.aborted) return aborted()
      signal?.addEventListener('abort', aborted)
      this.#requests.set(id, (said) => {
        signal?.removeEventListener('abort', aborted)
        if (said === 'none' || said === 'lost') {
          this.#requests.delete(id)
          reject(said === 'none' ? new NoLocks() : new Error('AbortError'))
          return
        }
        // While it is held, only the loss of it is of interest.
        void Promise.resolve(held(said === 'granted' ? {} : null)).then(() => {
          end()
          resolve(undefined)
        })
      })
      this.#tell({ do: 'request', id, name, ifAvailable, steal })
    })
  }

  #connect(): void {
    try {
      const worker = this.#start()
      const { port } = worker
      this.#port = port
      worker.onerror = () => this.#end()
      port.onmessage = ({ data }) => {
        if (port === this.#port) this.#heard(data as ToTab)
      }
      this.#silence.start(HELLO, () => this.#end())
    } catch {
      // "Throws a SecurityError": the address is of another origin, or the page's policy (CSP, `worker-src`) does not allow it.
      this.#end()
    }
  }

  #heard(word: ToTab): void {
    if (word.say === 'hello') this.#ping = word.ping
    if (this.#ping !== null) this.#silence.start(this.#ping * MISSING, () => this.#again())
    if (word.say === 'ping') this.#tell({ do: 'pong' })
    else if (word.say !== 'hello') this.#requests.get(word.id)?.(word.say)
  }

  #tell(word: ToWorker): void {
    this.#port?.postMessage(word)
  }

  /** The worker has ended, or this tab has slept: begins anew with the one that there is. */
  #again(): void {
    // In case it lives.
    for (const id of this.#requests.keys()) this.#tell({ do: 'release', id })
    this.#connect()
    this.#sayAll('lost')
  }

  #end(): void {
    this.#port = null
    this.#silence.stop()
    this.#sayAll('none')
  }

  #sayAll(said: Said): void {
    for (const told of [...this.#requests.values()]) told(said)
  }
}
