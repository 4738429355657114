/**
 * One connection that heals itself. It owns at most two streams: the one that is open, and the one that is about to take its
 * place, because the topics have changed or the old one may be dead. The old one is closed when the new one is open, which
 * begins where the old one was; what comes twice that way is told apart by who reads it (see subscription.ts).
 */
import type { Environment } from './environment.js';
import type { Failure } from './failure.js';
import type { Received } from './frame.js';
import type { Transport } from './transport.js';
/** What a connection is made with. */
export interface ConnectionConfig {
    /** Names its streams. */
    readonly name: string;
    readonly transport: Transport;
    readonly url: (topics: readonly string[], lastEventId: string | null) => string;
    readonly headers: (lastEventId: string | null) => Promise<Record<string, string>> | Record<string, string>;
    readonly withCredentials: boolean;
    /** Milliseconds before a stream that broke is opened again, until the server tells another time. */
    readonly retry: number;
    /** Milliseconds between two attempts at most. */
    readonly longestDelay: number;
    /** Milliseconds without a byte after which a stream counts as dead; 0: never. */
    readonly heartbeatTimeout: number;
    /** Milliseconds that the server may take to begin a stream. */
    readonly openTimeout: number;
    readonly environment: Pick<Environment, 'setTimeout' | 'clearTimeout' | 'now' | 'random'>;
}
/** Whom it tells. */
export interface ConnectionListener {
    /** A stream of these topics, from this place on, has become the one that is read. */
    opened(link: string, topics: readonly string[], from: string | null): void;
    received(received: Received): void;
    /** The stream broke, or could not be opened; the next attempt is in so many milliseconds. */
    reconnecting(failure: Failure, delay: number): void;
    /** The server will not have these topics, but those from before, which go on. */
    refused(topics: readonly string[], failure: Failure): void;
    /** The server doesn't want to be asked again. */
    closed(failure: Failure): void;
}
export declare class Connection {
    #private;
    constructor(config: ConnectionConfig, listener: ConnectionListener);
    /** The id to go on from: the last that came, or the newest of all when nothing had been missed. */
    get lastId(): string | null;
    /** The topics of the stream that is open; none while none is. */
    get topics(): readonly string[];
    /** The stream that is open. */
    get link(): {
        name: string;
        ordered: boolean;
    } | null;
    /**
     * Reads these topics from now on; those that were read before are not interrupted. `from`: a place from which all events
     * are needed, however far the connection is.
     */
    watch(topics: readonly string[], from?: string | null): void;
    /** Ends it; `watch()` begins it anew, from where it was. */
    close(): void;
    /**
     * Time may have passed unnoticed (sleep, a throttled tab), or the network may have come back: looks whether the stream
     * still lives, and doesn't wait any longer for the next attempt. With `renew`, an open stream is replaced.
     */
    poke(renew?: boolean): void;
}
