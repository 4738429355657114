// What only a real page of a browser shows: the back/forward cache, and origins without HTTPS, which have no Web Locks.
import assert from 'node:assert/strict'
import { after, before, describe, test as limitless } from 'node:test'
import { chromium } from 'playwright-core'
import { firefox, open } from './support/firefox.mjs'
import { Proxy } from './support/proxy.mjs'
import { Reports } from './support/reports.mjs'
import { Server } from './support/server.mjs'
import { until } from './support/until.mjs'
import { lacksWebKit, WebKit } from './support/webkit.mjs'

const test = (name, options, run) => limitless(name, { timeout: 150_000, ...options }, run)
const skip = firefox === undefined ? 'firefox: it is not installed; tools/setup test installs it, or set FIREFOX' : false
/** A name that no browser takes for a secure origin. */
const PLAIN = 'plain.test'

let browser
before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [`--host-resolver-rules=MAP ${PLAIN} 127.0.0.1`],
    ignoreDefaultArgs: ['--disable-back-forward-cache'],
  })
})
after(() => browser?.close())

/** A user of Chromium or WebKit, who reaches the site without HTTPS by this port of a proxy, or in Chromium's case also without. */
const USERS = {
  async Chromium(t) {
    const context = await browser.newContext()
    t.after(() => context.close())
    return context
  },
  async WebKit(t, port) {
    // WebKit can't be told where a host is, but to ask a proxy for it.
    const webkit = await WebKit.start({ proxy: port && `127.0.0.1:${port}` })
    t.after(() => webkit.close())
    return webkit
  },
}
const reporting = (name) => async (t, address, port) => {
  const reports = await Reports.start(t)
  const page = await (await USERS[name](t, port)).newPage()
  await page.goto(reports.asked(address))
  return reports.all
}
/** What opens a page that reports to the test. */
const BROWSERS = [
  ['Chromium', {}, reporting('Chromium')],
  ['Firefox', { skip }, (t, address) => open(t, address, { 'network.dns.localDomains': PLAIN })],
  ['WebKit', { skip: lacksWebKit }, reporting('WebKit')],
]

// Both wait most of the time, so they run at once.
describe('in a browser', { concurrency: true }, () => {
  describe('a page that is left and come back to', { concurrency: false }, () => {
    let server
    before(async () => { server = await Server.start() })
    after(() => server.stop())

    for (const [name, options, visit] of BROWSERS) {
      test(`goes on where it was in ${name}`, options, async (t) => {
        const reports = await visit(t, `${server.url}/test/app/away.php`)
        await until('it is ready', () => reports.some(({ ready }) => ready))
        await server.publish({ topic: 'away', data: 1 })
        await until('it was left', () => reports.some(({ left }) => left))
        await server.publish({ topic: 'away', data: 2 })
        await until('it is there again', () => reports.slice(reports.findIndex(({ left }) => left)).some(({ shown }) => shown))
        await until('what came meanwhile has come', () => reports.some(({ got }) => got?.includes(2)))

        // Firefox takes no page with an open request into its cache: it has loaded the page again.
        const { persisted } = reports.filter(({ shown }) => shown).at(-1)
        assert.equal(persisted, name !== 'Firefox')
        assert.deepEqual(reports.filter(({ got }) => got).at(-1).got, persisted ? [1, 2] : [2])
        await server.untilStreams(1)
      })
    }
  })

  describe('pages without HTTPS', { concurrency: false }, () => {
    let server
    before(async () => { server = await Server.start() })
    after(() => server.stop())

    for (const [name, options, visit] of BROWSERS) {
      test(`share one connection by a shared worker in ${name}, also one that a proxy holds back`, options, async (t) => {
        const proxy = await Proxy.start(server.url)
        t.after(() => proxy.stop())
        const reports = await visit(t, `http://${PLAIN}:${proxy.port}/test/app/plain.php?held&frame&worker=/dist/sse-worker.js?ping=200`, proxy.port)
        await until('both are ready', () => reports.filter(({ ready }) => ready).length === 2)
        const last = (name) => reports.filter((report) => report.name === name && report.got).at(-1)
        const both = (holds) => ['page', 'frame'].every((name) => last(name) && holds(last(name)))
        await until('both are told of the proxy', () => both(({ way }) => way === 'short'))
        await server.publish({ topic: 'plain', data: 1 })
        await until('both have the event', () => both(({ got }) => got.length === 1))
        proxy.free()
        await until('both are told that streams come through', () => both(({ way }) => way === 'stream'))
        await server.publish({ topic: 'plain', data: 2 })
        await until('both have the next event', () => both(({ got }) => got.length === 2))

        assert.deepEqual(reports.filter(({ ready }) => ready).map(({ isSecure, hasLocks }) => [isSecure, hasLocks]), Array(2).fill([false, false]))
        assert.deepEqual([last('page'), last('frame')].map(({ got, leads }) => [got, leads]), [[[1, 2], true], [[1, 2], false]])
        await server.untilStreams(1)
      })
    }

    const visit = async (t, name, query) => {
      const reports = await Reports.start(t)
      const proxy = await Proxy.start(server.url)
      t.after(() => proxy.stop())
      proxy.free()
      const user = await USERS[name](t, proxy.port)
      const tab = async () => {
        const page = await user.newPage()
        await page.goto(reports.asked(`http://${PLAIN}:${proxy.port}/test/app/plain.php?${query}`))
        await page.waitForFunction(() => window.manager?.state === 'open')
        return page
      }
      return [await tab(), await tab()]
    }
    const got = (page) => page.evaluate(() => window.got)
    const leads = (page) => page.evaluate(() => window.manager.leads)

    for (const [how, end, name, options = {}] of [
      ['is closed', (page) => page.close(), 'Chromium'],
      ['is closed', (page) => page.close(), 'WebKit', { skip: lacksWebKit }],
      ['crashes', async (page) => {
        const gone = page.waitForEvent('crash')
        page.goto('chrome://crash').catch(() => {})
        await gone
      }, 'Chromium'],
    ]) {
      test(`the one with the connection ${how}: the other takes over, and nothing is lost or doubled, in ${name}`, options, async (t) => {
        const [leader, other] = await visit(t, name, 'worker=/dist/sse-worker.js?ping=200')
        await server.publish({ topic: 'plain', data: 1 })
        await until('it has come', async () => (await got(other)).length === 1)
        assert.deepEqual([await leads(leader), await leads(other)], [true, false])
        await end(leader)
        await server.publish({ topic: 'plain', data: 2 })
        await until('the other leads', () => leads(other))
        await server.publish({ topic: 'plain', data: 3 })
        await until('all have come', async () => (await got(other)).length === 3)
        assert.deepEqual(await got(other), [1, 2, 3])
        await server.untilStreams(1)
      })
    }

    for (const [what, query] of [
      ["the worker's script is not there", 'worker=/dist/nothing.js'],
      ["the worker's script is another origin's", 'worker=http://elsewhere.test/sse-worker.js'],
    ]) {
      for (const [name, options] of [['Chromium', {}], ['WebKit', { skip: lacksWebKit }]]) {
        test(`have a connection each where ${what}, in ${name}`, options, async (t) => {
          const pages = await visit(t, name, query)
          await server.untilStreams(2)
          await server.publish({ topic: 'plain', data: 1 })
          for (const page of pages) await until('it has come', async () => (await got(page)).length === 1)
        })
      }
    }
  })
})
