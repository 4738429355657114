// The recipes of docs/guide/recipes for libraries of others, as they are written there, in Chromium.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { after, before, test } from 'node:test'
import { freePort } from '../node/free-port.mjs'
import { launch, open } from './support/browser.mjs'
import { root } from './support/demo.mjs'
import { until } from './support/until.mjs'

const modules = `${root}tests/browser/node_modules/`
// npm has no release with the events of 1.0, so DATASTAR names the file of one.
const datastar = process.env.DATASTAR
const skip = datastar ? false : 'datastar: no package has its 1.0; DATASTAR names the file of one'
let browser, folder, server, url

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sse-recipes-'))
  await writeFile(join(folder, 'counter'), '1')
  await mkdir(join(folder, 'site'))
  const port = await freePort()
  url = `http://127.0.0.1:${port}/`
  const settings = ['-d', `extension=${root}build/sse.so`, '-d', `sse.socket=${folder}/hub.sock`, '-d', 'sse.udp=']
  server = spawn('php', [...settings, '-S', `127.0.0.1:${port}`, '-t', join(folder, 'site')], { stdio: 'ignore' })
  await until('the server answers', () => fetch(url).then(() => true, () => false))
  browser = await launch()
})

after(async () => {
  await browser?.close()
  server?.kill('SIGTERM')
  await until('the folder is gone', () => rm(folder, { recursive: true, force: true }).then(() => true, () => false))
})

test('htmx 2 swaps what a callback returns', (t) => shows(t, 'htmx.md', 'htmx 2', { 'htmx.js': 'htmx.org/dist/htmx.js', 'htmx-ext-sse/sse.js': 'htmx-ext-sse/sse.js' }))
test('htmx 4 swaps events without a type', (t) => shows(t, 'htmx.md', 'htmx 4', { 'htmx.js': 'htmx4/dist/htmx.js', 'ext/hx-sse.js': 'htmx4/dist/ext/hx-sse.js' }))
test('Turbo reads its stream elements', (t) => shows(t, 'turbo.md', 'The stream', { 'turbo.js': '@hotwired/turbo/dist/turbo.es2017-esm.js' }))
test('Datastar puts elements into the page', { skip }, (t) => shows(t, 'datastar.md', 'The stream', { 'datastar.js': datastar }))
test('Datastar changes signals', { skip }, (t) => shows(t, 'datastar.md', 'Signals', { 'datastar.js': datastar }))

/** The page of a recipe shows the counter, and then the counter that another request has changed. */
async function shows(t, recipe, chapter, libraries) {
  const text = await readFile(`${root}docs/guide/recipes/${recipe}`, 'utf8')
  const [counter, bump] = blocks(text, 'php')
  const own = text.split(/^## /m).find((part) => part.startsWith(`${chapter}\n`))
  // Each in a folder of its own: what PHP or a browser keeps of one is nothing to the next.
  const name = `${recipe.replace('.md', '')}-${chapter.replace(' ', '-')}`
  const here = await site(name, {
    'counter.php': counter,
    'bump.php': bump,
    'stream.php': blocks(own, 'php')[0],
    'page.html': `<link rel="icon" href="data:,">${blocks(own, 'html')[0]}`,
  })
  for (const [file, library] of Object.entries(libraries)) {
    await mkdir(dirname(join(here, file)), { recursive: true })
    await symlink(resolve(modules, library), join(here, file))
  }
  const shown = await open(t, browser, `${url}${name}/page.html`)
  const count = async () => Number(await readFile(join(folder, 'counter'), 'utf8'))
  const shows = async () => shown.locator('p b').filter({ hasText: `${await count()}` }).waitFor()
  await shows()
  assert.equal((await fetch(`${url}${name}/bump.php`)).status, 200)
  await shows()
}

/** Writes files of the site, with the counter where this test may write, and returns their folder. */
async function site(name, files) {
  const here = join(folder, 'site', name)
  await mkdir(here)
  for (const [file, text] of Object.entries(files)) {
    await writeFile(join(here, file), text.replaceAll('/var/lib/mysite/counter', join(folder, 'counter')).replaceAll('/path/to/php-sse/', root))
  }
  return here
}

function blocks(text, language) {
  return [...text.matchAll(new RegExp('^```' + language + '\\n(.*?)^```$', 'gms'))].map((match) => match[1])
}
