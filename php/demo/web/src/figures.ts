/** The hub's figures, as `sse_stats()` has them, and what can be made of two of them. */

import { byId, make, tell } from './dom'

export type Tree = { readonly [name: string]: Tree | number | string | boolean | null }

/** Figures of a moment, in milliseconds since 1970. */
export interface Moment {
  readonly at: number
  readonly stats: Tree
}

/** What has this path, as `streams.open`; undefined: there is nothing. */
export function at(tree: Tree, path: string): Tree[string] | undefined {
  let value: Tree[string] | undefined = tree
  for (const name of path.split('.')) value = typeof value === 'object' && value !== null ? value[name] : undefined
  return value
}

/** The number that has this path; null: there is none. */
export function figure(tree: Tree, path: string): number | null {
  const value = at(tree, path)
  return typeof value === 'number' ? value : null
}

/** How much a counter grew in each second. */
export function rate(now: Moment, before: Moment | null, path: string): number | null {
  const [newer, older] = [figure(now.stats, path), before === null ? null : figure(before.stats, path)]
  if (newer === null || older === null || before === null || now.at <= before.at) return null
  return (1000 * (newer - older)) / (now.at - before.at)
}

export function age(seconds: number): string {
  if (seconds < 120) return `${seconds} s`
  return seconds < 7200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`
}

const cells = new Map<string, HTMLElement>()

/** All figures but lists, by their paths; each has one place, so that only what has changed is written. */
export function showAll(tree: Tree, path = ''): void {
  for (const [name, value] of Object.entries(tree)) {
    if (Array.isArray(value)) continue
    if (typeof value === 'object' && value !== null) {
      showAll(value, `${path}${name}.`)
      continue
    }
    let cell = cells.get(path + name)
    if (cell === undefined) {
      cell = make('dd', { 'data-path': path + name })
      cells.set(path + name, cell)
      byId('figures').append(make('div', {}, make('dt', {}, path + name), cell))
    }
    tell(cell, value === null ? '–' : String(value))
  }
}
