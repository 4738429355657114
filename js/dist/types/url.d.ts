/** The address of the stream, and the headers it is asked for with. */
import type { SSEManagerConfig } from './config.js';
import type { Environment } from './environment.js';
export interface StreamUrl {
    readonly transport: 'fetch' | 'eventsource';
    /** The same for all pages that may share a connection. */
    readonly name: string;
    readonly of: (topics: readonly string[], lastEventId: string | null) => string;
    readonly headers: (lastEventId: string | null) => Record<string, string> | Promise<Record<string, string>>;
}
export declare function streamUrl(config: SSEManagerConfig, environment: Environment): StreamUrl;
