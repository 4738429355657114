// npm's Echo in Chromium, three users in a room of a real Laravel application on nginx and FPM with two workers.
import assert from 'node:assert/strict'
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { build } from 'esbuild'
import { launch, open } from './support/browser.mjs'
import { root } from './support/demo.mjs'
import { Laravel } from './support/laravel.mjs'
import { until } from './support/until.mjs'

const pages = `${root}tests/browser/pages/`
const scripts = {
  'hooks-react.js': `${pages}hooks-react.js`,
  'hooks-vue.js': `${pages}hooks-vue.js`,
  'echo.js': `${root}tests/browser/node_modules/laravel-echo/dist/echo.js`,
  'sse-echo.js': `${root}js/dist/sse-echo.js`,
  'sse-manager.js': `${root}js/dist/sse-manager.js`,
}
const bundles = {}
let browser, folder, laravel

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sse-echo-'))
  await chmod(folder, 0o777)
  laravel = await Laravel.start({ 'sse.history': `sqlite:${folder}/sse.db`, 'sse.presence_grace': 3000 })
  browser = await launch()
})
after(async () => {
  await browser?.close()
  await laravel?.stop()
  await rm(folder, { recursive: true, force: true })
})

test('three users chat, see who is there and who types, while the hub is killed and FPM starts anew', async (t) => {
  const [ann, bob, cid] = await Promise.all([1, 2, 3].map((id) => enter(t, id, 'room/chat')))
  for (const page of [ann, bob, cid]) {
    await has(page, 'members', ['Ann', 'Bob', 'Cid'])
    await shows(page, 'refused', '403 forbidden')
    await shows(page, 'status', 'connected')
  }

  await bob.evaluate(() => window.whisper('Bob'))
  await shows(ann, 'typing', 'Bob types')
  await shows(cid, 'typing', 'Bob types')
  assert.equal(await bob.locator('#typing').textContent(), '')
  await laravel.post('/notify')
  await shows(ann, 'invoice', 'Invoice over 42')

  const said = []
  const say = async (page, text) => {
    said.push(text)
    assert.ok(await page.evaluate((text) => window.say(text), text))
  }
  for (const [speaker, name] of [[ann, 'ann'], [bob, 'bob'], [cid, 'cid'], [ann, 'ann']]) {
    await say(speaker, `${name} ${said.length}`)
    // A page shows what it says itself at once, and the rest when it comes.
    for (const page of [ann, bob, cid]) await has(page, 'messages', said)
  }

  await laravel.breakDown()
  for (let at = 0; at < 20; at++) {
    said.push(`meanwhile ${at}`)
    await laravel.say('presence-room.chat', said.at(-1))
  }
  for (const page of [ann, bob, cid]) {
    await has(page, 'messages', said)
    await has(page, 'members', ['Ann', 'Bob', 'Cid'])
    await shows(page, 'status', 'connected')
  }
  await cid.goto('about:blank')
  for (const page of [ann, bob]) await has(page, 'members', ['Ann', 'Bob'])
  await until('two streams are open', async () => (await laravel.stats()).streams.open === 2)
})

test("a user's tabs share one stream, each shows everything, and what it has sent itself once", async (t) => {
  const first = await enter(t, 1, 'room/tabs')
  await has(first, 'members', ['Ann'])
  const second = await first.context().newPage()
  await assets(second)
  await second.goto(first.url())
  for (const page of [first, second]) {
    await has(page, 'members', ['Ann'])
    await shows(page, 'refused', '403 forbidden')
  }

  await laravel.say('presence-room.tabs', 'to both')

  for (const page of [first, second]) await has(page, 'messages', ['to both'])
  await until('one stream is open', async () => (await laravel.stats()).streams.open === 1)
  assert.ok(await first.evaluate(() => window.say('of the first')))
  // A page shows what it says itself at once, and the rest when it comes.
  for (const page of [first, second]) await has(page, 'messages', ['to both', 'of the first'])
  assert.ok(await second.evaluate(() => window.say('of the second')))
  for (const page of [first, second]) await has(page, 'messages', ['to both', 'of the first', 'of the second'])
  await first.close()
  await laravel.say('presence-room.tabs', 'to the one that is left')
  await has(second, 'messages', ['to both', 'of the first', 'of the second', 'to the one that is left'])
})

for (const framework of ['react', 'vue']) {
  test(`the hooks of @laravel/echo-${framework} get each event once, and leave with their component`, async (t) => {
    const [ann, bob] = await Promise.all([1, 2].map((id) => enter(t, id, `hooks/${framework}`)))
    for (const page of [ann, bob]) {
      await has(page, 'members', ['Ann', 'Bob'])
      await shows(page, 'status', 'connected')
    }
    const said = Array.from({ length: 20 }, (_, at) => `message ${at}`)

    for (const text of said) await laravel.say('private-App.User.1', text)
    await has(ann, 'messages', said)
    await laravel.post('/notify')
    await shows(ann, 'told', 'Invoice over 42')
    await shows(ann, 'refreshed', '1')
    await laravel.say('news', 'to all')
    for (const page of [ann, bob]) await shows(page, 'told', 'to all')
    assert.equal(await bob.locator('#messages li').count(), 0)

    await laravel.breakDown()
    said.push('meanwhile')
    await laravel.say('private-App.User.1', 'meanwhile')
    await has(ann, 'messages', said)
    await has(ann, 'members', ['Ann', 'Bob'])
    await ann.evaluate(() => window.unmount())
    await has(bob, 'members', ['Bob'])
    await until('one stream is left', async () => (await laravel.stats()).streams.open === 1)
  })
}

/** A browser of this user, at a path of the application. */
async function enter(t, id, path) {
  const page = await open(t, browser, `${laravel.url}${laravel.path}/login/${id}`)
  await assets(page)
  await page.goto(`${laravel.url}${laravel.path}/${path}`)
  return page
}

/** As Vite makes one of an application's; the hooks import what they need for Pusher, which these pages do not use. */
function bundle(file) {
  bundles[file] ??= build({
    entryPoints: [file],
    alias: { 'php-sse-client/echo': scripts['sse-echo.js'], 'pusher-js': `${pages}no-pusher.js` },
    bundle: true,
    define: { 'import.meta.env': '{}', 'process.env.NODE_ENV': '"development"' },
    format: 'esm',
    logLevel: 'error',
    write: false,
  }).then(({ outputFiles }) => outputFiles[0].text)
  return bundles[file]
}

/** The application has no folder of files. */
async function assets(page) {
  await page.route('**/assets/*', async (route) => {
    const file = scripts[new URL(route.request().url()).pathname.split('/').at(-1)]
    const body = file.startsWith(pages) ? await bundle(file) : await readFile(file, 'utf8')
    await route.fulfill({ body, contentType: 'text/javascript' })
  })
}

async function shows(page, id, text) {
  await page.locator(`#${id}`).filter({ hasText: text }).waitFor()
}

/** Waits until a list has exactly these items, in this order. */
async function has(page, id, texts) {
  let last
  await until(`${id} are ${texts.join(', ')}`, async () => {
    last = await page.locator(`#${id} li`).allTextContents()
    return JSON.stringify(last) === JSON.stringify(texts)
  }).catch(() => assert.deepEqual(last, texts))
}
