// Builds dist/: the ES module, the plain script and the types. `node build.mjs DIRECTORY` builds elsewhere.
import { execFileSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const here = fileURLToPath(new URL('.', import.meta.url))
const to = process.argv[2] ?? `${here}dist`
const tsc = createRequire(import.meta.url).resolve('typescript/package.json').replace(/package\.json$/, 'bin/tsc')
const banner = { js: '/*! SSEManager, the browser client of php-sse. MIT licence. Contains eventsource-parser, MIT, Espen Hovlandsdal. */' }
const common = { bundle: true, target: ['chrome94', 'firefox96', 'safari15.4'], banner, logLevel: 'warning', absWorkingDir: here }

rmSync(to, { recursive: true, force: true })
await build({ ...common, entryPoints: ['src/index.ts'], format: 'esm', outfile: `${to}/sse-manager.js` })
await build({
  ...common,
  entryPoints: ['src/global.ts'],
  format: 'iife',
  globalName: 'SSEManager',
  footer: { js: 'SSEManager = SSEManager.default;' },
  minify: true,
  outfile: `${to}/SSEManager.js`,
})
execFileSync(process.execPath, [tsc, '-p', here, '--emitDeclarationOnly', '--outDir', `${to}/types`], { stdio: 'inherit' })
writeFileSync(`${to}/sse-manager.d.ts`, "export * from './types/index.js'\n")
