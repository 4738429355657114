/** What comes in, whether by the tab's own connection or by another tab's, and who gets it. */
import type { EventFrame, Received } from './frame.js';
import { Rooms } from './presence.js';
import type { Subscriber } from './subscription.js';
/** Events may be missing: the page should load its state anew. */
export interface Gap {
    /** The id that was to be gone on from. */
    readonly requested: string;
    /** The oldest event that follows; null if there is none. */
    readonly oldest: string | null;
}
export declare class Inbox {
    #private;
    readonly subscribers: Set<Subscriber>;
    readonly rooms: Rooms;
    constructor(position: string | null, gap: (gap: Gap) => void, message: (frame: EventFrame) => void, finished: (topics: readonly string[]) => void);
    get position(): string | null;
    /** What all subscriptions watch, without what another pattern covers. */
    get topics(): string[];
    /** The topics of subscriptions that have not had a last event. */
    get unfinished(): string[];
    /** Ends a subscription; true if it was one. After the last one, nothing is needed from anywhere. */
    remove(subscriber: Subscriber): boolean;
    /** Whether anything is needed from where it is. */
    get hasBegun(): boolean;
    /** This tab goes on from here. */
    resume(place: string): void;
    /**
     * A stream of these topics is open, and begins at this place. False if that is too late for this tab: it doesn't read the
     * stream then, as it would take what it has missed for what it has had.
     */
    opened(link: string, topics: readonly string[], from: string | null): boolean;
    /** A stream that has been open for some time is at `place`, and everything up to `now` has come by it or another. */
    joined(link: string, topics: readonly string[], place: string | null, now: string | null): boolean;
    /** A stream is asked to bring these topics as well. */
    expect(link: string, topics: readonly string[]): void;
    /** A stream has these topics, and of those that are new everything after `place`. False if this tab doesn't read it. */
    changed(link: string, topics: readonly string[], place: string): boolean;
    /** This tab hears nothing any more, until it joins again. */
    left(): void;
    received(received: Received): void;
}
/** All patterns, once each, but those that another one covers; `exact` ones in any case. */
export declare function union(patterns: readonly string[], exact?: readonly string[]): string[];
