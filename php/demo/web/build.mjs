// Builds the scripts and the style sheet into ../public/assets, or the folder that is named.
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const here = fileURLToPath(new URL('.', import.meta.url))
const folder = resolve(process.argv[2] ?? `${here}../public/assets`)
mkdirSync(folder, { recursive: true })
const options = { bundle: true, minify: true, target: 'es2022', legalComments: 'inline', charset: 'utf8', logLevel: 'warning', absWorkingDir: here }
await build({ ...options, entryPoints: ['src/app.ts'], format: 'esm', outfile: `${folder}/app.js` })
await build({ ...options, entryPoints: ['src/theme-first.ts'], format: 'iife', outfile: `${folder}/theme.js` })
execFileSync('node_modules/.bin/tailwindcss', ['--input', 'src/app.css', '--output', `${folder}/app.css`, '--minify'], { cwd: here, stdio: 'ignore' })
const inter = `${here}node_modules/@fontsource-variable/inter`
copyFileSync(`${inter}/files/inter-latin-wght-normal.woff2`, `${folder}/inter.woff2`)
copyFileSync(`${inter}/LICENSE`, `${folder}/inter-license.txt`)
