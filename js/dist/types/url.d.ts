/** The address of the stream, and the headers it is asked for with. */
import type { SSEManagerConfig } from './config.js';
import type { Environment } from './environment.js';
import type { Request } from './transport.js';
import type { WayRequest } from './ways.js';
/** What is asked for. */
export interface WantedResponse {
    readonly topics: readonly string[];
    readonly lastEventId: string | null;
    readonly asked: WayRequest;
    /** Whether it is to begin with the last values of its topics, if the page wants those. */
    readonly retained: boolean;
}
export interface StreamUrl {
    readonly transport: 'fetch' | 'eventsource';
    /** The same for all pages that may share a connection. */
    readonly name: string;
    readonly request: (wanted: WantedResponse) => Pick<Request, 'url' | 'method' | 'body'>;
    readonly headers: (lastEventId: string | null, renew: boolean) => Record<string, string> | Promise<Record<string, string>>;
}
export declare function streamUrl(config: SSEManagerConfig, environment: Environment): StreamUrl;
