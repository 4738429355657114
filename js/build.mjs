// Builds dist/: the ES module, the plain script and the types. `node build.mjs DIRECTORY` builds elsewhere.
import { execFileSync } from 'node:child_process'
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const here = fileURLToPath(new URL('.', import.meta.url))
const to = process.argv[2] ?? `${here}dist`
const tsc = createRequire(import.meta.url).resolve('typescript/package.json').replace(/package\.json$/, 'bin/tsc')
const banner = { js: '/*! SSEManager, the browser client of php-sse. MIT licence. Contains eventsource-parser, MIT, Espen Hovlandsdal. */' }
const common = { bundle: true, target: ['chrome94', 'firefox96', 'safari15.4'], banner, logLevel: 'warning', absWorkingDir: here, sourcemap: true }

rmSync(to, { recursive: true, force: true })
await build({ ...common, entryPoints: ['src/index.ts'], format: 'esm', outfile: `${to}/sse-manager.js` })
// Echo's connector takes SSEManager from the file beside it: a page may use both.
const beside = { name: 'beside', setup: ({ onResolve }) => onResolve({ filter: /^\.\.\/index\.js$/ }, () => ({ path: './sse-manager.js', external: true })) }
await build({ ...common, entryPoints: ['src/echo/index.ts'], format: 'esm', outfile: `${to}/sse-echo.js`, plugins: [beside] })
await build({ ...common, entryPoints: ['src/worker/index.ts'], format: 'iife', minify: true, outfile: `${to}/sse-worker.js` })
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
// `using` needs the type of Symbol.dispose, which is in no yearly library yet.
writeFileSync(`${to}/sse-manager.d.ts`, "/// <reference lib=\"esnext.disposable\" />\nexport * from './types/index.js'\n")
writeFileSync(`${to}/sse-echo.d.ts`, "export * from './types/echo/index.js'\nexport { default } from './types/echo/index.js'\n")
copyFileSync(`${here}node_modules/eventsource-parser/LICENSE`, `${to}/LICENSE-eventsource-parser.txt`)
// Relative to dist/, wherever this was built.
for (const name of ['sse-manager.js.map', 'SSEManager.js.map', 'sse-echo.js.map', 'sse-worker.js.map']) {
  const map = JSON.parse(readFileSync(`${to}/${name}`, 'utf8'))
  map.sources = map.sources.map((source) => source.replace(/^.*?(?=src\/|node_modules\/)/, '../'))
  writeFileSync(`${to}/${name}`, `${JSON.stringify(map)}\n`)
}
