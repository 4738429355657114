/**
 * `SSEManager`: what a page uses. It puts the parts together: the subscriptions of this tab, the connection, and the other
 * tabs. Everything that the connection tells goes the same way, whether it is this tab's or another's.
 */
import { type SSEManagerConfig } from './config.js';
import type { Failure } from './failure.js';
import { type Gap } from './inbox.js';
import { type SSEMessage } from './message.js';
import { type SendOptions } from './send.js';
import { type Handler, type Subscription } from './subscription.js';
/** `idle`: nothing is subscribed. `closed`: the server doesn't want to be asked again, or `close()` was called. */
export type State = 'idle' | 'connecting' | 'open' | 'reconnecting' | 'closed';
/** What `on()` can listen to. */
export interface SSEManagerEvents {
    /** The stream is open, for the first time or again. */
    open: {
        topics: readonly string[];
    };
    /** Every event, whatever its topic. */
    message: SSEMessage;
    /** Events may be missing: load the page's state anew. */
    gap: Gap;
    /** The stream broke; the next attempt is in `delay` milliseconds. */
    reconnecting: {
        failure: Failure;
        delay: number;
    };
    /** The server refuses these topics; the others go on. */
    error: {
        topics: readonly string[];
        failure: Failure;
    };
    /** It is over: by `close()` (no failure), or because the server said so; `connect()` tries again. */
    closed: {
        failure: Failure | null;
    };
    /** This tab has, or no longer has, the connection that all share. */
    leader: {
        leads: boolean;
    };
}
export declare class SSEManager {
    #private;
    constructor(config: SSEManagerConfig);
    get state(): State;
    /** Whether the connection is this tab's own. */
    get leads(): boolean;
    /** The id of the last event that this page has; null before the first. */
    get lastEventId(): string | null;
    /**
     * Watches a topic, or all that match a pattern (`orders.*`, `chat.**`). Call what it returns to end that, or read it by
     * `for await`.
     */
    subscribe<Data = unknown>(topic: string, handler?: Handler<Data>): Subscription<Data>;
    /** Listens to what happens to the connection; returns a function that ends that. */
    on<Name extends keyof SSEManagerEvents>(name: Name, listener: (event: SSEManagerEvents[Name]) => void): () => void;
    /** Publishes by POST to `publishUrl`, and resolves with what that answers. */
    send<Answer = unknown>(topic: string, data: unknown, options?: SendOptions): Promise<Answer>;
    /** Tries again at once: after `closed`, or in place of waiting. */
    connect(): void;
    /** Ends everything: subscriptions, listeners, connection. */
    close(): void;
}
