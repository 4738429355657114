/**
 * The tabs of a browser that share one connection: which of them has it, and what they tell each other.
 *
 * A Web Lock, or one of a shared worker, elects the one: "the lock will be … released when the agent terminates", so that another one gets it as soon as
 * the tab is closed, crashes or is thrown away. A BroadcastChannel carries what they say, in order.
 */
import type { Environment } from './environment.js';
import type { Failure } from './failure.js';
import type { Received } from './frame.js';
import type { Room } from './presence.js';
import type { Way } from './ways.js';
/** What one tab tells all others. */
export type Word = 
/** I watch these topics; with a place, I need everything after it. With `less`, I have only ended subscriptions. */
{
    readonly say: 'want';
    readonly tab: string;
    readonly topics: readonly string[];
    /** Those that the stream must have by their names, also where a pattern of another tab covers them. */
    readonly exact: readonly string[];
    readonly from: string | null;
    readonly less: boolean;
    /** Whether some of them have not had their last values. */
    readonly anew: boolean;
}
/** I am gone. */
 | {
    readonly say: 'bye';
    readonly tab: string;
}
/** Is anybody leading? */
 | {
    readonly say: 'ping';
}
/** Try again now. */
 | {
    readonly say: 'again';
}
/** I lead from now on, and don't know yet what you watch. */
 | {
    readonly say: 'hello';
}
/** I lead, and this is how it is. */
 | {
    readonly say: 'state';
    readonly state: string;
    readonly link: string | null;
    readonly topics: readonly string[];
    /** The public id of the stream, if the server tells it. */
    readonly stream: string | null;
    /** Its header `Sse-Refused`. */
    readonly refused: string | null;
    /** How events come. */
    readonly way: Way;
    /** Everything after this comes yet. */
    readonly place: string | null;
    /** The newest that has come. */
    readonly now: string | null;
}
/** I lead, and this is who is on the topics that this tab has begun to watch. */
 | {
    readonly say: 'present';
    readonly tab: string;
    readonly rooms: readonly Room[];
} | News;
/** What the connection tells; the same for the tab that has it and all others. */
export type News = {
    readonly say: 'opened';
    readonly link: string;
    readonly topics: readonly string[];
    readonly from: string | null;
    readonly refused: string | null;
} | {
    readonly say: 'named';
    readonly stream: string;
} | {
    readonly say: 'changing';
    readonly link: string;
    readonly topics: readonly string[];
} | {
    readonly say: 'changed';
    readonly link: string;
    readonly topics: readonly string[];
    readonly place: string;
} | {
    readonly say: 'received';
    readonly received: Received;
} | {
    readonly say: 'reconnecting';
    readonly failure: Failure;
    readonly delay: number;
} | {
    readonly say: 'failing';
    readonly topics: readonly string[];
    readonly failure: Failure;
    readonly delay: number;
} | {
    readonly say: 'refused';
    readonly topics: readonly string[];
    readonly failure: Failure;
} | {
    readonly say: 'comes';
    readonly way: Way;
} | {
    readonly say: 'closed';
    readonly failure: Failure;
};
/** Whom it tells. */
export interface TabsListener {
    /** This tab can be heard by the others. */
    joined(): void;
    /** This tab has the connection from now on; with `alone`, no other tab waited for it. */
    lead(alone: boolean): void;
    /** Another tab has taken it. */
    follow(): void;
    heard(word: Word): void;
    /** There is no way to share, after all. */
    alone(): void;
}
export declare class Tabs {
    #private;
    /** Null where this runtime can't share. */
    static among(name: string, id: string, workerUrl: string | undefined, environment: Environment, listener: TabsListener): Tabs | null;
    private constructor();
    /** Whether it has joined the others, or is about to. */
    get joined(): boolean;
    get leads(): boolean;
    join(): void;
    /** Asks the tab that has the connection whether it is alive, and takes it over if nothing comes. */
    ask(): void;
    leave(): void;
    say(word: Word): void;
    /** Calls `gone` when that tab has ended, however it did. */
    outlive(tab: string, gone: () => void): void;
}
