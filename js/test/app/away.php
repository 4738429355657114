<!doctype html>
<meta charset="utf-8">
<title>A page that is left and come back to</title>
<script type="module">
// Reads a topic; after the first event it goes to another page, which comes back by the history after the next one.
import { SSEManager } from '/dist/sse-manager.js'
const query = new URL(location).searchParams
const report = (what) => fetch(query.get('report'), { method: 'POST', body: JSON.stringify(what) })
if (query.has('elsewhere')) {
  const source = new EventSource('/test/app/stream.php?topics=away')
  source.onopen = () => report({ left: true })
  source.onmessage = () => {
    source.close()
    history.back()
  }
} else {
  const manager = new SSEManager({ url: '/test/app/stream.php', session: 'ann' })
  const got = []
  addEventListener('pageshow', ({ persisted }) => report({ shown: true, persisted }))
  const subscription = manager.subscribe('away', async ({ data }) => {
    got.push(data)
    // A request that is under way would keep the page out of the cache.
    await report({ got })
    if (data === 1) location.href = `${location.href}&elsewhere`
  })
  await subscription.ready
  report({ ready: true })
}
</script>
