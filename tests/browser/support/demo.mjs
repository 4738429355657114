// The demo as `make demo` starts it, with a folder of its own, and a shell beside it.
import { execFile, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { freePort } from '../../node/free-port.mjs'
import { until } from './until.mjs'

export const root = fileURLToPath(new URL('../../../', import.meta.url))

export class Demo {
  /** At this port, where one was before. */
  static async start(port = null) {
    const data = await mkdtemp(join(tmpdir(), 'sse-browser-'))
    port ??= await freePort()
    const child = spawn(`${root}php/demo/run`, { env: { ...process.env, PORT: String(port), SSE_DEMO_DATA: data }, stdio: ['ignore', 'ignore', 'pipe'] })
    const demo = new Demo(child, data, port)
    child.stderr.on('data', (bytes) => (demo.log += bytes))
    await until('the demo answers', async () => {
      if (child.exitCode !== null) throw new Error(`the demo ended: ${demo.log}`)
      return fetch(`${demo.url}assets/icon.svg`).then((response) => response.ok, () => false)
    })
    return demo
  }

  log = ''

  constructor(child, data, port) {
    this.child = child
    this.data = data
    this.port = port
    this.url = `http://127.0.0.1:${port}/`
  }

  /** Runs PHP as a user's shell would, with the demo's hub, and returns what it printed. */
  async php(code) {
    const settings = ['-d', `extension=${root}build/sse.so`, '-d', `sse.socket=${this.data}/hub.sock`, '-d', 'sse.spawn=off']
    const { stdout } = await promisify(execFile)('php', [...settings, '-r', code])
    return stdout
  }

  async stats() {
    return JSON.parse(await this.php('echo json_encode(sse_stats());'))
  }

  post(path, fields, headers = {}) {
    return fetch(this.url + path, { method: 'POST', body: new URLSearchParams(fields), headers })
  }

  async stop() {
    const ended = new Promise((resolve) => this.child.once('exit', resolve))
    this.child.kill('SIGTERM')
    await ended
    // The hub ends with its server, and may still be writing its last words.
    await until('the folder is gone', () => rm(this.data, { recursive: true, force: true }).then(() => true, () => false))
  }
}
