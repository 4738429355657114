// npm's ux-turbo, and a page for a resource as API Platform's, in Chromium: an application with symfony/mercure on nginx and FPM
// whose hub is the extension's.
import assert from 'node:assert/strict'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { build } from 'esbuild'
import { launch, open } from './support/browser.mjs'
import { root } from './support/demo.mjs'
import { FrameworkSite } from './support/site.mjs'
import { until } from './support/until.mjs'

// As docs/guide/mercure.md mounts the endpoint.
const LOCATIONS = `
  location = /.well-known/mercure { set $script /frameworks/mercure/endpoint.php; {php} fastcgi_param MERCURE_ANONYMOUS 1; }
  location /assets/ { default_type text/javascript; }`
const PATH = '/frameworks/mercure/index.php'
let browser, folder, site

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sse-mercure-'))
  await chmod(folder, 0o777)
  const settings = { 'sse.history': `sqlite:${folder}/sse.db`, 'sse.retry': 200 }
  const secret = '--env[MERCURE_JWT_SECRET]=the key of the tokens of this test, 32 bytes at least'
  site = await FrameworkSite.start(settings, '--modules=mbstring,ctype,pdo,pdo_sqlite', `--locations=${LOCATIONS}`, secret)
  await build({
    entryPoints: [`${root}tests/browser/pages/ux-turbo.js`],
    bundle: true,
    format: 'esm',
    logLevel: 'error',
    outfile: `${site.folder}/app/assets/ux-turbo.js`,
  })
  browser = await launch()
})
after(async () => {
  await browser?.close()
  await site?.stop()
  await rm(folder, { recursive: true, force: true })
})

// What is published before a page's stream is open is nothing to it: those of the test before must not be counted.
beforeEach(() => streams(0))

for (const template of ['turbo_stream_listen', 'turbo_stream_from']) {
  test(`${template}: streams change the page, private ones for who has the cookie, and none is missed while the hub is killed`, async (t) => {
    const topic = `https://example.com/rooms/${template}`
    const ann = await open(t, browser, `${site.url}${PATH}/${template}?topic=${topic}&private`)
    const bob = await open(t, browser, `${site.url}${PATH}/${template}?topic=${topic}`)
    await streams(2)
    const [forAnn, forBob] = [[], []]
    const say = async (text, isPrivate) => {
      forAnn.push(text)
      if (!isPrivate) forBob.push(text)
      await publish(topic, `<turbo-stream action="append" target="messages"><template><li>${text}</li></template></turbo-stream>`, isPrivate)
    }

    for (const [text, isPrivate] of [['one', false], ['for Ann', true], ['two', false]]) await say(text, isPrivate)
    await has(ann, '#messages li', forAnn)
    await has(bob, '#messages li', forBob)

    for (const page of [ann, bob]) await page.context().setOffline(true)
    for (let at = 0; at < 8; at++) {
      // The second time it has updates that no page has got: the next one reads them from the file.
      if (at % 4 === 0) await site.killHub()
      await say(`meanwhile ${at}`, at % 2 === 1)
    }
    await streams(0)
    for (const page of [ann, bob]) await page.context().setOffline(false)
    await streams(2)
    await say('for Ann again', true)
    await say('for all', false)
    await has(ann, '#messages li', forAnn)
    await has(bob, '#messages li', forBob)
  })

  test(`${template} of a class subscribes to all its entities, and to those of no other class`, async (t) => {
    const page = await open(t, browser, `${site.url}${PATH}/${template}?topic=${encodeURIComponent(entity('Book', '{id}'))}`)
    await streams(1)
    const retitle = (id, title) => `<turbo-stream action="update" target="book-${id}"><template>${title}</template></turbo-stream>`

    await publish(entity('Author', 1), retitle(1, 'of another class'))
    await publish(entity('Book', 2), retitle(2, 'Sanditon'))

    await has(page, 'p', ['Emma', 'Sanditon'])
  })
}

test("a page finds the hub by a resource's Link, and shows what is put", async (t) => {
  const [ann, bob] = await Promise.all([1, 2].map(() => open(t, browser, `${site.url}${PATH}/books`)))
  for (const page of [ann, bob]) await has(page, 'p', ['Emma', 'Persuasion'])
  await streams(2)

  assert.equal(await ann.evaluate(() => window.rename(1, 'Sense and Sensibility')), 200)
  for (const page of [ann, bob]) await has(page, 'p', ['Sense and Sensibility', 'Persuasion'])
  assert.equal(await bob.evaluate(() => window.rename(2, 'Mansfield Park')), 200)
  for (const page of [ann, bob]) await has(page, 'p', ['Sense and Sensibility', 'Mansfield Park'])
})

/** The topic of an entity, or of all of a class, as ux-turbo makes them. */
function entity(name, id) {
  return `https://symfony.com/ux-turbo/${encodeURIComponent(`App\\Entity\\${name}`)}/${id}`
}

async function publish(topic, data, isPrivate = false) {
  const body = new URLSearchParams({ topic, data, ...(isPrivate && { private: 'on' }) })
  const response = await fetch(`${site.url}${PATH}/publish`, { method: 'POST', body })
  assert.equal(response.status, 200, await response.text())
}

/** Waits until so many streams are open. */
async function streams(count) {
  await until(`${count} streams are open`, async () => (await site.stats()).streams.open === count)
}

/** Waits until these elements have these texts, in this order. */
async function has(page, selector, texts) {
  let last
  await until(`${selector}: ${texts.join(', ')}`, async () => {
    last = await page.locator(selector).allTextContents()
    return JSON.stringify(last) === JSON.stringify(texts)
  }).catch(() => assert.deepEqual(last, texts))
}
