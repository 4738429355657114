// The built files are part of the repository, so that nobody needs npm to use them: they must be those of the sources.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runInNewContext } from 'node:vm'

const root = fileURLToPath(new URL('..', import.meta.url))
const files = (folder) => readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(folder.length + 1)).sort()

test('dist/ is what the sources build', (t) => {
  const fresh = mkdtempSync(join(tmpdir(), 'sse-js-dist-'))
  t.after(() => rmSync(fresh, { recursive: true, force: true }))
  execFileSync(process.execPath, [join(root, 'build.mjs'), fresh])
  const committed = join(root, 'dist')

  assert.deepEqual(files(committed), files(fresh))
  for (const file of files(fresh)) {
    const same = readFileSync(join(committed, file), 'utf8') === readFileSync(join(fresh, file), 'utf8')
    assert.ok(same, `dist/${file} is not current: npm run build`)
  }
})

test('the types can be used as they are', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sse-js-types-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const use = `
    import { SSEManager, type SSEMessage } from '${root}dist/sse-manager.js'
    const live = new SSEManager({ url: '/stream.php', session: 'a', headers: async () => ({ Authorization: 'b' }) })
    const stop: () => void = live.subscribe<{ text: string }>('chat.*', ({ topic, data }) => [topic.length, data.text.length])
    live.on('gap', ({ requested, oldest }) => [requested.length, oldest?.length])
    live.on('closed', ({ failure }) => failure?.status?.toFixed())
    for await (const event of live.subscribe<number>('n')) { const one: SSEMessage<number> = event; one.data.toFixed(); break }
    const known = new SSEManager<{ 'chat.*': { text: string }; count: number }>({ url: '/', method: 'POST', debug: true })
    known.subscribe('count', ({ data }) => data.toFixed(), { once: true, type: ['a'], signal: AbortSignal.timeout(1) })
    known.subscribe('chat.*', ({ data }) => data.text.length)
    known.subscribe('other', ({ data }) => { const unknown: unknown = data; return unknown })
    for await (const { data } of known.subscribe('count')) data.toFixed()
    // @ts-expect-error that topic has numbers
    known.subscribe('count', ({ data }) => data.length)
    known.once('closed', ({ failure }) => failure?.message)
    { using subscription = known.subscribe('count'); subscription.failure?.reason }
    // @ts-expect-error there is no such event
    live.on('opened', stop)
    // @ts-expect-error there is no such option
    new SSEManager({ url: '/', sesion: 'a' })
  `
  writeFileSync(join(folder, 'use.ts'), use)
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const options = ['--ignoreConfig', '--noEmit', '--strict', '--exactOptionalPropertyTypes', '--target', 'es2022', '--module', 'esnext', '--moduleResolution', 'bundler']
  try {
    execFileSync(process.execPath, [tsc, ...options, '--types', '', join(folder, 'use.ts')])
  } catch (error) {
    assert.fail(String(error.stdout))
  }
})

test('the plain script has one global, the class', () => {
  const globals = { URL, TextDecoder, setTimeout, clearTimeout, fetch, ReadableStream }
  const before = Object.keys(globals)
  runInNewContext(readFileSync(join(root, 'dist/SSEManager.js'), 'utf8'), globals)

  assert.deepEqual(Object.keys(globals).filter((name) => !before.includes(name)), ['SSEManager'])
  assert.equal(new globals.SSEManager({ url: 'http://127.0.0.1/' }).state, 'idle')
})
