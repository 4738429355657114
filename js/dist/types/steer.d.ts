/**
 * Other topics for the stream that is open: a form is posted to the script that calls sse_retopic(). It has the stream's public id,
 * which nobody else knows; so no page of another site can post it.
 */
import type { SSEManagerConfig } from './config.js';
import type { Environment } from './environment.js';
/** What the stream is to watch from now on, and no longer. */
export interface TopicsChange {
    /** The stream's public id. */
    readonly stream: string;
    readonly add: readonly string[];
    readonly remove: readonly string[];
}
/**
 * `done`: the change holds for all events after the cursor. `refused`: nothing has changed. `gone`: nor can it for this stream, which
 * another machine has, or another user. `never`: nor can it for any. `unknown`: it may have changed.
 */
export type SteerAnswer = {
    readonly what: 'done';
    readonly cursor: string;
} | {
    readonly what: 'refused' | 'gone' | 'never' | 'unknown';
};
export type Steer = (change: TopicsChange, signal: AbortSignal) => Promise<SteerAnswer>;
/** Null where the page has not said which script does it, or can't post. */
export declare function steerBy(config: SSEManagerConfig, { base, fetch }: Pick<Environment, 'base' | 'fetch'>): Steer | null;
