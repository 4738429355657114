/** What the streams cost PHP, and the button that opens many more. */

import { duration, now, wait } from './clock'
import { byId, press, tell } from './dom'

/** What workers.php answers. */
interface Load {
  readonly workers: number
  /** Without the one that answers; null: PHP's server does not tell. */
  readonly busy: number | null
  readonly streams: number | null
  readonly crowd: boolean
}

type Tell = (text: string, kind: 'bad' | 'good' | 'plain') => void

const EVERY = 1000
/** What has not answered by then waits for a worker. */
const LATE = 1000

export function showLoad(tellNews: Tell): void {
  const button = document.getElementById('crowd')
  const label = button?.textContent ?? ''
  let last = null as Load | null
  const look = async () => {
    const begun = now()
    const late = setTimeout(() => {
      tell(byId('took'), 'no answer yet')
      if (last !== null) tell(byId('busy'), `${last.workers} of ${last.workers}`)
    }, LATE)
    const load = await ask()
    clearTimeout(late)
    tell(byId('took'), load === null ? 'no answer' : duration(now() - begun))
    tell(byId('streams'), load?.streams == null ? '–' : String(load.streams))
    tell(byId('busy'), load?.busy == null ? '–' : `${load.busy} of ${load.workers}`)
    if (button !== null && load !== null) press(button, load.crowd, load.crowd ? 'Close them' : label)
    if (load !== null && last?.crowd && !load.crowd) tellNews('The other clients have left', 'plain')
    last = load ?? last
  }
  button?.addEventListener('click', async () => {
    const isOpen = button.getAttribute('aria-pressed') === 'true'
    const news = await change(isOpen ? '0' : '60')
    tellNews(news ?? 'The streams could not be opened', news === null ? 'bad' : 'good')
    await look()
  })
  void (async () => {
    for (;;) {
      if (!document.hidden) await look()
      await wait(last?.crowd ? EVERY / 4 : EVERY)
    }
  })()
}

async function ask(): Promise<Load | null> {
  try {
    const response = await fetch('workers.php')
    return response.ok ? ((await response.json()) as Load) : null
  } catch {
    return null
  }
}

/** What to say about it; null: it did not work. */
async function change(seconds: string): Promise<string | null> {
  const room = new URLSearchParams(location.search).get('room') ?? 'general'
  const body = new URLSearchParams({ room, seconds })
  try {
    const response = await fetch('crowd.php', { method: 'POST', headers: { 'X-Demo': 'crowd' }, body })
    const { streams, message } = (await response.json()) as { streams?: number; message?: string }
    if (streams === undefined) return message ?? null
    return streams === 0 ? 'The other clients are leaving' : `${streams} more clients open a stream, for ${seconds} s`
  } catch {
    return null
  }
}
