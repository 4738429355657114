// The Laravel application of tests/servers that broadcasts.
import { readFileSync } from 'node:fs'
import { FrameworkSite } from './site.mjs'
import { until } from './until.mjs'

const MODULES = '--modules=mbstring,tokenizer,pdo,pdo_sqlite,posix,pcntl,intl,ctype'

export class Laravel extends FrameworkSite {
  path = '/frameworks/broadcasting/index.php'

  /** Settings are those of php.ini. */
  static async start(settings = {}) {
    const laravel = await super.start(settings, MODULES)
    const installed = await (await fetch(`${laravel.url}${laravel.path}/install`)).text()
    if (installed !== 'installed') throw new Error(installed)
    return laravel
  }

  /** Kills the hub, and with it all streams, and has FPM start anew. */
  async breakDown() {
    await this.killHub()
    process.kill(Number(readFileSync(`${this.folder}/fpm.pid`, 'utf8')), 'SIGUSR2')
  }

  /** A queue's worker, or another part of the application, has it broadcast `App\Events\Said`. */
  async say(channel, text) {
    await this.post('/announce', new URLSearchParams({ 'channels[]': channel, text }))
  }

  /** While FPM starts anew it is asked again. */
  async post(path, body = new URLSearchParams(), headers = {}) {
    await until(`POST ${path} succeeds`, async () => {
      const response = await fetch(this.url + this.path + path, { method: 'POST', body, headers })
      if (response.status === 502) return false
      if (!response.ok) throw new Error(`${path} was answered with ${response.status}: ${await response.text()}`)
      return true
    })
  }
}
