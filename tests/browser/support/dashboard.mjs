// The administrators' dashboard on nginx and FPM, with streams and publications to look at.
import { writeFileSync } from 'node:fs'
import { FrameworkSite } from './site.mjs'

export class DashboardSite extends FrameworkSite {
  static async start(rights, settings = {}) {
    const site = await super.start(settings, '--modules=ctype,mbstring')
    writeFileSync(
      `${site.folder}/app/dashboard.php`,
      `<?php
      spl_autoload_register(static fn (string $class) => require dirname(__DIR__) . '/library/' . strtr(substr($class, 4), '\\\\', '/') . '.php');
      use Sse\\Policy;
      Sse\\Endpoint\\Endpoint::dashboard(new Sse\\Endpoint\\Site(watch: Policy::none(), dashboard: Policy::patterns(...explode(' ', '${rights}'))));`,
    )
    return site
  }

  #open = []

  get dashboard() {
    return `${this.url}/dashboard.php`
  }

  /** Opens a stream, which ends with the test. */
  async watch(path, parameters) {
    const abort = new AbortController()
    this.#open.push(abort)
    const response = await fetch(`${this.url}/${path}.php?${new URLSearchParams(parameters)}`, { signal: abort.signal })
    if (!response.ok) throw new Error(`${path} was answered with ${response.status}`)
    const reader = response.body.getReader()
    const stream = { ended: false }
    void (async () => {
      while (!(await reader.read()).done);
    })()
      .catch(() => {})
      .finally(() => (stream.ended = true))
    return stream
  }

  leave() {
    this.#open.splice(0).forEach((abort) => abort.abort())
  }
}
