/**
 * The stream read with fetch and a parser: it can send headers, and sees what the browser's EventSource keeps to itself,
 * that is statuses, heartbeats (comments) and the fields `topic`, `cursor`, `reached`, `finished`, `retained` and `heartbeat` of php-sse.
 */
import type { Environment } from './environment.js';
import type { Transport } from './transport.js';
/** A transport by this runtime's fetch. */
export declare function fetchTransport({ fetch, now }: Pick<Environment, 'fetch' | 'now'>): Transport;
