/** The conversation that is played. `{ms}` stands for what the message before took. */

export interface Line {
  readonly who: 'alice' | 'bob'
  readonly text: string
}

export const CONVERSATION: readonly Line[] = [
  { who: 'alice', text: 'Hi Bob! Can you see me typing?' },
  { who: 'bob', text: 'I can. And your message took {ms} from your button to me.' },
  { who: 'alice', text: 'So some PHP process is waiting for us all the time?' },
  { who: 'bob', text: 'None is. PHP opened my stream, gave it to the hub, and went home.' },
  { who: 'alice', text: 'This server has one PHP process. And we are two…' },
  { who: 'bob', text: 'Two, or two thousand. The hub holds them; PHP only answers questions.' },
  { who: 'alice', text: 'And if I lose my Wi-Fi?' },
  { who: 'bob', text: 'Then you ask for what came after your last event, and get it. Try the buttons!' },
  { who: 'alice', text: 'Even “Kill the hub”?' },
  { who: 'bob', text: 'Even that. The history is in a file, and the next request starts a new hub.' },
]
