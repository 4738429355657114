/** Publishing from the page. */
import type { SSEManagerConfig } from './config.js';
import type { Environment } from './environment.js';
export interface SendOptions {
    /** The event's type. */
    event?: string;
    /** An id of the page's own, so that the server can tell a message that is sent twice. */
    id?: string;
    /** Ends the request. */
    signal?: AbortSignal;
    /** Further request headers, such as a CSRF token. */
    headers?: Record<string, string>;
}
/** What the server answered to `send()`, where that was not a success. */
export declare class SendError extends Error {
    readonly status: number;
    /** The answer's body. */
    readonly body: string;
    constructor(status: number, body: string);
}
/**
 * A POST of JSON: pages of other origins can't send that without being asked for by CORS first, as they could a form.
 */
export declare function publish(config: SSEManagerConfig, { fetch }: Pick<Environment, 'fetch'>, topic: string, data: unknown, { event, id, signal, headers: more }: SendOptions): Promise<unknown>;
