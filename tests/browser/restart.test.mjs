// A browser's own EventSource while PHP restarts, with the lines for nginx of docs/operations/servers.md.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { Site } from '../node/site.mjs'
import { launch, open } from './support/browser.mjs'
import { root } from './support/demo.mjs'
import { until } from './support/until.mjs'

let browser

before(async () => {
  browser = await launch()
})

after(() => browser?.close())

test('an EventSource survives a restart of PHP', async (t) => {
  const text = await readFile(`${root}docs/operations/servers.md`, 'utf8')
  const chapter = text.split(/^## /m).find((part) => part.startsWith('While PHP is away\n'))
  const [http, directive, locations] = [...chapter.matchAll(/^```nginx\n(.*?)^```$/gms)].map((match) => match[1])
  // A hundredth of the times that are printed there.
  const soon = http.replaceAll(/(\d+)00;/g, '$1;')
  const site = await Site.start('nginx-fpm-unix', `--http=${soon}`, `--directive=${directive}`, `--locations=${locations}`)
  t.after(() => site.stop())
  const page = await open(t, browser, `${site.url}/hello.php`)
  await page.evaluate((url) => {
    globalThis.seen = { events: [], opens: 0, states: new Set() }
    globalThis.stream = new EventSource(url)
    stream.onmessage = ({ data }) => seen.events.push(data)
    stream.onopen = () => seen.opens++
    stream.onerror = () => seen.states.add(stream.readyState)
  }, '/stream.php?topics=news&retry=10')
  const seen = () => page.evaluate(() => ({ ...seen, states: [...seen.states] }))
  await until('the stream is open', async () => (await seen()).opens === 1)
  await site.publish('news', 'before')
  await until('an event has come', async () => (await seen()).events.length === 1)

  await site.php('stop')
  await until('it has come back in vain several times', async () => (await seen()).opens >= 4)
  await site.php('start')

  await until('events come again', async () => {
    await site.publish('news', 'after')
    return (await seen()).events.includes('after')
  })
  const { events, states } = await seen()
  assert.equal(events[0], 'before')
  assert.deepEqual(states, [0], 'EventSource.CONNECTING after each end, and never CLOSED')
})
