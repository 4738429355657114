/**
 * The shared worker of pages that have no Web Locks, as those without HTTPS: it elects the tab that has the connection. It has locks
 * by name, as `navigator.locks` does, for all tabs of the origin that use this script's address.
 *
 * No browser tells reliably that the other end of a port is gone. So a tab is asked from time to time, and one that does not answer
 * loses its locks; a tab that is left gives them back by itself.
 */

import type { ToTab, ToWorker } from './words.js'

/** Milliseconds between two pings: 5000, or the parameter `ping` of this script's address. */
const PING = Number(new URL(location.href).searchParams.get('ping')) || 5_000

/** How many of them a tab may leave without an answer. */
const UNANSWERED = 3

interface Tab {
  readonly port: MessagePort
  unanswered: number
}

interface LockRequest {
  readonly tab: Tab
  readonly id: number
}

/** Of each name: who has the lock, and then who waits for it, in order. A name that nobody asks for is not there. */
const queues = new Map<string, LockRequest[]>()
const tabs = new Set<Tab>()

const tell = (tab: Tab, word: ToTab) => tab.port.postMessage(word)

function request(tab: Tab, { id, name, ifAvailable, steal }: Extract<ToWorker, { do: 'request' }>): void {
  const queue = queues.get(name) ?? []
  const holder = queue[0]
  if (holder !== undefined && ifAvailable) return tell(tab, { say: 'unavailable', id })
  queues.set(name, queue)
  if (holder !== undefined && steal) {
    queue.shift()
    tell(holder.tab, { say: 'lost', id: holder.id })
  }
  if (steal) queue.unshift({ tab, id })
  else queue.push({ tab, id })
  if (queue[0]?.tab === tab && queue[0].id === id) tell(tab, { say: 'granted', id })
}

/** Ends requests; whoever waits next for what they had gets it. */
function release(isOver: (request: LockRequest) => boolean): void {
  for (const [name, queue] of queues) {
    const left = queue.filter((request) => !isOver(request))
    const next = left[0]
    if (next === undefined) queues.delete(name)
    else queues.set(name, left)
    if (next !== undefined && next !== queue[0]) tell(next.tab, { say: 'granted', id: next.id })
  }
}

function drop(tab: Tab): void {
  tabs.delete(tab)
  for (const queue of queues.values()) {
    for (const request of queue) {
      if (request.tab === tab) tell(tab, { say: 'lost', id: request.id })
    }
  }
  release((request) => request.tab === tab)
}

setInterval(() => {
  for (const tab of tabs) {
    if (tab.unanswered >= UNANSWERED) drop(tab)
    else {
      tab.unanswered++
      tell(tab, { say: 'ping' })
    }
  }
}, PING)

addEventListener('connect', (event) => {
  const port = (event as MessageEvent).ports[0]
  if (port === undefined) return
  const tab: Tab = { port, unanswered: 0 }
  tabs.add(tab)
  port.onmessage = ({ data }) => {
    const word = data as ToWorker
    tab.unanswered = 0
    // It was silent for too long, and is there again.
    tabs.add(tab)
    if (word.do === 'request') request(tab, word)
    else if (word.do === 'release') release((request) => request.tab === tab && request.id === word.id)
  }
  tell(tab, { say: 'hello', ping: PING })
})
