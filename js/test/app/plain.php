<!doctype html>
<meta charset="utf-8">
<title>Two pages without HTTPS</title>
<script type="module">
// A page and a frame, each with an SSEManager of the same session; `worker` is the shared worker's address.
import { SSEManager } from '/dist/sse-manager.js'
const query = new URL(location).searchParams
const name = query.get('name') ?? 'page'
const report = (what) => fetch(query.get('report'), { method: 'POST', body: JSON.stringify({ name, ...what }) })
const quick = { retry: 100, firstBytesTimeout: 1000, openTimeout: 1000, shortLifetime: 1000, fallbackTime: 3000 }
// A lasting stream is given its usual time where nothing holds it back.
const times = query.has('held') ? quick : { retry: 100 }
const manager = new SSEManager({ url: '/test/app/stream.php', session: 'ann', workerUrl: query.get('worker') ?? undefined, ...times })
const got = []
const say = () => report({ got, leads: manager.leads, way: manager.way })
for (const name of ['leader', 'degraded', 'restored']) manager.on(name, say)
await manager.subscribe('plain', ({ data }) => { got.push(data); say() }).ready
report({ ready: true, isSecure: isSecureContext, hasLocks: 'locks' in navigator })
Object.assign(window, { manager, got })
if (name === 'page' && query.has('frame')) {
  document.body.append(Object.assign(document.createElement('iframe'), { src: `${location.href}&name=frame` }))
}
</script>
<body></body>
