// Debian's Firefox, with a profile of its own, at one page; what the page has to say it posts to the test.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Reports } from './reports.mjs'
import { until } from './until.mjs'

export const firefox = process.env.FIREFOX ?? ['/usr/bin/firefox-esr', '/usr/bin/firefox'].find((path) => existsSync(path))

/** Nothing but the page is to be asked for: no update, no first run, no telemetry. And it may have as many streams of one server as of all. */
const SETTINGS = {
  'app.update.enabled': false,
  'app.normandy.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'browser.startup.homepage_override.mstone': 'ignore',
  'datareporting.policy.dataSubmissionEnabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'network.http.max-persistent-connections-per-server': 255,
  'toolkit.telemetry.reportingpolicy.firstRun': false,
}

/** Opens the page with the parameter `report`; returns what was posted so far. `settings`: further ones of the profile. */
export async function open(t, page, settings = {}) {
  const reports = await Reports.start(t)
  const profile = mkdtempSync(join(tmpdir(), 'sse-firefox-'))
  const lines = Object.entries({ ...SETTINGS, ...settings }).map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});`)
  writeFileSync(join(profile, 'user.js'), lines.join('\n'))
  const options = ['--headless', '--no-remote', '--profile', profile, reports.asked(page)]
  const child = spawn(firefox, options, { stdio: 'ignore', detached: true, env: { ...process.env, HOME: profile } })
  const ended = new Promise((resolve) => child.once('exit', resolve))
  t.after(async () => {
    // Its other processes are of its group, and end with it.
    process.kill(-child.pid, 'SIGKILL')
    await ended
    await until('the profile is gone', () => {
      rmSync(profile, { recursive: true, force: true })
      return !existsSync(profile)
    })
  })
  return reports.all
}
