/** The page of one client in a room: on its own, or as one of the panes side by side. */

import { duration } from './clock'
import { Conversation, type Member, type Message, type Outgoing } from './conversation'
import { byId, make, press, tell } from './dom'
import type { State } from './live'
import { Network } from './network'
import { type Command, isPane, report } from './pane'
import { showState, stateOf } from './state'
import { type } from './typist'

const SHOWN = 300
/** What is under a message that has not come back by the stream. */
const HOW = {
  unsent: 'not sent yet',
  sending: 'sending…',
  sent: 'sent; not back by the stream yet',
  unanswered: 'no answer yet; it is sent again by itself',
} as const
const NAME = 'php-sse-demo name'

const query = new URLSearchParams(location.search)
const roomName = query.get('room') ?? 'general'
const network = new Network()

export function room(): void {
  // A form that nobody has taken charge of yet would lead to another page.
  byId('form').addEventListener('submit', (event) => event.preventDefault())
  if (isPane) byId('tools').remove()
  else offerTools()
  const as = query.get('as')
  if (as !== null) enter(as)
  else askName()
}

function askName(): void {
  const door = byId<HTMLDialogElement>('door')
  const field = byId<HTMLInputElement>('name')
  field.value = sessionStorage.getItem(NAME) ?? ''
  let entered = false
  byId('door-form').addEventListener('submit', (event) => {
    event.preventDefault()
    const name = field.value.trim()
    if (name === '') return
    sessionStorage.setItem(NAME, name)
    entered = true
    door.close()
    enter(name)
  })
  door.addEventListener('cancel', (event) => event.preventDefault())
  // A browser closes it all the same when Escape is pressed twice.
  door.addEventListener('close', () => {
    if (!entered) door.showModal()
  })
  door.showModal()
}

function offerTools(): void {
  const wifi = byId('wifi')
  wifi.addEventListener('click', () => network.drop(!network.down))
  for (const change of ['up', 'down']) {
    network.addEventListener(change, () => press(wifi, network.down, network.down ? 'Bring my Wi-Fi back' : 'Drop my Wi-Fi'))
  }
  const copy = byId('copy')
  copy.addEventListener('click', () => {
    const link = new URL(`room.php?room=${encodeURIComponent(roomName)}`, location.href).href
    // The clipboard is for secure pages only: those of this machine, or of https.
    const copied = navigator.clipboard?.writeText(link) ?? Promise.reject(new Error('no clipboard'))
    copied.then(
      () => tell(copy, 'Link copied'),
      () => window.prompt('The link to this room', link),
    )
  })
}

function enter(name: string): void {
  const field = byId<HTMLInputElement>('text')
  const sheet = new Sheet(name)
  let state: State = 'connecting'
  const showNow = () => {
    const shown = stateOf(state, network)
    showState(byId('state'), shown)
    report({ type: 'state', state: shown.kind })
  }
  const conversation = new Conversation(roomName, name, network, {
    message: (message, at, live) => {
      sheet.show(message, at, live)
      report({ type: 'message', message, at, live })
    },
    outgoing: (message) => {
      sheet.showOutgoing(message)
      report({ type: 'outgoing', message })
    },
    outgoingIs: (key, how) => sheet.showHow(key, how),
    anew: () => {
      sheet.clear()
      report({ type: 'anew' })
    },
    answered: (answer) => report({ type: 'answered', answer }),
    state: (changed) => {
      state = changed
      showNow()
    },
    members: (members) => sheet.showMembers(members),
    typing: (name) => tell(byId('typing'), name === null ? '' : `${name} is typing…`),
    progress: () => {
      const { last, twice, waiting } = conversation
      sheet.showCount(last, waiting)
      report({ type: 'progress', last, twice, waiting })
    },
  })
  sheet.client = conversation.client
  for (const change of ['up', 'down', 'stall']) network.addEventListener(change, showNow)
  if (isPane || query.has('as')) tell(byId('title'), name)
  if (!isPane) field.focus()

  byId('form').addEventListener('submit', () => {
    const text = field.value.trim()
    if (text === '') return
    conversation.send(text)
    field.value = ''
  })
  field.addEventListener('input', () => {
    if (field.value !== '') conversation.typed()
  })
  if (isPane) obey(field)
  showNow()
  void conversation.begin().then(() => report({ type: 'ready' }))
}

