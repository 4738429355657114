// Debian's WebKit: WebKitGTK's MiniBrowser on a display of its own, driven by the W3C's WebDriver protocol. What tests ask of it has
// the names that Playwright gives them, so that a test runs in both.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../../tests/node/free-port.mjs'
import { until } from './until.mjs'

const DRIVER = process.env.WEBKIT_DRIVER ?? '/usr/bin/WebKitWebDriver'
const XVFB = '/usr/bin/Xvfb'

export const lacksWebKit = [DRIVER, XVFB].every((path) => existsSync(path))
  ? false
  : 'webkit: it is not installed; apt-get install webkit2gtk-driver xvfb does it'

/** Milliseconds that a script in a page, or the loading of one, may take. */
const PATIENCE = 60_000

/**
 * A driver sometimes waits for ever for the browser that it has started, mostly where two start at once; why is not known. It is ended
 * after so many milliseconds, and another one is tried: so many in all.
 */
const START = 20_000
const STARTS = 4

/** A browser of one user: its windows share cookies, locks and channels, with those of no other. */
export class WebKit {
  /** `proxy`: the address and port of an HTTP proxy for all hosts but 127.0.0.1. */
  static async start({ proxy } = {}) {
    for (let attempt = 1; ; attempt++) {
      try {
        return await WebKit.#begin(proxy)
      } catch (error) {
        if (error.name !== 'TimeoutError' || attempt === STARTS) throw error
        console.error(`WebKit has not begun within ${START} ms: attempt ${attempt + 1} of ${STARTS} follows`)
      }
    }
  }

  static async #begin(proxy) {
    const webkit = new WebKit(mkdtempSync(join(tmpdir(), 'sse-webkit-')))
    try {
      await webkit.#run(proxy)
    } catch (error) {
      await webkit.close()
      throw error
    }
    return webkit
  }

  #children = []
  #address
  #session
  /** One command at a time: each is for the window that was chosen before it. */
  #turn = Promise.resolve()
  #unused

  constructor(folder) {
    this.folder = folder
  }

  async #run(proxy) {
    const display = await this.#display()
    const port = await freePort()
    const home = { HOME: this.folder, XDG_RUNTIME_DIR: this.folder, XDG_CACHE_HOME: undefined, XDG_CONFIG_HOME: undefined, XDG_DATA_HOME: undefined }
    // Neither a desktop's settings nor its screen reader.
    const desktop = { GSETTINGS_BACKEND: 'memory', NO_AT_BRIDGE: '1', DBUS_SESSION_BUS_ADDRESS: 'disabled:', WAYLAND_DISPLAY: undefined }
    const driver = this.#start(DRIVER, [`--port=${port}`], { stdio: 'ignore', env: { ...process.env, ...home, ...desktop, GDK_BACKEND: 'x11', DISPLAY: display } })
    this.#address = `http://127.0.0.1:${port}`
    await until('the driver answers', () => {
      if (driver.exitCode !== null) throw new Error(`${DRIVER} has ended with ${driver.exitCode}`)
      return fetch(`${this.#address}/status`).then(({ ok }) => ok, () => false)
    })
    const { sessionId, capabilities } = await this.#ask('POST', '/session', {
      capabilities: {
        alwaysMatch: {
          timeouts: { script: PATIENCE, pageLoad: PATIENCE },
          ...(proxy !== undefined && { proxy: { proxyType: 'manual', httpProxy: proxy, noProxy: ['127.0.0.1'] } }),
        },
      },
    }, START)
    this.version = capabilities.browserVersion
    this.#session = `/session/${sessionId}`
    this.#unused = await this.#ask('GET', `${this.#session}/window`)
  }

  /**
   * An X server, whose number no other gets soon: of two that start at once, each may take the next free one. That did not end the
   * starts of a browser that never answer, whose cause is not known. Without `-noreset` it ends all connections when its first one has ended.
   */
  async #display() {
    const options = [`:${await freePort()}`, '-displayfd', '3', '-nolisten', 'tcp', '-noreset', '-screen', '0', '1280x800x24']
    const child = this.#start(XVFB, options, { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] })
    let told = ''
    child.stdio[3].on('data', (bytes) => (told += bytes))
    await until('the display is there', () => {
      if (child.exitCode !== null) throw new Error(`${XVFB} has ended with ${child.exitCode}`)
      return told.endsWith('\n')
    })
    return `:${told.trim()}`
  }

  #start(program, options, how) {
    const child = spawn(program, options, { ...how, detached: true })
    this.#children.push({ child, ended: new Promise((resolve) => child.once('exit', resolve)) })
    return child
  }

  async #ask(method, path, body, patience = 2 * PATIENCE) {
    // Longer than the driver waits for a page.
    const signal = AbortSignal.timeout(patience)
    const response = await fetch(`${this.#address}${path}`, { method, signal, ...(body !== undefined && { body: JSON.stringify(body) }) })
    const { value } = await response.json()
    if (!response.ok) throw new Error(`${method} ${path}: ${value.error}: ${value.message}`)
    return value
  }

  /** A command for this window. */
  command(handle, method, path, body) {
    const answer = this.#turn.then(async () => {
      await this.#ask('POST', `${this.#session}/window`, { handle })
      return this.#ask(method, `${this.#session}${path}`, body)
    })
    this.#turn = answer.catch(() => {})
    return answer
  }

  /** In a window of its own, so that the others can be seen, too. */
  async newPage() {
    const first = this.#unused
    this.#unused = undefined
    if (first !== undefined) return new Page(this, first)
    const answer = this.#turn.then(() => this.#ask('POST', `${this.#session}/window/new`, { type: 'window' }))
    this.#turn = answer.catch(() => {})
    return new Page(this, (await answer).handle)
  }

  async close() {
    for (const { child, ended } of this.#children.reverse()) {
      try {
        // The browser's processes are of its driver's group. The display removes its lock.
        process.kill(-child.pid, child.spawnfile === XVFB ? 'SIGTERM' : 'SIGKILL')
      } catch (error) {
        // All of them have ended by themselves.
        if (error.code !== 'ESRCH') throw error
      }
      await ended
    }
    await until('the folder is gone', () => {
      rmSync(this.folder, { recursive: true, force: true, maxRetries: 10 })
      return !existsSync(this.folder)
    })
  }
}

