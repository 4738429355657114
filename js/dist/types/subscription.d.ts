/**
 * One subscription: a handler, or an iterator, of the events of a topic or pattern, each of them once and in order.
 *
 * It begins at a place in the order of all events. What is older is none of its business, and may come by all the same: when
 * the connection goes on from an older place for the sake of another subscription, or of another tab.
 */
import type { EventFrame, Received } from './frame.js';
import { type Decode, type SSEMessage } from './message.js';
export type Handler<Data = unknown> = (message: SSEMessage<Data>) => void;
/**
 * What `subscribe()` returns: a function that ends the subscription, and an async iterator. Leaving the loop ends it too.
 * Without a handler, events wait for the iterator from the beginning on.
 */
export interface Subscription<Data = unknown> extends AsyncIterable<SSEMessage<Data>> {
    (): void;
    /** The topic or pattern. */
    readonly topic: string;
    /**
     * Resolved when the server has taken it: what is published from then on comes. Rejected if the server refuses it, or it is
     * ended before.
     */
    readonly ready: Promise<void>;
}
export declare class Subscriber {
    #private;
    readonly pattern: string;
    readonly ready: Promise<void>;
    constructor(pattern: string, handler: Handler | undefined, decode: Decode, from: string | null);
    /** Whether it has a place, from which everything is needed. */
    get began(): boolean;
    /** It begins after this place; null: with whatever comes next. */
    begin(place: string | null): void;
    /** A stream that has its topic is open. */
    opened(link: string): void;
    /** The hub's newest event when the stream began. */
    cursor(id: string, link: string): void;
    offer(frame: EventFrame, { link, ordered }: Received): void;
    end(error?: Error): void;
    refuse(error: Error): void;
    next(): Promise<IteratorResult<SSEMessage>>;
}
