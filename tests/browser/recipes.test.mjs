// The recipes of docs/recipes.md for libraries of others, as they are written there, in Chromium.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { launch, open } from './support/browser.mjs'
import { freePort, root } from './support/demo.mjs'
import { until } from './support/until.mjs'

const modules = `${root}tests/browser/node_modules/`
const page = await readFile(`${root}docs/recipes.md`, 'utf8')
let browser, folder, server, url

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sse-recipes-'))
  await writeFile(join(folder, 'counter'), '1')
  const [counter, bump] = blocks(page, 'php')
  await site({ 'counter.php': counter, 'bump.php': bump })
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

test('htmx 2 swaps what a callback returns', (t) => shows(t, 'htmx', 0, { 'htmx.js': 'htmx.org/dist/htmx.js', 'htmx-ext-sse/sse.js': 'htmx-ext-sse/sse.js' }))
test('htmx 4 swaps events without a type', (t) =>
  shows(t, 'htmx', 1, { 'htmx.js': 'htmx4/dist/htmx.js', 'ext/hx-sse.js': 'htmx4/dist/ext/hx-sse.js' }, (php) => php.replace(", ['event' => 'counter']", '')))
test('Turbo reads its stream elements', (t) => shows(t, 'Turbo', 0, { 'turbo.js': '@hotwired/turbo/dist/turbo.es2017-esm.js' }))

/** The page of a recipe shows the counter, and then the counter that another request has changed. */
async function shows(t, recipe, number, libraries, change = (php) => php) {
  const text = chapter(recipe)
  await site({ 'stream.php': change(blocks(text, 'php')[0]), 'page.html': `<link rel="icon" href="data:,">${blocks(text, 'html')[number]}` })
  for (const [name, file] of Object.entries(libraries)) {
    const target = join(folder, 'site', name)
    await mkdir(dirname(target), { recursive: true })
    await rm(target, { force: true })
    await symlink(modules + file, target)
  }
  const counter = async () => Number(await readFile(join(folder, 'counter'), 'utf8'))
  const shown = await open(t, browser, `${url}page.html`)
  await shown.locator('p b').filter({ hasText: `${await counter()}` }).waitFor()
  assert.equal((await fetch(`${url}bump.php`)).status, 200)
  await shown.locator('p b').filter({ hasText: `${await counter()}` }).waitFor()
}

/** Writes files of the site, with the counter where this test may write. */
async function site(files) {
  await mkdir(join(folder, 'site'), { recursive: true })
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(folder, 'site', name), text.replaceAll('/var/lib/mysite/counter', join(folder, 'counter')))
  }
}

function chapter(name) {
  return page.split(/^## /m).find((part) => part.startsWith(`${name}\n`))
}

function blocks(text, language) {
  return [...text.matchAll(new RegExp('^```' + language + '\\n(.*?)^```$', 'gms'))].map((match) => match[1])
}
