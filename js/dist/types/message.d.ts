/** An event as handlers get it. */
import type { EventFrame } from './frame.js';
export interface SSEMessage<Data = unknown> {
    /** The topic it was published to that the subscription matches first; empty if the server told none. */
    readonly topic: string;
    /** All topics it was published to, of those that the stream watches. */
    readonly topics: readonly string[];
    /** The event's type: `message` if it has none of its own. */
    readonly type: string;
    /** The data: what it is as JSON, or the text itself where that is not JSON. */
    readonly data: Data;
    /** The data as it came. */
    readonly text: string;
    /** The event's id; empty if it has none. */
    readonly id: string;
    /** Whether it is the topic's last value, from before the subscription; see `retained` of the configuration. */
    readonly retained: boolean;
}
/** How data becomes a value: `json` (what is no JSON stays text), `text`, or a function of its own. */
export type Decode = 'json' | 'text' | ((text: string, message: Omit<SSEMessage, 'data'>) => unknown);
export declare function message(frame: EventFrame, topic: string, decode: Decode): SSEMessage;
