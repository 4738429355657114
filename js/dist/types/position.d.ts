/**
 * Where in the order of all events a reader is. The hub's own ids, `milliseconds-sequence`, only grow, so that of two of
 * them the older one is known; ids that a publisher has chosen can only be told apart.
 */
/** Negative if `a` is older than `b`, positive if newer, 0 if equal; null if that can't be told. */
export declare function compare(a: string, b: string): number | null;
/** Whether the hub gave this id itself. */
export declare function isOrdered(id: string): boolean;
/** The older of two places; where that can't be told, the first. Null is no place at all. */
export declare function older(a: string | null, b: string | null): string | null;