/** Runs in the page; an error that nothing there has caught fails the next thing that is asked of it. */
const SCRIPT = `
  const [run, arg, done] = arguments
  if (window.uncaught === undefined) {
    window.uncaught = []
    addEventListener('error', ({ message }) => uncaught.push(message))
    addEventListener('unhandledrejection', ({ reason }) => uncaught.push(String(reason)))
  }
  new Promise((resolve) => {
    if (uncaught.length > 0) throw new Error(uncaught.join(', '))
    resolve((0, eval)(run)(arg))
  }).then((value) => done({ value }), (error) => done({ error: String(error) }))
`

class Page {
  #webkit
  #handle

  constructor(webkit, handle) {
    this.#webkit = webkit
    this.#handle = handle
  }

  goto(url) {
    return this.#command('POST', '/url', { url })
  }

  goBack() {
    return this.#command('POST', '/back', {})
  }

  close() {
    return this.#command('DELETE', '/window')
  }

  /** Makes its window one that can't be seen. */
  async hide() {
    await this.#command('POST', '/window/minimize', {})
    await this.waitForFunction(() => document.visibilityState === 'hidden')
  }

  async show() {
    await this.#command('POST', '/window/rect', { x: 0, y: 0, width: 800, height: 600 })
    await this.waitForFunction(() => document.visibilityState === 'visible')
  }

  async evaluate(run, arg = null) {
    const { value, error } = await this.#command('POST', '/execute/async', { script: SCRIPT, args: [`(${run})`, arg] })
    if (error !== undefined) throw new Error(`in the page: ${error}`)
    return value
  }

  waitForFunction(holds) {
    return until(`it holds in the page: ${holds}`, () => this.evaluate(`() => Boolean((${holds})())`))
  }

  #command(...what) {
    return this.#webkit.command(this.#handle, ...what)
  }
}
