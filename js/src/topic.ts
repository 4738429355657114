/**
 * Topics and patterns, as php-sse has them: segments joined by dots; in a pattern `*` stands for one segment and `**`,
 * as the last segment, for one or more. A wildcard as the first segment matches no topic of the hub's own (`$presence.chat`).
 */

/** Whether a pattern matches a topic. */
export function matches(pattern: string, topic: string): boolean {
  if (topic.startsWith('$') && pattern.startsWith('*')) return false
  const found = topic.split('.')
  const wanted = pattern.split('.')
  for (const [at, segment] of wanted.entries()) {
    if (at >= found.length) return false
    if (segment === '**') return true
    if (segment !== '*' && segment !== found[at]) return false
  }
  return wanted.length === found.length
}

/** Whether everything that `narrow` matches is matched by `wide` too. */
export function covers(wide: string, narrow: string): boolean {
  if (narrow.startsWith('$') && wide.startsWith('*')) return false
  const inner = narrow.split('.')
  const outer = wide.split('.')
  for (const [at, segment] of outer.entries()) {
    if (at >= inner.length) return false
    if (segment === '**') return true
    if (inner[at] === '**') return false
    if (segment !== '*' && segment !== inner[at]) return false
  }
  return outer.length === inner.length
}

/** Whether each of `patterns` is covered by one of `by`. */
export function allCovered(patterns: Iterable<string>, by: readonly string[]): boolean {
  for (const pattern of patterns) {
    if (!by.some((wide) => covers(wide, pattern))) return false
  }
  return true
}

/**
 * Whether a stream of the topics `by` has all that is wanted. What is wanted by its name although a pattern that is wanted covers it
 * must be among them.
 */
export function hasAll(wanted: readonly string[], by: readonly string[]): boolean {
  return wanted.every(
    (topic) =>
      by.includes(topic) || (allCovered([topic], by) && !wanted.some((other) => other !== topic && covers(other, topic))),
  )
}

/** Throws where somebody can't be: on what is no topic, on a pattern, or on one of the hub's own. */
export function checkTopic(topic: string): void {
  checkPattern(topic)
  if (topic.includes('*') || topic.startsWith('$')) {
    throw new TypeError(`presence(): nobody is on '${topic}': it must be a topic, without wildcards, that does not begin with '$'`)
  }
}

/**
 * Throws where php-sse would refuse the pattern: the server's answer to it would be final, for all topics of the page.
 * A comma joins topics in the URL.
 */
export function checkPattern(pattern: string): void {
  const wrong = (why: string): never => {
    throw new TypeError(`subscribe(): '${pattern}' is no topic or pattern: ${why}`)
  }
  if (typeof pattern !== 'string' || pattern === '') wrong('it must be a string that is not empty')
  if (/[\s,\p{Cc}]/u.test(pattern)) wrong('white space, commas and control characters are not allowed')
  const segments = pattern.split('.')
  for (const [at, segment] of segments.entries()) {
    if (segment === '') wrong("segments are joined by single dots, as in 'chat.general'")
    if (segment === '**' && at < segments.length - 1) wrong("'**' may only be the last segment, as in 'orders.**'")
    if (segment.includes('*') && segment !== '*' && segment !== '**') wrong("'*' must be a whole segment, as in 'orders.*'")
  }
}
