/**
 * Who is on the topics of the stream, as the hub tells it: a list when the stream begins, and then who comes and who goes.
 *
 * It is known of every topic of the stream, whether the page has asked or not: a list comes only once, and somebody may ask later.
 */
import { type ListenOptions } from './emitter.js';
import type { EventFrame } from './frame.js';
import type { Subscription } from './subscription.js';
/** Somebody who is on a topic: a user, however many tabs they have. */
export interface Member<Info = unknown> {
    readonly id: string;
    /** What the server tells of them. */
    readonly info: Info;
    /** Since when, in milliseconds since 1970. */
    readonly since: number;
}
/** What `presence()` can listen to, by name. */
export interface PresenceEvents<Info = unknown> {
    /** Everybody who is there, anew: the stream has begun, for the first time or again. Nobody is told of as having come or gone. */
    list: {
        members: readonly Member<Info>[];
        count: number;
        more: boolean;
    };
    /** These have come; `count` are there now. */
    join: {
        members: readonly Member<Info>[];
        count: number;
    };
    /** These have gone; `count` are there now. */
    leave: {
        members: readonly Member<Info>[];
        count: number;
    };
}
/** What `presence()` returns. */
export interface Presence<Info = unknown> extends Disposable {
    readonly topic: string;
    /** Who is there, in the order in which it was told; empty until the first list has come. */
    readonly list: readonly Member<Info>[];
    /** How many are there, also of those that the list has no room for. */
    readonly count: number;
    /** Whether the list has no room for all: the rest is for a request of the page's own (`sse_presence()`). */
    readonly more: boolean;
    /** Resolved when the first list has come. Rejected if the server refuses the topic, or `close()` is called before. */
    readonly ready: Promise<void>;
    /** Listens; returns a function that ends that. */
    on<Name extends keyof PresenceEvents>(name: Name, listener: (event: PresenceEvents<Info>[Name]) => void, options?: ListenOptions): () => void;
    /** Listens for the first time that it happens. */
    once<Name extends keyof PresenceEvents>(name: Name, listener: (event: PresenceEvents<Info>[Name]) => void): () => void;
    /** Ends it. */
    close(): void;
}
declare const NAMES: readonly ['list', 'join', 'leave'];
type Kind = (typeof NAMES)[number];
/** What one event tells. */
interface Told {
    readonly kind: Kind;
    readonly topic: string;
    readonly members: readonly Member[];
    readonly count: number;
    readonly more: boolean;
}
/** Who is on a topic; also what one tab tells another one that is new. */
export interface Room {
    readonly topic: string;
    readonly members: Map<string, Member>;
    count: number;
    more: boolean;
}
/** What is known of all topics, and who is told of it. */
export declare class Rooms {
    #private;
    /** Topics that somebody listens to: the stream must have them by their names, as nobody is on a pattern. */
    get wanted(): string[];
    room(topic: string): Room | undefined;
    /** Rooms that one of these patterns covers. */
    among(patterns: readonly string[]): Room[];
    listen(topic: string, tell: (told: Told) => void): () => void;
    /** Takes what an event of the hub tells; false if the event tells nothing of the kind. */
    take(frame: EventFrame): boolean;
    /** Takes rooms from the tab that has the connection, where this one has missed their lists. */
    learn(rooms: readonly Room[]): void;
    /** The stream has these topics now; nothing more is told of others. */
    keep(patterns: readonly string[]): void;
    /** Nothing is known any more. */
    clear(): void;
}
/** What `presence()` returns for a topic that `subscription` watches; both are made in one task, so that they are one change. */
export declare function presenceOf(rooms: Rooms, topic: string, subscription: Subscription): Presence;
export {};
