// The package as npm would publish it.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

test('the tarball can be used by its name, and has the licences and the maps', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sse-js-package-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  // Not the script that builds: dist.test.mjs looks whether the built files are current.
  const packed = execFileSync('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  const [{ name, filename }] = JSON.parse(packed)
  const installed = join(folder, 'node_modules', name)
  mkdirSync(installed, { recursive: true })
  execFileSync('tar', ['-xzf', join(folder, filename), '-C', installed, '--strip-components=1'])
  const told = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'))

  assert.equal(told.private, undefined)
  assert.match(readFileSync(join(installed, 'LICENSE'), 'utf8'), /MIT/)
  assert.match(readFileSync(join(installed, 'dist/LICENSE-eventsource-parser.txt'), 'utf8'), /Permission is hereby granted/)
  assert.equal(readFileSync(join(installed, 'LICENSE'), 'utf8'), readFileSync(join(root, '../LICENSE'), 'utf8'))
  writeFileSync(join(folder, 'use.mjs'), `
    import { SSEManager } from '${name}'
    import { createRequire } from 'node:module'
    const { resolve } = createRequire(import.meta.url)
    console.log(JSON.stringify([new SSEManager({ url: 'http://127.0.0.1/' }).state, resolve('${name}/global'), resolve('${name}/package.json'), resolve('${name}/echo'), resolve('${name}/worker')]))
  `)
  const [state, ...files] = JSON.parse(execFileSync(process.execPath, [join(folder, 'use.mjs')], { encoding: 'utf8' }))
  assert.equal(state, 'idle')
  assert.deepEqual(files.map((file) => existsSync(file)), [true, true, true, true])
  for (const file of ['sse-manager.js', 'SSEManager.js']) {
    const script = readFileSync(join(installed, 'dist', file), 'utf8')
    assert.match(script, new RegExp(`sourceMappingURL=${file}\\.map\\n?$`))
    const { sources, sourcesContent } = JSON.parse(readFileSync(join(installed, 'dist', `${file}.map`), 'utf8'))
    const at = sources.indexOf('../src/manager.ts')
    assert.equal(sourcesContent[at], readFileSync(join(root, 'src/manager.ts'), 'utf8'))
    assert.deepEqual(sources.filter((source) => !/^\.\.\/(src|node_modules)\//.test(source)), [])
  }
})
