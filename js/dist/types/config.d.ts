/** What an SSEManager is made with. */
import type { Environment } from './environment.js';
import type { Decode } from './message.js';
type Headers = Record<string, string>;
export interface SSEManagerConfig {
    /**
     * The script that calls `sse_stream()`. The topics are added as the parameter `topics`, joined by commas; `topicsAs`, how
     * topics are to be told; and `lastEventId`. A function makes the whole URL itself.
     */
    url: string | ((wanted: {
        topics: readonly string[];
        lastEventId: string | null;
        topicsAs: TopicsAs;
    }) => string);
    /** The script that calls `sse_publish()`, for `send()`. */
    publishUrl?: string;
    /**
     * Who this browser is logged in as: the user's id, or `'public'` where everybody gets the same. Pages with the same `url` and
     * `session` share one connection, and a reload goes on where it was. Without it, each page has a connection of its own:
     * the client can't know when a user has changed.
     */
    session?: string;
    /**
     * The id of the newest event when the page's data was read (`sse_cursor()`): what came after it comes first. It is for the
     * subscriptions made before the first connection.
     */
    lastEventId?: string;
    /** Request headers, such as `Authorization`, or a function that makes them before each request. Needs transport `fetch`. */
    headers?: Headers | (() => Headers | Promise<Headers>);
    /** Send cookies to another origin as well. Default false. */
    withCredentials?: boolean;
    /**
     * `fetch` (default where there is one): sees statuses, `Retry-After` and heartbeats. `eventsource`: the browser's own, which
     * sees none of these.
     */
    transport?: 'fetch' | 'eventsource';
    /** Event types that the browser's EventSource is to listen to, where the server tells no topics. */
    eventTypes?: readonly string[];
    /** How data becomes a value; default `json`: what is no JSON stays text. */
    decode?: Decode;
    /** False: this page keeps a connection of its own although it has a `session`. Default true. */
    share?: boolean;
    /** False: a reload begins anew although there is a `session`. Default true. */
    resume?: boolean;
    /** Milliseconds before a broken stream is opened again, until the server tells another time. Default 2000. */
    retry?: number;
    /** Milliseconds between two attempts at most, plus up to half of it by chance. Default 60000. */
    maxRetry?: number;
    /** Milliseconds without a byte after which a stream counts as dead: three of the server's heartbeats. 0: never. Default 45000. */
    heartbeatTimeout?: number;
    /** Milliseconds that the server may take to begin a stream. Default 30000. */
    openTimeout?: number;
    /** Parts of the surroundings to be used in place of the runtime's, for tests and other runtimes. */
    environment?: Partial<Environment>;
}
/** How topics are told: by a field, which only the transport `fetch` sees, or by an envelope around the data. */
export type TopicsAs = 'field' | 'envelope';
/** Throws where the configuration can't work. */
export declare function check(config: SSEManagerConfig): void;
export {};
