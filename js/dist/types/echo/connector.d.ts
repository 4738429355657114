/**
 * What Echo makes of `broadcaster: SseConnector`: it asks the application which channels the page may have and by which topics
 * they come, and reads all of them by one SSEManager.
 */
import { type ChannelHost, SseChannel, SsePresenceChannel, SsePrivateChannel } from './channel.js';
import { Requests, type SseEchoOptions } from './options.js';
/** As Echo has them. */
export type ConnectionStatus = 'connected' | 'disconnected' | 'connecting' | 'reconnecting' | 'failed';
export declare class SseConnector implements ChannelHost {
    #private;
    readonly options: SseEchoOptions;
    readonly requests: Requests;
    /** By their whole names, which may be any, such as `constructor`; Echo's leaveAllChannels() reads it. */
    readonly channels: Record<string, SseChannel>;
    mark: string | null;
    constructor(options?: SseEchoOptions);
    get namespace(): string | false;
    /** Tries again at once where the connection has failed, or waits. */
    connect(): void;
    listen(name: string, event: string, listener: (data: unknown) => void): SseChannel;
    channel(name: string): SseChannel;
    privateChannel(name: string): SsePrivateChannel;
    presenceChannel(name: string): SsePresenceChannel;
    leave(name: string): void;
    leaveChannel(name: string): void;
    /**
     * By what the application leaves this page out: `toOthers()`. The stream's id, by which the hub does not send it the event,
     * and the page's secret, of which the event has a hash, the mark: where it comes later, by another stream, the page drops it. Tabs
     * that share a stream have the secret only.
     */
    socketId(): string | undefined;
    connectionStatus(): ConnectionStatus;
    onConnectionChange(listener: (status: ConnectionStatus) => void): () => void;
    /** Ends the connection, and with it all channels. */
    disconnect(): void;
}
