/** The plain script, whose one global is the class. */
export { SSEManager as default } from './manager.js';
