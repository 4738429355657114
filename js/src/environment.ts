/** What the client needs of its surroundings. Browsers have all of it; tests and other runtimes give their own. */

/** The part of a window or document that is listened to. */
export interface Listenable {
  addEventListener(type: string, listener: (event: Event) => void): void
  removeEventListener(type: string, listener: (event: Event) => void): void
}

/** A document, as far as it is looked at. */
export interface Visible extends Listenable {
  readonly visibilityState: string
}

/** The part of `navigator.locks` that is used. */
export interface Locks {
  request(
    name: string,
    options: { ifAvailable?: boolean; steal?: boolean; signal?: AbortSignal },
    held: (lock: unknown) => Promise<void> | void,
  ): Promise<unknown>
}

/** The part of a BroadcastChannel that is used. */
export interface Channel {
  postMessage(message: unknown): void
  close(): void
  onmessage: ((event: { data: unknown }) => void) | null
}

/** The part of a shared worker's port that is used. */
export interface SharedPort {
  postMessage(message: unknown): void
  onmessage: ((event: { data: unknown }) => void) | null
}

/** The part of a SharedWorker that is used. */
export interface Shared {
  readonly port: SharedPort
  onerror: ((event: unknown) => void) | null
}

/** The part of sessionStorage that is used. */
export interface Store {
  getItem(key: string): string | null
  setItem(key: string, value: string): void
  removeItem(key: string): void
}

/** Everything, each part of which may be missing but `fetch` or `EventSource`, and the timers. */
export interface Environment {
  readonly fetch: typeof fetch | null
  readonly EventSource: (new (url: string, init?: { withCredentials?: boolean }) => EventSource) | null
  readonly setTimeout: (run: () => void, milliseconds: number) => unknown
  readonly clearTimeout: (timer: never) => void
  /** Milliseconds of a clock that goes on while the machine sleeps. */
  readonly now: () => number
  /** From 0 to 1. */
  readonly random: () => number
  /** The page's address, which relative URLs begin at. */
  readonly base: string | null
  readonly window: Listenable | null
  readonly document: Visible | null
  readonly locks: Locks | null
  readonly BroadcastChannel: (new (name: string) => Channel) | null
  /** Used where there are no locks, and the page has named the worker's script. */
  readonly SharedWorker: (new (url: string, name: string) => Shared) | null
  readonly storage: Store | null
}

/** What this runtime has. */
export function surroundings(): Environment {
  const all = globalThis as Partial<typeof globalThis> & { navigator?: { locks?: Locks } }
  const page = typeof all.window === 'object' && typeof all.document === 'object'
  return {
    fetch: all.fetch?.bind(globalThis) ?? null,
    EventSource: all.EventSource ?? null,
    setTimeout: (run, milliseconds) => globalThis.setTimeout(run, milliseconds),
    clearTimeout: (timer) => globalThis.clearTimeout(timer),
    now: () => Date.now(),
    random: () => Math.random(),
    base: page ? document.baseURI : null,
    window: page ? window : null,
    document: page ? document : null,
    locks: all.navigator?.locks ?? null,
    BroadcastChannel: page ? ((all.BroadcastChannel as (new (name: string) => Channel) | undefined) ?? null) : null,
    SharedWorker: page ? ((all.SharedWorker as (new (url: string, name: string) => Shared) | undefined) ?? null) : null,
    storage: page ? storage() : null,
  }
}

/** "Throws a SecurityError … if the user … does not allow the page to persist data". */
function storage(): Store | null {
  try {
    return window.sessionStorage
  } catch {
    return null
  }
}
