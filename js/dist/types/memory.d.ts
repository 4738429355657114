/**
 * Where a page was when it was left, so that it goes on from there after a reload. It is the tab's own (sessionStorage), and
 * bound to the session: what another user saw, before a logout, is no place to go on from.
 */
import type { Store } from './environment.js';
export declare class Memory {
    #private;
    constructor(store: Store, url: string, session: string);
    /** Where the subscription of this pattern was; null if there was none. */
    position(pattern: string): string | null;
    save(position: string | null, topics: readonly string[]): void;
}
