/**
 * The stream read by the browser's own EventSource. It sends no headers, and it says neither why it fails nor when a
 * heartbeat comes; topics are told by an envelope around the data (`sse_stream()`'s option `'topics_as' => 'envelope'`).
 */
import type { Environment } from './environment.js';
import type { Transport } from './transport.js';
/** A transport by this runtime's EventSource, which listens to events of these types. */
export declare function eventSourceTransport(environment: Pick<Environment, 'EventSource'>, types: readonly string[]): Transport;
