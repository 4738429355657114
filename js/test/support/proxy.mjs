// nginx in front of a test's server, set up to hold answers back: until they fill a buffer of 64 KiB, or end.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../../tests/node/free-port.mjs'
import { until } from './until.mjs'

export class Proxy {
  /** `methods`: which requests' answers it holds back, as a regular expression. */
  static async start(upstream, { methods = '.' } = {}) {
    const proxy = new Proxy(mkdtempSync(join(tmpdir(), 'sse-proxy-')), await freePort())
    await proxy.run(upstream, methods)
    return proxy
  }

  constructor(folder, port) {
    this.folder = folder
    this.port = port
    this.url = `http://127.0.0.1:${port}`
  }

  get streamUrl() {
    return `${this.url}/test/app/stream.php`
  }

  /** The requests so far, each as `METHOD URL`. */
  get requests() {
    return readFileSync(join(this.folder, 'access.log'), 'utf8').split('\n').filter(Boolean)
  }

  async run(upstream, methods) {
    writeFileSync(join(this.folder, 'nginx.conf'), `
      ${process.getuid() === 0 ? 'user root;' : ''}
      worker_processes 1;
      pid ${this.folder}/nginx.pid;
      events {}
      http {
        log_format asked '$request_method $request_uri';
        access_log ${this.folder}/access.log asked;
        client_body_temp_path ${this.folder}/body;
        proxy_temp_path ${this.folder}/proxy;
        fastcgi_temp_path ${this.folder}/fastcgi;
        uwsgi_temp_path ${this.folder}/uwsgi;
        scgi_temp_path ${this.folder}/scgi;
        proxy_http_version 1.1;
        server {
          listen 127.0.0.1:${this.port};
          location / {
            error_page 418 = @free;
            if (-f ${this.folder}/free) { return 418; }
            if ($request_method !~ '${methods}') { return 418; }
            proxy_pass ${upstream};
            proxy_ignore_headers X-Accel-Buffering;
            proxy_buffering on;
            proxy_buffer_size 64k;
            proxy_buffers 8 64k;
            proxy_busy_buffers_size 128k;
          }
          location @free {
            proxy_pass ${upstream};
            proxy_buffering off;
          }
        }
      }
    `)
    await this.again()
  }

  /** Runs again, after `end()`. */
  async again() {
    const options = ['-e', join(this.folder, 'error.log'), '-c', join(this.folder, 'nginx.conf'), '-g', 'daemon off;']
    this.child = spawn('nginx', options, { stdio: 'ignore', detached: true, env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` } })
    this.ended = new Promise((resolve) => this.child.once('exit', resolve))
    await until('the proxy answers', async () => {
      if (this.child.exitCode !== null) throw new Error(`nginx has ended: ${readFileSync(join(this.folder, 'error.log'), 'utf8')}`)
      return fetch(`${this.url}/package.json`, { headers: { connection: 'close' } }).then(() => true, () => false)
    })
  }

  /** From now on it passes on what it is answered at once. */
  free() {
    writeFileSync(join(this.folder, 'free'), '')
  }

  /** Breaks all connections; new ones are refused. */
  async end() {
    this.child.kill('SIGTERM')
    await this.ended
  }

  /** From now on it accepts connections, and does nothing for them or for those that are open. */
  halt() {
    process.kill(-this.child.pid, 'SIGSTOP')
  }

  goOn() {
    process.kill(-this.child.pid, 'SIGCONT')
  }

  async stop() {
    if (this.child.exitCode === null) this.goOn()
    await this.end()
    await until('its folder is gone', () => {
      rmSync(this.folder, { recursive: true, force: true })
      return !existsSync(this.folder)
    })
  }
}
