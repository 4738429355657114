/**
 * Topics and patterns, as php-sse has them: segments joined by dots; in a pattern `*` stands for one segment and `**`,
 * as the last segment, for one or more. A wildcard as the first segment matches no topic of the hub's own (`$presence.chat`).
 */
/** Whether a pattern matches a topic. */
export declare function matches(pattern: string, topic: string): boolean;
/** Whether everything that `narrow` matches is matched by `wide` too. */
export declare function covers(wide: string, narrow: string): boolean;
/** Whether each of `patterns` is covered by one of `by`. */
export declare function allCovered(patterns: Iterable<string>, by: readonly string[]): boolean;
/**
 * Whether a stream of the topics `by` has all that is wanted. What is wanted by its name although a pattern that is wanted covers it
 * must be among them.
 */
export declare function hasAll(wanted: readonly string[], by: readonly string[]): boolean;
/** Throws where somebody can't be: on what is no topic, on a pattern, or on one of the hub's own. */
export declare function checkTopic(topic: string): void;
/**
 * Throws where php-sse would refuse the pattern: the server's answer to it would be final, for all topics of the page.
 * A comma joins topics in the URL.
 */
export declare function checkPattern(pattern: string): void;
