// The built files are part of the repository, so that nobody needs npm to use them: they must be those of the sources.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runInNewContext } from 'node:vm'

const root = fileURLToPath(new URL('..', import.meta.url))
const files = (folder) => readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  .map((entry) => join(entry.path, entry.name).slice(folder.length + 1)).sort()

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

test('the plain script has one global, the class', () => {
  const globals = { URL, TextDecoder, setTimeout, clearTimeout, fetch, ReadableStream }
  const before = Object.keys(globals)
  runInNewContext(readFileSync(join(root, 'dist/SSEManager.js'), 'utf8'), globals)

  assert.deepEqual(Object.keys(globals).filter((name) => !before.includes(name)), ['SSEManager'])
  assert.equal(new globals.SSEManager({ url: 'http://127.0.0.1/' }).state, 'idle')
})
