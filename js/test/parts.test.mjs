// The parts that are functions of their arguments.
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { SSEManager, matches } from '../dist/sse-manager.js'

const folder = mkdtempSync(join(tmpdir(), 'sse-js-parts-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const source = fileURLToPath(new URL('../src', import.meta.url))
const names = ['topic', 'position', 'failure', 'backoff', 'inbox', 'refused']
await build({ entryPoints: names.map((name) => `${source}/${name}.ts`), bundle: true, format: 'esm', outdir: folder, outExtension: { '.js': '.mjs' } })
const [{ checkPattern, covers }, { compare, older }, { ofStatus, parseRetryAfter }, { delay }, { union }, { parseRefused }] = await Promise.all(
  names.map((name) => import(join(folder, `${name}.mjs`))),
)

test('patterns match as they do in the hub', () => {
  const cases = [
    ['a', 'a', true], ['a', 'b', false], ['a', 'a.b', false], ['a.b', 'a', false],
    ['*', 'a', true], ['*', 'a.b', false], ['a.*', 'a.b', true], ['a.*', 'a', false], ['a.*', 'a.b.c', false],
    ['a.*.c', 'a.b.c', true], ['a.*.c', 'a.b.d', false],
    ['**', 'a', true], ['**', 'a.b.c', true], ['a.**', 'a', false], ['a.**', 'a.b', true], ['a.**', 'a.b.c', true], ['a.*.**', 'a.b', false],
    ['**', '$presence.a', false], ['*.a', '$presence.a', false], ['$presence.*', '$presence.a', true], ['a.*', 'a.$b', true],
  ]
  for (const [pattern, topic, expected] of cases) assert.equal(matches(pattern, topic), expected, `${pattern} ${topic}`)
})

test('a pattern covers another exactly when it matches all that the other does', () => {
  const segments = ['a', 'b', '*']
  const patterns = ['**']
  for (const x of segments) {
    patterns.push(x, `${x}.**`)
    for (const y of segments) {
      patterns.push(`${x}.${y}`, `${x}.${y}.**`)
      for (const z of segments) patterns.push(`${x}.${y}.${z}`)
    }
  }
  patterns.push('$a.b', '$a.*')
  const topics = ['$a.b', '$a.c', ...['a', 'b', 'c'].flatMap((x) => [x, ...['a', 'b', 'c'].flatMap((y) => [`${x}.${y}`, ...['a', 'b', 'c'].flatMap((z) => [`${x}.${y}.${z}`, `${x}.${y}.${z}.d`])])])]
  for (const wide of patterns) {
    for (const narrow of patterns) {
      const expected = topics.every((topic) => !matches(narrow, topic) || matches(wide, topic))
      assert.equal(covers(wide, narrow), expected, `${wide} ${narrow}`)
    }
  }
  assert.deepEqual(union(['b', 'a.*', 'a.b', 'b', 'a.**', 'c.*']), ['a.**', 'b', 'c.*'])
})

test('what is no topic is refused before it is sent', () => {
  for (const bad of ['', 'a..b', '.a', 'a b', 'a,b', 'a\n', 'a*', '**.a', 'a.**.b']) assert.throws(() => checkPattern(bad), TypeError, bad)
  for (const good of ['a', 'a.*', '*.b', '**', 'a.**', 'größe.1']) checkPattern(good)
})

test("the hub's ids are ordered, and others are not", () => {
  assert.ok(compare('1763712000000-1', '1763712000000-10') < 0)
  assert.ok(compare('1763712000001-0', '1763712000000-9') > 0)
  assert.equal(compare('x', 'x'), 0)
  assert.equal(compare('7', '8'), null)
  assert.equal(older(null, 'x'), 'x')
  assert.equal(older('1763712000000-2', '1763712000000-1'), '1763712000000-1')
  assert.equal(older('row-1', 'row-2'), 'row-1')
})

test('what was refused is named by a header, which may have had no room for all', () => {
  assert.deepEqual(parseRefused(''), { names: [], more: false })
  assert.deepEqual(parseRefused('private-a, b%2Cc%2A'), { names: ['private-a', 'b,c*'], more: false })
  assert.deepEqual(parseRefused('%,a,*'), { names: ['%', 'a'], more: true })
})

test('statuses are final or not', () => {
  for (const status of [204, 205, 400, 401, 403, 404, 405, 410, 451]) assert.equal(ofStatus(status, null, 0).final, true, `${status}`)
  for (const status of [201, 301, 408, 425, 429, 500, 502, 503, 504]) assert.equal(ofStatus(status, null, 0).final, false, `${status}`)
})

test('Retry-After is seconds or a date', () => {
  assert.equal(parseRetryAfter('5', 0), 5000)
  assert.equal(parseRetryAfter('Thu, 01 Jan 1970 00:00:09 GMT', 4000), 5000)
  assert.equal(parseRetryAfter('Thu, 01 Jan 1970 00:00:01 GMT', 4000), 0)
  assert.equal(parseRetryAfter('soon', 0), null)
})

test('no delay is shorter than the reconnection time, whatever the longest is', () => {
  const failure = { reason: 'network', message: '', final: false }
  for (let failures = 0; failures < 100; failures++) {
    for (const random of [0, 0.999]) {
      const wait = delay(5000, failures, 1000, () => random, failure)
      assert.ok(wait >= 5000 && wait <= 7500, `${wait}`)
    }
  }
})

test('a configuration that can not work is refused, by a message that says what to do', () => {
  const cases = [
    [{}, /config.url/], [{ url: '' }, /config.url/], [{ url: 'x', transport: 'websocket' }, /'websocket' given/],
    [{ url: 'x', transport: 'eventsource', headers: {} }, /leave the transport out/], [{ url: 'x', session: 5 }, /config.session/],
    [{ url: 'x', retry: -1 }, /config.retry/], [{ url: 'x', heartbeatTimeout: Number.NaN }, /config.heartbeatTimeout/],
    [{ url: 'x', sesion: 'a' }, /config\.sesion is unknown; there are url, .*session/], [undefined, /must be an object/], [{ url: 'x', method: 'PUT' }, /'PUT' given/],
    [{ url: 'x', method: 'POST', transport: 'eventsource' }, /leave the transport out/], [{ url: 'x', debug: 'yes' }, /config.debug/], ['x', /must be an object/],
    [{ url: 'x', headers: 'a: b' }, /config.headers/], [{ url: 'x', decode: 'xml' }, /'xml' given/], [{ url: 'x', share: 'no' }, /config.share/],
    [{ url: 'x', eventTypes: 'a' }, /config.eventTypes/], [{ url: 'x', publishUrl: {} }, /config.publishUrl/], [{ url: 'x', lastEventId: 5 }, /config.lastEventId/],
  ]
  for (const [config, message] of cases) assert.throws(() => new SSEManager(config), { name: 'TypeError', message })
})

test('a name that is misspelled, and a handler that is none, are told', () => {
  const manager = new SSEManager({ url: 'http://127.0.0.1/' })
  const cases = [
    [() => manager.on('opened', () => {}), /'opened' to listen to; there are open, stream, refused, message, gap/],
    [() => manager.on('open', 'f'), /listener of 'open' must be a function, string given/],
    [() => manager.on('open'), /listener of 'open' must be a function, undefined given/],
    [() => manager.subscribe('a', 'f'), /handler of 'a' must be a function, string given/],
    [() => manager.subscribe('a', null), /handler of 'a' must be a function, null given/],
    [() => manager.subscribe(() => {}, 'a'), /must be a string/],
  ]
  for (const [run, message] of cases) assert.throws(run, { name: 'TypeError', message })
  assert.equal(manager.state, 'idle')
})
