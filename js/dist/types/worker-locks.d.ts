/** Locks by a shared worker (src/worker), where there is no `navigator.locks`. */
import type { Environment, Locks } from './environment.js';
/** There are no locks: the worker's script could not be loaded. */
export declare class NoLocks extends Error {
}
export declare class WorkerLocks implements Locks {
    #private;
    constructor(url: string, environment: Pick<Environment, 'setTimeout' | 'clearTimeout'>, Worker: NonNullable<Environment['SharedWorker']>);
    /** As `navigator.locks.request()`: "when the promise is settled, the lock is released". */
    request(name: string, { ifAvailable, steal, signal }: {
        ifAvailable?: boolean;
        steal?: boolean;
        signal?: AbortSignal;
    }, held: (lock: unknown) => Promise<void> | void): Promise<unknown>;
}
