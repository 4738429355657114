/** A POST with the configured headers; after a 401 once more, where a function makes them anew. */
import type { SSEManagerConfig } from './config.js';
export interface Post {
    readonly url: string;
    readonly body: string | URLSearchParams;
    readonly headers: Record<string, string>;
    readonly signal?: AbortSignal | undefined;
}
export declare function post(config: SSEManagerConfig, fetch: typeof globalThis.fetch, request: Post): Promise<Response>;
