// Builds the scripts and the style sheet into ../public/assets, or the folder that is named.
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

process.chdir(fileURLToPath(new URL('.', import.meta.url)))
const folder = process.argv[2] ?? '../public/assets'
mkdirSync(folder, { recursive: true })
const options = { bundle: true, minify: true, target: 'es2022', legalComments: 'inline', charset: 'utf8', logLevel: 'warning' }
await build({ ...options, entryPoints: ['src/app.ts'], format: 'esm', outfile: `${folder}/app.js` })
await build({ ...options, entryPoints: ['src/theme-first.ts'], format: 'iife', outfile: `${folder}/theme.js` })
execFileSync('node_modules/.bin/tailwindcss', ['--input', 'src/app.css', '--output', `${folder}/app.css`, '--minify'], { stdio: ['ignore', 'ignore', 'inherit'] })
copyFileSync('node_modules/@fontsource-variable/inter/files/inter-latin-wght-normal.woff2', `${folder}/inter.woff2`)
copyFileSync('node_modules/@fontsource-variable/inter/LICENSE', `${folder}/inter-license.txt`)
