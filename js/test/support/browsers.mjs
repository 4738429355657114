// The browsers that a test can ask something of their pages, and what SSEManager's tests ask.
import assert from 'node:assert/strict'
import { after, before, describe } from 'node:test'
import { chromium } from 'playwright-core'
import { numbers } from './numbers.mjs'
import { Server } from './server.mjs'
import { until } from './until.mjs'
import { lacksWebKit, WebKit } from './webkit.mjs'

/** As patient as until(): a busy machine takes long to load a page. */
const PATIENCE = 60_000

/** A browser's `user(t)` is one of its users, whose pages share cookies, locks and channels with those of nobody else. */
class Chromium {
  static async launch(options = {}) {
    return new Chromium(await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', ...options }))
  }

  constructor(browser) {
    this.browser = browser
  }

  async user(t) {
    const context = await this.browser.newContext()
    context.setDefaultTimeout(PATIENCE)
    context.on('weberror', (error) => assert.fail(error.error()))
    t.after(() => context.close())
    return context
  }

  close() {
    return this.browser.close()
  }
}

/** Of WebKit each user has a process. */
class WebKits {
  async user(t) {
    const webkit = await WebKit.start()
    t.after(() => webkit.close())
    return webkit
  }

  close() {}
}

const CHROMIUM = { name: 'Chromium', skip: false, launch: (options) => Chromium.launch(options) }
const WEBKIT = { name: 'WebKit', skip: lacksWebKit, launch: () => new WebKits() }

/** Tests of a browser, with a server of their own: `run` gets what has `server`, `user(t)` and `tab(user, topics, config, query, url)`. */
function within({ name, skip, launch }, what, options, run) {
  describe(`${what}, in ${name}`, { ...options, skip }, () => {
    let server
    let browser
    before(async () => {
      server = await Server.start()
      browser = await launch()
    })
    after(async () => {
      await browser?.close()
      await server?.stop()
    })
    run({
      get server() { return server },
      user: (t) => browser.user(t),
      tab: (user, topics, config, query, url = server.url) => tab(user, url, topics, config, query),
    })
  })
}

export const inChromium = (what, run) => within(CHROMIUM, what, {}, run)
export const inWebKit = (what, run) => within(WEBKIT, what, {}, run)

/** `options`: those of `describe()`. */
export function inEach(what, options, run) {
  for (const browser of [CHROMIUM, WEBKIT]) within(browser, what, options, run)
}

/** A tab at the app's page, with a manager whose events are kept in `got`, and what happens to it in `happened`. */
export async function tab(user, url, topics, config = {}, query = '') {
  const page = await user.newPage()
  await page.goto(`${url}/test/app/page.php${query}`)
  await begin(page, topics, config)
  return page
}

export async function begin(page, topics, config = {}) {
  await page.waitForFunction(() => typeof SSEManager === 'function')
  const own = { url: '/test/app/stream.php', publishUrl: '/test/app/publish.php', session: 'alice', retry: 100, ...config }
  await page.evaluate(async ([topics, config]) => {
    window.got = []
    window.happened = []
    window.manager = new SSEManager(config)
    for (const name of ['open', 'gap', 'reconnecting', 'error', 'closed', 'leader', 'degraded', 'restored']) {
      manager.on(name, (event) => happened.push([name, JSON.parse(JSON.stringify(event))]))
    }
    window.subscriptions = topics.map((topic) => manager.subscribe(topic, ({ topic, data }) => got.push([topic, data])))
    await Promise.all(subscriptions.map(({ ready }) => ready))
  }, [topics, own])
}

export const got = (page) => page.evaluate(() => window.got)
export const data = async (page) => (await got(page)).map(([, data]) => data)
export const leads = (page) => page.evaluate(() => manager.leads)
export const happened = (page, name) => page.evaluate((name) => window.happened.filter(([one]) => one === name), name)
export const untilGot = (page, count) => until(`${count} events have come`, async () => (await got(page)).length >= count)

/** The tab that has the connection ends while 300 events are published; the others get all of them, and one of them leads. */
export async function takeOver(site, t, end, id = () => undefined) {
  const context = await site.user(t)
  const [leader, ...others] = [await site.tab(context, ['news']), await site.tab(context, ['news', 'more']), await site.tab(context, ['news'])]
  const total = 300
  let published = 0
  const publishing = (async () => {
    for (const n of numbers(1, total)) {
      await site.server.publish({ topic: 'news', data: n, id: id(n) })
      published = n
    }
  })()
  await until('some were published', () => published > 50)
  await end(leader)
  await publishing
  for (const page of others) await untilGot(page, total)

  for (const page of others) assert.deepEqual(await data(page), numbers(1, total))
  assert.equal((await Promise.all(others.map(leads))).filter(Boolean).length, 1)
  await site.server.untilStreams(1)
}
