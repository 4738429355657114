/** A table's rows, each by a key: only what has changed is written, and who has the focus in one keeps it. */

import { tell } from '../dom'

interface Row {
  readonly row: HTMLTableRowElement
  /** What shows the text of each cell: the cell, or a button in it. */
  readonly texts: readonly HTMLElement[]
}

export class Rows {
  readonly #body: HTMLElement
  readonly #make: (key: string) => Row
  readonly #rows = new Map<string, Row>()

  constructor(body: HTMLElement, make: (key: string) => Row) {
    this.#body = body
    this.#make = make
  }

  /** Shows these, in this order. */
  show(entries: readonly (readonly [key: string, texts: readonly string[]])[]): void {
    const wanted = new Set(entries.map(([key]) => key))
    const focused = this.#body.contains(document.activeElement) ? document.activeElement : null
    for (const [key, { row }] of this.#rows) {
      if (wanted.has(key) || row.contains(focused)) continue
      row.remove()
      this.#rows.delete(key)
    }
    entries.forEach(([key, texts], place) => {
      const known = this.#rows.get(key)
      const { row, texts: cells } = known ?? this.#make(key)
      if (known === undefined) this.#rows.set(key, { row, texts: cells })
      // A row that is moved loses the focus.
      if (known === undefined || focused === null) {
        const there = this.#body.children[place] ?? null
        if (there !== row) this.#body.insertBefore(row, there)
      }
      cells.forEach((cell, nth) => tell(cell, texts[nth] ?? ''))
    })
  }
}
