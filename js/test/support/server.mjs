// The app in test/app on PHP's own server, with the extension and a hub of its own.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isAlive } from '../../../tests/node/alive.mjs'
import { freePort } from '../../../tests/node/free-port.mjs'
import { until } from './until.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const extension = fileURLToPath(new URL('../../../build/sse.so', import.meta.url))

export class Server {
  /** Settings are those of php.ini: `{ 'sse.history_events': 5 }`. */
  static async start(settings = {}) {
    const folder = mkdtempSync(join(tmpdir(), 'sse-js-'))
    const server = new Server(folder, await freePort(), settings)
    await server.run()
    return server
  }

  constructor(folder, port, settings) {
    this.folder = folder
    this.port = port
    this.settings = { 'sse.socket': join(folder, 'hub.sock'), 'sse.udp': '', 'sse.timeout': 30_000, extension, ...settings }
    this.url = `http://127.0.0.1:${port}`
  }

  /** The same again, after `kill()`. */
  async run() {
    const set = Object.entries(this.settings).flatMap(([name, value]) => ['-d', `${name}=${value}`])
    const php = ['-n', ...set, '-S', `127.0.0.1:${this.port}`, '-t', root]
    this.child = spawn('php', php, { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, TMPDIR: this.folder } })
    this.log = ''
    this.child.stderr.on('data', (bytes) => (this.log += bytes))
    this.ended = new Promise((resolve) => this.child.once('exit', resolve))
    await until('the server answers', async () => {
      if (this.child.exitCode !== null) throw new Error(`php has ended: ${this.log}`)
      return (await fetch(`${this.url}/test/app/stats.php`, { headers: { connection: 'close' } }).catch(() => null))?.ok
    })
    this.hub = (await this.stats()).pid
  }

  get streamUrl() {
    return `${this.url}/test/app/stream.php`
  }

  get publishUrl() {
    return `${this.url}/test/app/publish.php`
  }

  get topicsUrl() {
    return `${this.url}/test/app/topics.php`
  }

  /** Publishes `{ topic, data, event, id, retry }`, one or many; returns the ids. */
  async publish(...many) {
    const response = await fetch(this.publishUrl, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', connection: 'close' },
      body: JSON.stringify({ many }),
    })
    const body = await response.text()
    if (!response.ok) throw new Error(`publishing failed (${response.status}): ${body}`)
    return JSON.parse(body).ids
  }

  async stats() {
    const response = await fetch(`${this.url}/test/app/stats.php`, { headers: { connection: 'close' } })
    return response.json()
  }

  /** Waits until so many streams are open. */
  async untilStreams(count) {
    await until(`${count} streams are open`, async () => (await this.stats()).streams.open === count)
  }

  /** Ends the server, and with it the hub and all streams, at once. */
  async kill() {
    this.child.kill('SIGKILL')
    await this.ended
    try {
      process.kill(this.hub, 'SIGKILL')
    } catch (error) {
      // It has noticed already that its server has ended.
      if (error.code !== 'ESRCH') throw error
    }
    await until('the hub has ended', () => !isAlive(this.hub))
  }

  /** Clients may still be there. */
  async stop() {
    await this.kill()
    rmSync(this.folder, { recursive: true, force: true })
  }
}
