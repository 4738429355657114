/** One response that a connection reads, or waits for. */
import type { WayRequest } from './ways.js';
export interface Link {
    readonly name: string;
    /** How it was asked for. */
    readonly asked: WayRequest;
    /** What it surely brings. */
    topics: readonly string[];
    /** Its public id, once it is told. */
    stream: string | null;
    /** The place it was asked to go on from. */
    readonly from: string | null;
    stop: () => void;
    /** When it was asked for. */
    readonly begun: number;
    /** When its headers or the last byte came, or it was asked for. */
    alive: number;
    /** Whether its headers have come. */
    answered: boolean;
    /** When it was opened; null before. */
    opened: number | null;
    /** What the server says that it did not give it. */
    refused: string | null;
    /** Whether its place is known, or it is known to tell none. */
    placed: boolean;
    ordered: boolean;
    /** Whether its topics may be changed while it is open. */
    steerable: boolean;
    /** Milliseconds between the server's heartbeats, 0 for none; null if it doesn't tell. */
    heartbeat: number | null;
}
export interface LinkLimits {
    readonly openTimeout: number;
    readonly firstBytesTimeout: number;
    /** Milliseconds without a byte after which an open one is dead; 0: never. */
    readonly silence: number;
}
/** Milliseconds without a byte after which it is given up; 0: never. */
export declare function patience({ asked, answered, opened }: Link, { openTimeout, firstBytesTimeout, silence }: LinkLimits): number;
/** Whether a response that has ended was held back until then. False where it ended too soon to tell. */
export declare function wasHeld({ asked, begun, opened }: Link, now: number): boolean;
