/**
 * `SSEManager`: what a page uses. It puts the parts together: the subscriptions of this tab, the connection, and the other
 * tabs. Everything that the connection tells goes the same way, whether it is this tab's or another's.
 */
import { type SSEManagerConfig } from './config.js';
import { type ListenOptions } from './emitter.js';
import { type SSEManagerEvents, type State } from './events.js';
import { type Presence } from './presence.js';
import { type SendOptions } from './send.js';
import { type Handler, type SubscribeOptions, type Subscription } from './subscription.js';
import { type Way } from './ways.js';
/** `Topics`: what data each topic or pattern has, for TypeScript: `new SSEManager<{ 'chat.general': Line }>(…)`. */
export declare class SSEManager<Topics extends object = Record<never, never>> implements Disposable {
    #private;
    /** Made by `disposable()`, where the runtime has it. */
    readonly [Symbol.dispose]: () => void;
    constructor(config: SSEManagerConfig);
    get state(): State;
    /** Whether the connection is this tab's own. */
    get leads(): boolean;
    /**
     * How events come: by a `stream`, or, where a proxy holds streams back, by `short` responses or by long-polls (`poll`).
     */
    get way(): Way;
    /**
     * The public id of the stream that this page reads, by which its requests name it; null while none is open, or if the server
     * doesn't tell it (`stream_id` of sse_stream()).
     */
    get streamId(): string | null;
    /** The id of the last event that this page has; null before the first. */
    get lastEventId(): string | null;
    /**
     * Watches a topic, or all that match a pattern (`orders.*`, `chat.**`). Call what it returns to end that, or read it by
     * `for await`.
     */
    subscribe<Topic extends keyof Topics & string>(topic: Topic, handler?: Handler<Topics[Topic]>, options?: SubscribeOptions): Subscription<Topics[Topic]>;
    subscribe<Data = unknown>(topic: string, handler?: Handler<Data>, options?: SubscribeOptions): Subscription<Data>;
    /**
     * Who is on a topic, and who comes and goes; it watches the topic for that. The server tells it where `stream.php` sets the options
     * `presence` and `presence_events`.
     */
    presence<Info = unknown>(topic: string): Presence<Info>;
    /** Listens to what happens to the connection; returns a function that ends that. */
    on<Name extends keyof SSEManagerEvents>(name: Name, listener: (event: SSEManagerEvents[Name]) => void, options?: ListenOptions): () => void;
    /** Listens for the first time that it happens. */
    once<Name extends keyof SSEManagerEvents>(name: Name, listener: (event: SSEManagerEvents[Name]) => void): () => void;
    /** Publishes by POST to `publishUrl`, and resolves with what that answers. */
    send<Answer = unknown>(topic: string, data: unknown, options?: SendOptions): Promise<Answer>;
    /** Tries again at once: after `closed`, or in place of waiting. */
    connect(): void;
    /** Ends everything: subscriptions, listeners, connection. */
    close(): void;
}
