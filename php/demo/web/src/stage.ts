/** The first page: Alice and Bob side by side, what breaks them, and the proof that nothing is lost. */

import { duration } from './clock'
import { byId, press, tell } from './dom'
import { killHub } from './kill'
import { showLoad } from './load'
import { command, type Report } from './pane'
import { CONVERSATION } from './script'
import { NAMES, Timeline, type Who } from './timeline'
import { reading } from './typist'

interface Pane {
  readonly frame: HTMLIFrameElement
  last: number
  twice: number
  waiting: number
  state: string
  ready: boolean
}

const STATES: Readonly<Record<string, { text: string; kind: 'bad' | 'good' }>> = {
  off: { text: 'has no Wi-Fi', kind: 'bad' },
  stalled: { text: 'stopped reading', kind: 'bad' },
  waiting: { text: 'lost the stream', kind: 'bad' },
  open: { text: 'is live', kind: 'good' },
}

export function stage(): void {
  const timeline = new Timeline()
  const panes: Record<Who, Pane> = { alice: pane('alice'), bob: pane('bob') }
  const both = Object.entries(panes) as [Who, Pane][]
  const said = new EventTarget()
  const tellNews = (text: string, kind: 'bad' | 'good' | 'plain') => {
    timeline.happened(text, kind)
    tell(byId('news'), text)
  }

  addEventListener('message', ({ data, origin, source }: MessageEvent<Report>) => {
    const from = both.find(([, { frame }]) => frame.contentWindow === source)
    if (origin !== location.origin || from === undefined) return
    const [who, pane] = from
    if (data.type === 'outgoing') timeline.outgoing(who, data.message)
    if (data.type === 'answered') timeline.answered(data.answer)
    if (data.type === 'message') timeline.arrived(who, data.message, data.at, data.live)
    if (data.type === 'anew') tellNews(`The server has begun anew: ${NAMES[who]}’s messages of before are gone`, 'bad')
    if (data.type === 'said') said.dispatchEvent(new Event(who))
    if (data.type === 'taken') said.dispatchEvent(new Event('taken'))
    if (data.type === 'progress') Object.assign(pane, { last: data.last, twice: data.twice, waiting: data.waiting })
    if (data.type === 'ready') pane.ready = true
    if (data.type === 'state') {
      const news = STATES[data.state]
      // Who gets the Wi-Fi back has had no stream to lose since it went.
      const isNews = news !== undefined && data.state !== pane.state && !(pane.state === 'off' && data.state === 'waiting')
      if (isNews) {
        tellNews(`${NAMES[who]} ${news.text}`, news.kind)
        pane.state = data.state
      }
    }
    showVerdict(panes)
  })

  for (const [who, { frame }] of both) {
    const button = byId(`wifi-${who}`)
    let down = false
    button.addEventListener('click', () => {
      down = !down
      command(frame, { type: 'wifi', down })
      press(button, down, down ? `Bring ${NAMES[who]}’s Wi-Fi back` : `Drop ${NAMES[who]}’s Wi-Fi`)
    })
  }
  let stalled = false
  byId('stall').addEventListener('click', () => {
    stalled = !stalled
    command(panes.bob.frame, { type: 'stall', stalled })
    press(byId('stall'), stalled, stalled ? 'Let Bob read again' : 'Stall Bob')
  })
  killHub(tellNews)
  showLoad(tellNews)
  offerPlay(panes, said, timeline)
  byId<HTMLAnchorElement>('new-room').href = `room.php?room=${Math.random().toString(36).slice(2, 10)}`
}

function pane(who: Who): Pane {
  return { frame: byId<HTMLIFrameElement>(who), last: 0, twice: 0, waiting: 0, state: '', ready: false }
}

function showVerdict({ alice, bob }: Record<Who, Pane>): void {
  const verdict = byId('verdict')
  const told = Math.max(alice.last, bob.last)
  const waiting = alice.waiting + bob.waiting
  const problems = [
    waiting === 0 ? '' : `${waiting} to be sent`,
    alice.last === told ? '' : `${told - alice.last} kept for Alice`,
    bob.last === told ? '' : `${told - bob.last} kept for Bob`,
  ].filter((text) => text !== '')
  const twice = alice.twice + bob.twice
  verdict.dataset.kind = problems.length === 0 ? 'good' : 'waiting'
  if (told === 0 && problems.length === 0) tell(verdict, 'No messages yet')
  else if (problems.length > 0) tell(verdict, `${told} messages; ${problems.join(', ')}`)
  else tell(verdict, `Alice and Bob have messages 1 to ${told}: none lost, ${twice === 0 ? 'none twice' : `${twice} twice`}`)
}

/** Plays the conversation, until it is over or the button is pressed again. */
function offerPlay(panes: Record<Who, Pane>, said: EventTarget, timeline: Timeline): void {
  const button = byId('play')
  let playing: AbortController | null = null
  const stop = () => {
    playing?.abort()
    for (const { frame } of Object.values(panes)) command(frame, { type: 'hush' })
  }
  // Somebody writes in person.
  said.addEventListener('taken', stop)
  const play = async (signal: AbortSignal) => {
    for (const { who, text } of CONVERSATION) {
      const done = new Promise((resolve) => said.addEventListener(who, resolve, { once: true }))
      const took = timeline.newest === null ? 'no time' : duration(timeline.newest)
      const line = text.replace('{ms}', took)
      command(panes[who].frame, { type: 'say', text: line })
      await done
      await reading(line)
      if (signal.aborted) return
    }
  }
  button.addEventListener('click', () => {
    if (playing !== null) {
      stop()
      return
    }
    const controller = new AbortController()
    playing = controller
    press(button, true, 'Stop the conversation')
    void play(controller.signal).finally(() => {
      playing = null
      press(button, false, 'Play a conversation')
    })
  })
}
