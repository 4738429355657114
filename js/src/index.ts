/** The ES module. */

export type { SSEManagerConfig, TopicsAs } from './config.js'
export type { Environment } from './environment.js'
export type { Failure } from './failure.js'
export type { Gap } from './inbox.js'
export { SSEManager, type SSEManagerEvents, type State } from './manager.js'
export type { Decode, SSEMessage } from './message.js'
export { SendError, type SendOptions } from './send.js'
export type { Handler, Subscription } from './subscription.js'
export { matches } from './topic.js'
