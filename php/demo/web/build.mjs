// Builds the demo's scripts and style sheet into ../public/assets, and the administrators' dashboard into the library; or all of
// them into the folder that is named.
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const here = fileURLToPath(new URL('.', import.meta.url))
const elsewhere = process.argv[2] === undefined ? null : resolve(process.argv[2])
const folder = elsewhere ?? `${here}../public/assets`
mkdirSync(folder, { recursive: true })
const options = { bundle: true, minify: true, target: 'es2022', legalComments: 'inline', charset: 'utf8', logLevel: 'warning', absWorkingDir: here }
const banner = { js: '/*! Contains uPlot, MIT, Leon Sorokin: uplot-license.txt */' }
await build({ ...options, banner, entryPoints: ['src/app.ts'], format: 'esm', outfile: `${folder}/app.js` })
await build({ ...options, entryPoints: ['src/theme-first.ts'], format: 'iife', outfile: `${folder}/theme.js` })
execFileSync('node_modules/.bin/tailwindcss', ['--input', 'src/app.css', '--output', `${folder}/app.css`, '--minify'], { cwd: here, stdio: 'ignore' })
const inter = `${here}node_modules/@fontsource-variable/inter`
copyFileSync(`${inter}/files/inter-latin-wght-normal.woff2`, `${folder}/inter.woff2`)
copyFileSync(`${inter}/LICENSE`, `${folder}/inter-license.txt`)
const uplot = readFileSync(`${here}node_modules/uplot/LICENSE`, 'utf8')
writeFileSync(`${folder}/uplot-license.txt`, uplot)

// The dashboard is one file, so that the library's user has nothing to serve beside it.
const built = async (entry, format) => {
  const { outputFiles } = await build({ ...options, entryPoints: [entry], format, write: false, outdir: folder })
  return outputFiles[0].text.trim()
}
const parts = {
  style: await built('src/operator/page.css'),
  theme: await built('src/theme-first.ts', 'iife'),
  script: await built('src/operator/page.ts', 'esm'),
  licence: `The charts are uPlot's. ${uplot.trim()}`,
}
for (const [name, text] of Object.entries(parts)) {
  if (/<\/(script|style)|<!--|-->|\{(nonce|rights)\}/i.test(text)) throw new Error(`the ${name} of the dashboard has in it what ends it or is replaced`)
}
const page = readFileSync(`${here}src/operator/page.html`, 'utf8').replace(/\{(style|theme|script|licence)\}/g, (_, name) => parts[name])
writeFileSync(elsewhere === null ? `${here}../../src/Endpoint/Dashboard/page.html` : `${elsewhere}/dashboard.html`, page)
