// What is built is committed, so that the demo needs neither npm nor a network; this says whether it is current.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { root } from './support/demo.mjs'

const web = `${root}php/demo/web`

test('the types are right', () => {
  execFileSync(`${web}/node_modules/.bin/tsc`, ['--noEmit', '-p', web])
})

test('the built scripts and the style sheet are those of the sources', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sse-assets-'))
  t.after(() => rmSync(folder, { recursive: true }))
  execFileSync(process.execPath, [`${web}/build.mjs`, folder])
  const built = readdirSync(folder)
  assert.deepEqual(built.sort(), ['app.css', 'app.js', 'dashboard.html', 'inter-license.txt', 'inter.woff2', 'theme.js', 'uplot-license.txt'])
  for (const name of built) {
    const path = name === 'dashboard.html' ? 'php/src/Endpoint/Dashboard/page.html' : `php/demo/public/assets/${name}`
    const current = readFileSync(join(folder, name)).equals(readFileSync(root + path))
    assert.ok(current, `${path} is old: (cd php/demo/web && npm ci && npm run build)`)
  }
})
