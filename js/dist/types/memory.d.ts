/**
 * Where a page was when it was left, so that it goes on from there after a reload. It is the tab's own (sessionStorage), kept only
 * while the page is away, as a tab that is duplicated, or opened by this one, gets a copy; and
 * bound to the session: what another user saw, before a logout, is no place to go on from.
 */
import type { Store } from './environment.js';
export declare class Memory {
    #private;
    constructor(store: Store, url: string, session: string);
    /** Where the subscription of this pattern was; null if there was none. */
    position(pattern: string): string | null;
    /** The page is there again: its place is the page's own affair, and no tab that copies this one's storage is to go on from it. */
    forget(): void;
    save(position: string | null, topics: readonly string[]): void;
}
