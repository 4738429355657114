// Users of the Laravel application that the tests in Chromium have, too, with npm's Echo in this process.
import Echo from 'laravel-echo'
import { Laravel as Site } from '../../../tests/browser/support/laravel.mjs'
import { SseConnector } from '../../dist/sse-echo.js'

export class Laravel extends Site {
  /** Somebody who is logged in. */
  async login(id) {
    const response = await fetch(`${this.url}${this.path}/login/${id}`)
    const token = await response.text()
    if (!response.ok) throw new Error(token)
    const Cookie = response.headers.getSetCookie().map((cookie) => cookie.split(';')[0]).join('; ')
    return new User(this, { Cookie, 'X-CSRF-TOKEN': token })
  }
}

class User {
  constructor(laravel, headers) {
    this.laravel = laravel
    this.headers = headers
  }

  /** Echo of a page of this user; it ends with the test. */
  echo(t, options = {}) {
    const echo = new Echo({
      broadcaster: SseConnector,
      host: this.laravel.url,
      path: `${this.laravel.path}/sse`,
      auth: { headers: { ...this.headers } },
      ...options,
      stream: { retry: 100, ...options.stream },
    })
    t.after(() => echo.disconnect())
    return echo
  }

  /** Has the application broadcast `App\Events\Said`; as this page's own, where `echo` is given. */
  async say(channels, text, echo) {
    const body = new URLSearchParams({ text, others: echo ? '1' : '0' })
    for (const channel of channels) body.append('channels[]', channel)
    await this.laravel.post('/say', body, { ...this.headers, ...(echo && { 'X-Socket-ID': echo.socketId() }) })
  }
}

/** Waits until a channel is there, or fails by what it is refused for. */
export function subscribed(channel) {
  return new Promise((resolve, reject) => {
    channel.subscribed(resolve)
    channel.error((error) => reject(new Error(`${channel.name}: ${error.error}`)))
  })
}
