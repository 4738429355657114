// Debian's Chromium, and the pages of the demo in it.
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { after } from 'node:test'
import { chromium } from 'playwright-core'
import { Demo } from './demo.mjs'
import { until } from './until.mjs'

export const DESKTOP = { width: 1440, height: 900 }
export const PHONE = { width: 390, height: 844 }

/** With more arguments of Chromium's. */
export function launch(more = []) {
  const executablePath = process.env.CHROMIUM ?? ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => existsSync(path))
  if (executablePath === undefined) throw new Error('no Chromium found; tools/setup test installs it, or set CHROMIUM')
  // Root, as which containers run their tests, can't have Chromium's sandbox.
  return chromium.launch({ executablePath, args: process.getuid() === 0 ? ['--no-sandbox', ...more] : more })
}

/** A demo and a browser, for all tests of a file. */
export async function start() {
  const demo = await Demo.start()
  let browser
  after(async () => {
    await browser?.close()
    await demo.stop()
  })
  browser = await launch()
  return { demo, browser }
}

/** A page in a browser profile of its own. What is wrong in its console, or leaves for another host, fails the test at its end. */
export async function open(t, browser, url, { viewport = DESKTOP, colorScheme = 'light' } = {}) {
  const context = await browser.newContext({ viewport, colorScheme })
  const page = await context.newPage()
  const wrong = []
  page.setDefaultTimeout(60_000)
  page.on('pageerror', (error) => wrong.push(`error: ${error.message}`))
  page.on('console', (message) => {
    // What can't be reached while something is broken on purpose is no mistake of the page.
    if (message.type() === 'error' && !/Failed to load resource|net::ERR/.test(message.text())) wrong.push(`console: ${message.text()}`)
  })
  page.on('dialog', (dialog) => {
    wrong.push(`dialog: ${dialog.message()}`)
    void dialog.dismiss()
  })
  page.on('request', (request) => {
    if (!request.url().startsWith('data:') && new URL(request.url()).host !== new URL(url).host) wrong.push(`request: ${request.url()}`)
  })
  t.after(async () => {
    await context.close()
    assert.deepEqual(wrong, [])
  })
  await page.goto(url)
  return page
}

/** Somebody's pane: Alice's, Bob's, or a whole page. */
export class Pane {
  constructor(where) {
    this.where = where
  }

  static in(page, name) {
    return new Pane(page.frameLocator(`#${name}`))
  }

  async live() {
    await this.where.locator('#state[data-kind=open]').waitFor()
    return this
  }

  async say(text) {
    await this.where.getByRole('textbox', { name: 'Message' }).fill(text)
    await this.where.getByRole('button', { name: 'Send' }).click()
  }

  /** The messages that it has, without those that are still to be sent. */
  texts() {
    return this.where.locator('#messages li:not(.outgoing) .chat-bubble').allTextContents()
  }

  /** Waits until it has exactly these messages, in this order. */
  async has(texts) {
    let last
    try {
      await until('the messages', async () => {
        last = await this.texts()
        return JSON.stringify(last) === JSON.stringify(texts)
      })
    } catch {
      assert.deepEqual(last, texts)
    }
  }
}

/** The first page in a room of its own, with both panes live. */
export async function stage(t, browser, demo, room, options) {
  const page = await open(t, browser, `${demo.url}?room=${room}`, options)
  const alice = await Pane.in(page, 'alice').live()
  const bob = await Pane.in(page, 'bob').live()
  return { page, alice, bob }
}

/** A room's page, entered under a name. */
export async function enter(t, browser, demo, room, name, options) {
  const page = await open(t, browser, `${demo.url}room.php?room=${room}`, options)
  await page.getByLabel('Your name').fill(name)
  await page.getByRole('button', { name: 'Come in' }).click()
  return { page, pane: await new Pane(page).live() }
}
