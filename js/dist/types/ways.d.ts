/**
 * How events come: by a stream that lasts, or, where a proxy holds back what has not ended, by responses that end soon.
 *
 * A proxy that holds a stream back shows by what is missing: php-sse sends the first bytes with the headers. Then shorter ways are
 * tried, in order; the first one that brings something is kept for some time, after which a lasting stream is tried again. Where none
 * of them does, nothing but a lasting stream is asked for, for just as long.
 */
import type { Store } from './environment.js';
/** `stream`: a response that lasts. `short`: one that ends after some seconds. `poll`: a POST that ends with its first events. */
export type Way = 'stream' | 'short' | 'poll';
/** What a request asks for besides its topics. */
export interface WayRequest {
    readonly way: Way;
    /** Milliseconds after which the server is to end the response; 0: never. */
    readonly lifetime: number;
    /** Whether it tries a lasting stream again, while another way works. */
    readonly trial: boolean;
}
export interface WaysConfig {
    /** Ways to try in place of a lasting stream, in order; none: it is not looked whether one is held back. */
    readonly fallback: readonly Exclude<Way, 'stream'>[];
    /** Milliseconds that the first bytes of a response may take after its headers. */
    readonly firstBytesTimeout: number;
    readonly lifetimes: {
        readonly short: number;
        readonly poll: number;
    };
    /** Milliseconds for which another way is kept. */
    readonly keep: number;
}
export declare class Ways {
    #private;
    readonly config: WaysConfig;
    /** `store` keeps the way that works for the next page of the same address. */
    constructor(config: WaysConfig, now: () => number, store: Store | null, url: string);
    /** Whether it is looked for the first bytes, as another way could be taken. */
    get watches(): boolean;
    next(): WayRequest;
    /** Nothing came by this way, in time. */
    failed(way: Way): void;
    /** Something came by this way, and not before the end of the response. */
    works(way: Way): void;
    /** A lasting stream is asked for next: responses are not held back, or the network is another one. */
    improve(): void;
    /** Another tab has found that this way works. */
    use(way: Way): void;
}
