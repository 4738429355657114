/** Channels, with the methods that Echo's own have. */
import type { SSEManager, SSEMessage } from '../index.js';
import type { Requests } from './options.js';
/** Gets the event's data, which is the application's. */
export type Listener = (data: any) => void;
/** What `error()` listeners get: a status as Pusher's have, and the server's reason, where it tells one. */
export interface SseError {
    readonly type: 'AuthError' | 'WhisperError' | 'StreamError';
    readonly status?: number;
    readonly reason?: string;
    readonly error: string;
}
/** What a channel needs of its connector. */
export interface ChannelHost {
    readonly requests: Requests;
    readonly namespace: string | false;
    /** By which the page knows what it has sent itself; null before the application has told it. */
    readonly mark: string | null;
}
export declare class SseChannel {
    #private;
    readonly name: string;
    protected readonly host: ChannelHost;
    protected manager: SSEManager | null;
    constructor(host: ChannelHost, name: string);
    /** Calls the listener for each event of this name: in the namespace, or as it is where it begins with a dot. */
    listen(event: string, listener: Listener): this;
    stopListening(event: string, listener?: Listener): this;
    /** Calls the listener for all events, with the name as `listen()` takes it. */
    listenToAll(listener: (event: string, data: unknown) => void): this;
    stopListeningToAll(listener?: (event: string, data: unknown) => void): this;
    notification(listener: Listener): this;
    stopListeningForNotification(listener?: Listener): this;
    listenForWhisper(event: string, listener: Listener): this;
    stopListeningForWhisper(event: string, listener?: Listener): this;
    /** Calls the listener when the stream has the channel, at once where it has it. */
    subscribed(listener: () => void): this;
    /** Calls the listener when the server refuses the channel, or a whisper. */
    error(listener: (error: SseError) => void): this;
    /** Calls the listener for each event whose type is exactly this. */
    on(type: string, listener: Listener): this;
    protected tell(error: SseError): void;
    /** Ends it. */
    unsubscribe(): void;
    protected take({ type, data: published }: SSEMessage): void;
}
export declare class SsePrivateChannel extends SseChannel {
    /** Tells the other clients of the channel something, past the application. */
    whisper(event: string, data: unknown): this;
}
export declare class SsePresenceChannel extends SsePrivateChannel {
    #private;
    /** Calls the listener with all members, once they are known: at once where they are. */
    here(listener: (members: unknown[]) => void): this;
    joining(listener: Listener): this;
    leaving(listener: Listener): this;
    unsubscribe(): void;
}
