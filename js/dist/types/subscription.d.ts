/**
 * One subscription: a handler, or an iterator, of the events of a topic or pattern, each of them once and in order.
 *
 * It begins at a place in the order of all events. What is older is none of its business, and may come by all the same: when
 * the connection goes on from an older place for the sake of another subscription, or of another tab.
 */
import type { EventFrame, Received } from './frame.js';
import { type Failure } from './failure.js';
import { type Decode, type SSEMessage } from './message.js';
/** What a subscription is made with, besides its topic. */
export interface SubscribeOptions {
    /** Only events of this type, or of one of these. */
    readonly type?: string | readonly string[];
    /** Ends with the first event. */
    readonly once?: boolean;
    /** Ends when that is aborted. */
    readonly signal?: AbortSignal;
}
export type Handler<Data = unknown> = (message: SSEMessage<Data>) => void;
/**
 * What `subscribe()` returns: a function that ends the subscription, and an async iterator. Leaving the loop ends it too.
 * Without a handler, events wait for the iterator from the beginning on.
 */
export interface Subscription<Data = unknown> extends AsyncIterable<SSEMessage<Data>>, Disposable {
    (): void;
    /** The topic or pattern. */
    readonly topic: string;
    /**
     * Resolved when the server has taken it: what is published from then on comes. Rejected if the server refuses it, or it is
     * ended before.
     */
    readonly ready: Promise<void>;
    /**
     * Resolved when its topic is finished: the last event has come, or the server has said that nothing more is to come. A loop ends then;
     * a handler is called again if the topic begins anew. Never for a pattern with a wildcard, unless the server says so.
     */
    readonly finished: Promise<void>;
    /** Why the server does not have it at present: it is tried again, unless `final`. Null while nothing is wrong with it. */
    readonly failure: Failure | null;
}
export declare class Subscriber {
    #private;
    readonly pattern: string;
    readonly ready: Promise<void>;
    readonly finished: Promise<void>;
    constructor(pattern: string, handler: Handler | undefined, decode: Decode, from: string | null, { type, once }: SubscribeOptions, over: () => void);
    /** Whether it has a place, from which everything is needed. */
    get began(): boolean;
    /** It begins after this place; null: with whatever comes next. */
    begin(place: string | null): void;
    /** A stream that has its topic is open; `begins`: it has just begun, and not long ago. */
    opened(link: string, begins: boolean): void;
    /** The stream that is open may have its topic from now on: the first event that comes shows that it has. */
    expect(link: string): void;
    /** The hub's newest event when the stream began. */
    cursor(id: string, link: string): void;
    /** The stream has sent all from before it began. */
    reached(link: string): void;
    /** Whether another stream has to begin for its last values. */
    get wantsStream(): boolean;
    /** Whether the event is for it, and is none that it has had. */
    claims(frame: EventFrame, { link, ordered }: Received): boolean;
    /** Gets an event that it claims. */
    take(frame: EventFrame): void;
    /** Whether the last event that it has had is the last one of its topic. */
    get isFinished(): boolean;
    end(error?: Error): void;
    get failure(): Failure | null;
    /** The server does not have it yet. */
    fail(failure: Failure): void;
    /**
     * The server will not have it. A handler may hear of it again after `connect()`; a loop ends here: by the error, or, if the server
     * has said that nothing more is to come, as one does.
     */
    refuse(error: Error, failure: Failure): void;
    next(): Promise<IteratorResult<SSEMessage>>;
}
/** What `subscribe()` returns for a subscriber, which `end` ends. */
export declare function handle(subscriber: Subscriber, end: () => void): Subscription;
