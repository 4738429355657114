/** One window of the live table. */

import { duration, now } from './clock'
import { byId, make, tell } from './dom'
import { Live } from './live'
import { Network } from './network'
import { showState, stateOf } from './state'

interface Entry {
  readonly id: number
  readonly item: string
  readonly shelf: string
  readonly quantity: number
}

type Column = 'item' | 'shelf' | 'quantity'
const COLUMNS: readonly { name: Column; label: string; type: string }[] = [
  { name: 'item', label: 'Item', type: 'text' },
  { name: 'shelf', label: 'Shelf', type: 'text' },
  { name: 'quantity', label: 'Quantity', type: 'number' },
]
const API = 'api.php/records/stock'

/** The rows that are shown, and what the server has in each. */
const rows = new Map<number, { row: HTMLElement; entry: Entry }>()
/** When this window asked for the change that is now awaited. */
let asked: number | null = null

export function stock(): void {
  new Live({
    url: 'stock-stream.php',
    topics: ['records.stock.*'],
    network: new Network(),
    state: (state) => showState(byId('state'), stateOf(state, null)),
    event: ({ type, data }) => {
      if (type === 'records') show(data as Entry[])
    },
  })
  byId('add').addEventListener('click', () => void ask('POST', API, { item: 'New item' }))
}

function show(entries: readonly Entry[]): void {
  const first = rows.size === 0
  const here = new Set(entries.map(({ id }) => id))
  for (const [id, { row }] of rows) {
    if (here.has(id)) continue
    row.remove()
    rows.delete(id)
  }
  for (const entry of entries) {
    const known = rows.get(entry.id)
    if (known === undefined) {
      const row = makeRow(entry)
      rows.set(entry.id, { row, entry })
      byId('rows').append(row)
      if (!first) flash(row)
    } else update(known, entry)
  }
  if (asked !== null) tell(byId('note'), `Saved; the stream brought the change back after ${duration(now() - asked)}.`)
  else if (!first) tell(byId('note'), 'Changed in another window.')
  asked = null
}

function update(known: { row: HTMLElement; entry: Entry }, entry: Entry): void {
  for (const { name } of COLUMNS) {
    if (known.entry[name] === entry[name]) continue
    const field = known.row.querySelector<HTMLInputElement>(`[name="${name}"]`)
    if (field === null) continue
    // What somebody is typing here is not overwritten: it is the newer one as soon as it is saved.
    if (field !== document.activeElement || field.value === String(known.entry[name])) field.value = String(entry[name])
    flash(field)
  }
  known.entry = entry
  label(known.row, entry)
}

function makeRow(entry: Entry): HTMLElement {
  const row = make('tr')
  for (const { name, type } of COLUMNS) {
    const field = make('input', { class: 'cell', name, type, ...(type === 'number' ? { min: '0', max: '1000000' } : { maxlength: '60' }), required: '' })
    field.value = String(entry[name])
    field.addEventListener('change', () => {
      if (!field.reportValidity()) return
      void ask('PUT', `${API}/${entry.id}`, { [name]: type === 'number' ? Number(field.value) : field.value.trim() })
    })
    row.append(make('td', {}, field))
  }
  const remove = make('button', { type: 'button', class: 'btn btn-ghost btn-xs' }, '×')
  remove.addEventListener('click', () => void ask('DELETE', `${API}/${entry.id}`))
  row.append(make('td', {}, remove))
  label(row, entry)
  return row
}

function label(row: HTMLElement, entry: Entry): void {
  for (const { name, label } of COLUMNS) row.querySelector(`[name="${name}"]`)?.setAttribute('aria-label', `${label} of ${entry.item}`)
  row.querySelector('button')?.setAttribute('aria-label', `Remove ${entry.item}`)
}

function flash(element: HTMLElement): void {
  element.classList.remove('flash')
  // Read, so that the browser begins anew.
  void element.offsetWidth
  element.classList.add('flash')
}

async function ask(method: string, target: string, record?: Partial<Entry>): Promise<void> {
  asked = now()
  const body = record === undefined ? {} : { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(record) }
  try {
    const response = await fetch(target, { method, ...body })
    if (response.ok) return
    asked = null
    tell(byId('note'), `Not saved: ${((await response.json()) as { message: string }).message}`)
  } catch {
    asked = null
    tell(byId('note'), 'Not saved: the server can’t be reached.')
  }
}
