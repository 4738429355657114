/** The ES module. */
export type { SSEManagerConfig, TopicsAs } from './config.js';
export type { ListenOptions } from './emitter.js';
export type { Environment } from './environment.js';
export type { SSEManagerEvents, State } from './events.js';
export type { Failure } from './failure.js';
export type { Gap } from './inbox.js';
export { SSEManager } from './manager.js';
export type { Decode, SSEMessage } from './message.js';
export type { Member, Presence, PresenceEvents } from './presence.js';
export { SendError, type SendOptions } from './send.js';
export type { Handler, SubscribeOptions, Subscription } from './subscription.js';
export { matches } from './topic.js';
export type { Way } from './ways.js';
