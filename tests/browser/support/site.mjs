// A site on nginx and FPM with two workers that has the applications of tests/servers/frameworks.
import { isAlive } from '../../node/alive.mjs'
import { Site } from '../../node/site.mjs'
import { until } from './until.mjs'

export class FrameworkSite extends Site {
  /** Settings are those of php.ini, options those of tests/servers/serve.php. */
  static start(settings = {}, ...options) {
    const given = Object.entries(settings).map(([name, value]) => `${name}=${value}`)
    return super.start('nginx-fpm-unix', '--applications', ...options, ...given)
  }

  async stats() {
    const response = await fetch(`${this.url}/stats.php`, { headers: { connection: 'close' } })
    return response.json()
  }

  /** Kills the hub, and with it all streams. */
  async killHub() {
    const { pid } = await this.stats()
    process.kill(pid, 'SIGKILL')
    await until('the hub has ended', () => !isAlive(pid))
  }
}
