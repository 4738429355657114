/**
 * Where in the order of all events a reader is. The hub's own ids, `milliseconds-sequence`, only grow, so that of two of
 * them the older one is known; ids that a publisher has chosen can only be told apart.
 */

const HUB_ID = /^(\d{13})-(\d{1,15})$/

/** The hub's id as two numbers; null for one that a publisher has chosen. */
function parse(id: string): [number, number] | null {
  const found = HUB_ID.exec(id)
  return found === null ? null : [Number(found[1]), Number(found[2])]
}

/** Negative if `a` is older than `b`, positive if newer, 0 if equal; null if that can't be told. */
export function compare(a: string, b: string): number | null {
  if (a === b) return 0
  const left = parse(a)
  const right = parse(b)
  if (left === null || right === null) return null
  return left[0] - right[0] || left[1] - right[1]
}

/** Whether the hub gave this id itself. */
export function isOrdered(id: string): boolean {
  return HUB_ID.test(id)
}

/** The older of two places; where that can't be told, the first. Null is no place at all. */
export function older(a: string | null, b: string | null): string | null {
  if (a === null || b === null) return a ?? b
  const order = compare(a, b)
  return order !== null && order > 0 ? b : a
}