/** Does what the page says. */
function obey(field: HTMLInputElement): void {
  let hush = new AbortController()
  addEventListener('message', ({ data, origin, source }: MessageEvent<Command>) => {
    if (origin !== location.origin || source !== window.parent) return
    if (data.type === 'wifi') network.drop(data.down)
    if (data.type === 'stall') network.stall(data.stalled)
    if (data.type === 'hush') hush.abort()
    if (data.type === 'say') {
      hush = new AbortController()
      void say(field, data.text, hush)
    }
  })
}

/** Types the line and sends it, unless it is told to stop, or somebody writes in person: the field is theirs then. */
async function say(field: HTMLInputElement, text: string, hush: AbortController): Promise<void> {
  const take = (event: Event) => {
    if (!event.isTrusted || hush.signal.aborted) return
    hush.abort()
    field.value = ''
    report({ type: 'taken' })
  }
  field.addEventListener('beforeinput', take)
  const typed = await type(field, text, hush.signal)
  field.removeEventListener('beforeinput', take)
  if (typed) byId<HTMLFormElement>('form').requestSubmit()
  report({ type: 'said' })
}

/** The messages as they are shown. */
class Sheet {
  client = ''
  readonly #name: string
  readonly #outgoing = new Map<string, { item: HTMLElement; pressed: number }>()

  constructor(name: string) {
    this.#name = name
  }

  show(message: Message, at: number, live: boolean): void {
    const { key = '', from, text, seq, sent } = message
    const outgoing = this.#outgoing.get(key)
    this.#outgoing.delete(key)
    outgoing?.item.remove()
    const back = outgoing !== undefined && live ? ` · back after ${duration(at - outgoing.pressed)}` : ''
    const time = sent === undefined ? '' : new Date(sent).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })
    // Another window's Alice is Alice too, but another Carol is somebody else.
    const own = message.client === this.client || (query.has('as') && from === this.#name)
    const number = seq === undefined ? '' : `#${seq} · `
    this.#add(bubble({ own, from, text, note: `${number}${time}${back}` }))
  }

  showOutgoing({ key, text, pressed }: Outgoing): void {
    const item = bubble({ own: true, from: this.#name, text, note: network.down ? HOW.unsent : HOW.sending })
    item.classList.add('outgoing')
    this.#outgoing.set(key, { item, pressed })
    this.#add(item)
  }

  /** How far it is: others may have it before it has come back here. */
  showHow(key: string, how: 'sent' | 'unanswered'): void {
    const note = this.#outgoing.get(key)?.item.querySelector('.chat-footer')
    if (note instanceof HTMLElement) tell(note, HOW[how])
  }

  /** What is still to be sent stays. */
  clear(): void {
    const waiting = [...this.#outgoing.values()].map(({ item }) => item)
    byId('messages').replaceChildren(make('li', { class: 'chat-footer py-2 text-center' }, 'The server has begun anew; the messages of before are gone.'), ...waiting)
  }

  showMembers(members: readonly Member[]): void {
    const others = members.filter(({ client }) => client !== this.client).map(({ name }) => name).sort()
    tell(byId('present'), ['you', ...others].join(', '))
  }

  showCount(last: number, waiting: number): void {
    const unsent = waiting === 0 ? '' : ` · ${waiting} to be sent`
    tell(byId('count'), last === 0 ? `No messages yet${unsent}` : `Has messages 1 to ${last}, none missing${unsent}`)
  }

  #add(item: HTMLElement): void {
    const log = byId('log')
    const list = byId('messages')
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80
    list.append(item)
    while (list.childElementCount > SHOWN) list.firstElementChild?.remove()
    if (atEnd) log.scrollTop = log.scrollHeight
  }
}

function bubble({ own, from, text, note }: { own: boolean; from: string; text: string; note: string }): HTMLElement {
  return make(
    'li',
    { class: own ? 'chat chat-end' : 'chat chat-start' },
    make('p', { class: 'chat-header' }, from),
    make('p', { class: own ? 'chat-bubble chat-bubble-primary' : 'chat-bubble' }, text),
    make('p', { class: 'chat-footer' }, note),
  )
}
