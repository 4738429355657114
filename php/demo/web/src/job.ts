/** The page of a job: how far it is, until it has ended for good. */

import { SSEManager } from '../../../../js/dist/sse-manager.js'
import { byId, tell } from './dom'
import { showState } from './state'

/** What the job tells. */
interface Progress {
  readonly done: number
  readonly of: number
  readonly began?: string
  readonly ended?: string
}

export function job(): void {
  let manager: SSEManager | null = null
  const watch = (id: string) => {
    manager?.close()
    manager = new SSEManager({ url: `job-stream.php?job=${id}`, retry: 1000, maxRetry: 5000 })
    const current = manager
    byId<HTMLAnchorElement>('again').href = `job.php?job=${id}`
    byId('again').hidden = false
    tell(byId('note'), '')
    tell(byId('rows'), 'Nothing done yet')
    byId<HTMLProgressElement>('bar').value = 0
    showState(byId('state'), { kind: 'connecting', text: 'Connecting' })
    current.on('open', () => showState(byId('state'), { kind: 'open', text: 'Live' }))
    current.on('reconnecting', () => showState(byId('state'), { kind: 'waiting', text: 'Reconnecting' }))
    current.on('closed', ({ failure }) => {
      if (failure !== null) showState(byId('state'), { kind: 'off', text: failure.status === 204 ? 'Ended for good' : failure.message })
    })
    const topic = `job.${id}`
    const progress = current.subscribe<Progress>(topic, ({ data }) => show(data))
    void progress.finished.then(() => tell(byId('note'), 'That was the last event: the server has ended the stream, and the page does not come back.'))
  }
  document.getElementById('start')?.addEventListener('click', async () => {
    const response = await fetch('job-start.php', { method: 'POST', headers: { 'X-Demo': 'job' } }).catch(() => null)
    if (!response?.ok) return tell(byId('note'), 'The job could not be started.')
    const { job } = (await response.json()) as { job: string }
    history.replaceState(null, '', `job.php?job=${job}`)
    watch(job)
  })
  const id = new URLSearchParams(location.search).get('job')
  if (id !== null && /^[0-9a-f]{16}$/.test(id)) watch(id)
}

function show({ done, of, began, ended }: Progress): void {
  byId<HTMLProgressElement>('bar').value = done / of
  const time = began === undefined || ended === undefined ? '' : `, from ${began} to ${ended}`
  tell(byId('rows'), `${done} of ${of} rows${time}`)
}
