/**
 * One connection that heals itself. It owns at most two streams: the one that is open, and the one that is about to take its
 * place, because the topics have changed and the server can't change those of an open stream, or the old one may be dead. The
 * old one is closed when the new one is open, which begins where the old one was; what comes twice that way is told apart by
 * who reads it (see subscription.ts).
 */
import type { Environment } from './environment.js';
import { type Failure } from './failure.js';
import { type Received } from './frame.js';
import type { Steer } from './steer.js';
import type { Transport } from './transport.js';
import type { StreamUrl } from './url.js';
import type { Way, Ways } from './ways.js';
/** What a connection is made with. */
export interface ConnectionConfig {
    /** Names its streams. */
    readonly name: string;
    readonly transport: Transport;
    readonly request: StreamUrl['request'];
    readonly headers: (lastEventId: string | null, renew: boolean) => Promise<Record<string, string>> | Record<string, string>;
    /** Whether the headers are made anew for each request, so that a 401 may be answered by another one. */
    readonly renewable: boolean;
    readonly withCredentials: boolean;
    /** Milliseconds before a stream that broke is opened again, until the server tells another time. */
    readonly retry: number;
    /** Milliseconds between two attempts at most. */
    readonly longestDelay: number;
    /**
     * Milliseconds without a byte after which a stream counts as dead; 0: never. Null: three of the heartbeats that the server
     * tells, or `HEARTBEAT_TIMEOUT` where it tells none.
     */
    readonly heartbeatTimeout: number | null;
    /** Milliseconds that the server may take to begin a stream. */
    readonly openTimeout: number;
    readonly ways: Ways;
    /** Changes what an open stream watches; null: the server can't. */
    readonly steer: Steer | null;
    readonly environment: Pick<Environment, 'setTimeout' | 'clearTimeout' | 'now' | 'random'>;
}
/** Whom it tells. */
export interface ConnectionListener {
    /** A stream of these topics, from this place on, has become the one that is read; `refused`: what its header says. */
    opened(link: string, topics: readonly string[], from: string | null, refused: string | null): void;
    received(received: Received): void;
    /** The stream that is read has this public id. */
    named(streamId: string): void;
    /** The open stream is asked for these topics as well, and may bring them from now on. */
    changing(link: string, topics: readonly string[]): void;
    /** The open stream has these topics, and of those that are new everything after `place`. */
    changed(link: string, topics: readonly string[], place: string): void;
    /** The stream broke, or could not be opened; the next attempt is in so many milliseconds. */
    reconnecting(failure: Failure, delay: number): void;
    /** A stream with these topics could not be opened, and is tried again in so many milliseconds; the one from before goes on. */
    failing(topics: readonly string[], failure: Failure, delay: number): void;
    /** The server will not have these topics, but those from before, which go on. */
    refused(topics: readonly string[], failure: Failure): void;
    /** Events come in this way now. */
    comes(way: Way): void;
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
        refused: string | null;
    } | null;
    /**
     * Reads these topics from now on; those that were read before are not interrupted. `from`: a place from which all events
     * are needed, however far the connection is. `anew`: what a stream brings first is needed.
     */
    watch(topics: readonly string[], from?: string | null, anew?: boolean): void;
    /** Ends it; `watch()` begins it anew, from where it was. */
    close(): void;
    /**
     * Time may have passed unnoticed (sleep, a throttled tab), or the network may have come back: looks whether the stream
     * still lives, and doesn't wait any longer for the next attempt. With `renew`, an open stream is replaced.
     */
    poke(renew?: boolean): void;
}
