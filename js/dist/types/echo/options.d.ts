/** What Echo passes on: its own options, and those of this connector. */
import type { SSEManagerConfig } from '../index.js';
/** Options of SSEManager that a page may set beside those that the connector makes itself. */
type Stream = Omit<SSEManagerConfig, 'url' | 'topicsUrl' | 'publishUrl' | 'headers' | 'session' | 'withCredentials' | 'decode' | 'lastEventId'>;
export interface SseEchoOptions {
    /** The origin of the application, where that is another one than the page's: `https://api.example.com`. */
    host?: string | null;
    /** Where the package's routes are, as `path` of config/sse.php. Default `/sse`. */
    path?: string;
    /** Who is logged in: all tabs then share one connection, see SSEManager. Default: each tab has its own. */
    session?: string;
    /** Send cookies to another origin as well. Default false. */
    withCredentials?: boolean;
    /** Further options of SSEManager, such as `method: 'POST'` for more channels than a URL has room for. */
    stream?: Stream;
    /** Headers of all requests. */
    auth?: {
        headers: Record<string, string>;
    };
    bearerToken?: string | null;
    csrfToken?: string | null;
    /** Where events are whose names begin with no dot. Default `App.Events`; false: nowhere. */
    namespace?: string | false;
}
/** Makes the requests of a connector. */
export declare class Requests {
    #private;
    constructor(options: SseEchoOptions);
    url(route: string): string;
    /** The headers, as the page has them now: a login may have brought another token. */
    headers(): Record<string, string>;
    get(route: string, parameters: URLSearchParams, headers?: Record<string, string>): Promise<Response>;
    post(route: string, content: unknown, headers: Record<string, string>): Promise<Response>;
}
export {};
