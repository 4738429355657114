<!doctype html>
<meta charset="utf-8">
<title>A finished job</title>
<script type="module">
// Watches a job as 250 pages with an EventSource would, and as one with SSEManager; says when all are open, and when all are over.
import { SSEManager } from '/dist/sse-manager.js'
const report = (what) => fetch(new URL(location).searchParams.get('report'), { method: 'POST', body: JSON.stringify(what) })
const url = '/test/app/stream.php?topics=finished.job'
const sources = Array.from({ length: 250 }, () => new EventSource(url))
const seen = sources.map(() => [])
const manager = new SSEManager({ url: '/test/app/stream.php' })
const got = []
const look = () => {
  if (sources.every(({ readyState }) => readyState === 2) && manager.state === 'closed') report({ over: true, seen, got })
}
sources.forEach((source, at) => {
  source.onmessage = ({ data }) => seen[at].push(data)
  source.onerror = look
})
manager.on('closed', look)
const subscription = manager.subscribe('finished.job', ({ data }) => got.push(data))
const opened = sources.map((source) => new Promise((resolve) => (source.onopen = resolve)))
await Promise.all([...opened, subscription.ready])
report({ open: true })
</script>
