/** The connector of Laravel's Echo: `new Echo({ broadcaster: SseConnector })`. */
export type { Listener, SseError } from './channel.js';
export { SseChannel, SsePresenceChannel, SsePrivateChannel } from './channel.js';
export type { ConnectionStatus } from './connector.js';
export { SseConnector, SseConnector as default } from './connector.js';
export type { SseEchoOptions } from './options.js';
