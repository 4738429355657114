// A real server of the PHPUnit suite's, started for a test and stopped with it.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const serve = fileURLToPath(new URL('../servers/serve.php', import.meta.url))

export class Site {
  static async start(server, ...settings) {
    const child = spawn('php', [serve, server, ...settings], { stdio: ['pipe', 'pipe', 'inherit'] })
    let printed = ''
    const about = await new Promise((resolve, reject) => {
      child.stdout.on('data', (bytes) => {
        printed += bytes
        if (printed.includes('\n')) resolve(JSON.parse(printed.split('\n')[0]))
      })
      child.on('exit', (code) => reject(new Error(`the server did not start (${code}): ${printed}`)))
    })
    return new this(child, about)
  }

  constructor(child, { url, folder }) {
    this.child = child
    this.url = url
    this.folder = folder
  }

  streamUrl(topics) {
    return `${this.url}/stream.php?topics=${encodeURIComponent(topics)}`
  }

  /** Publishes one event and returns its id. */
  async publish(topic, data, more = {}) {
    const response = await fetch(`${this.url}/publish.php`, {
      method: 'POST',
      headers: { connection: 'close' },
      body: new URLSearchParams({ topic, data, ...more }),
    })
    const answer = await response.json()
    if (!response.ok) throw new Error(`${answer.error}: ${answer.message}`)
    return answer.ids[0]
  }

  /** Stops or starts PHP-FPM alone: `stop`, `start`. */
  async php(what) {
    const done = new Promise((resolve, reject) => {
      this.child.stdout.once('data', resolve)
      this.child.once('exit', (code) => reject(new Error(`the server has ended (${code})`)))
    })
    this.child.stdin.write(`${what}\n`)
    await done
  }

  async stop() {
    const ended = new Promise((resolve) => this.child.once('exit', resolve))
    this.child.stdin.end()
    await ended
  }
}

/** Fails instead of waiting for ever. */
export function within(milliseconds, what, promise) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${milliseconds} ms: ${what}`)), milliseconds)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
