/** Whole numbers from one to another, both among them. */
export const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, at) => from + at)
