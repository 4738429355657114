// npm's Echo with the connector, against a real Laravel application.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { SseConnector } from '../dist/sse-echo.js'
import { Faults, status } from './support/faults.mjs'
import { Laravel, subscribed } from './support/laravel.mjs'
import { until } from './support/until.mjs'

const folder = mkdtempSync(join(tmpdir(), 'sse-echo-'))
let laravel, ann, bob, cid

before(async () => {
  chmodSync(folder, 0o777)
  laravel = await Laravel.start({ 'sse.history': `sqlite:${folder}/sse.db`, 'sse.presence_grace': 200 })
  ann = await laravel.login(1)
  bob = await laravel.login(2)
  cid = await laravel.login(3)
})
after(async () => {
  await laravel?.stop()
  rmSync(folder, { recursive: true, force: true })
})

describe('channels', () => {
  test('all channels of a page come by one stream, a refused one is told by itself, and the others go on', async (t) => {
    const echo = ann.echo(t)
    const got = []
    const news = echo.channel('news').listen('Said', ({ text }) => got.push(`news ${text}`))
    const own = echo.private('App.User.1').listen('Said', ({ text }) => got.push(`own ${text}`))
    const refused = await new Promise((resolve) => echo.private('App.User.2').listen('Said', () => got.push('of bob')).error(resolve))
    await Promise.all([news, own].map(subscribed))

    assert.deepEqual({ ...refused, error: '' }, { type: 'AuthError', status: 403, reason: 'forbidden', error: '' })
    await bob.say(['private-App.User.2'], 'hidden')
    await bob.say(['news', 'private-App.User.1'], 'both')
    await bob.say(['private-App.User.1'], 'last')

    await until('the last event has come', () => got.includes('own last'))
    assert.deepEqual(got.toSorted(), ['news both', 'own both', 'own last'])
    await until('one stream is open', async () => (await laravel.stats()).streams.open === 1)
    assert.equal(echo.connectionStatus(), 'connected')
  })

  test('a channel that is taken later comes by the stream that is open, and a refused one does not end it', async (t) => {
    const echo = ann.echo(t)
    const got = []
    const listen = (channel) => subscribed(channel.listen('Said', ({ text }) => got.push(`${channel.name} ${text}`)))
    await listen(echo.channel('first'))
    const { opened } = (await laravel.stats()).streams

    await listen(echo.private('App.User.1'))
    const refused = await new Promise((resolve) => echo.private('App.User.2').error(resolve))
    await bob.say(['private-App.User.1'], 'a')
    await bob.say(['first'], 'b')
    await until('both have come', () => got.length > 1)
    echo.leave('first')
    await until('it is left', async () => (await laravel.stats()).topics === 1)

    assert.deepEqual(got, ['private-App.User.1 a', 'first b'])
    assert.equal(refused.reason, 'forbidden')
    assert.equal((await laravel.stats()).streams.opened, opened)
  })

  test('names: in the namespace, whole ones, of all events, and not after stopListening()', async (t) => {
    const echo = ann.echo(t)
    const got = []
    const stopped = () => got.push('stopped')
    const channel = echo.channel('names')
      .listen('Said', () => got.push('short'))
      .listen('.App\\Events\\Said', () => got.push('whole'))
      .listen('\\App\\Events\\Said', () => got.push('absolute'))
      .listen('Other', () => got.push('other'))
      .listen('Said', stopped)
      .listenToAll((event, { text }) => got.push(`${event} ${text}`))
      .stopListening('Said', stopped)
    await subscribed(channel)

    await bob.say(['names'], 'x')

    await until('the event has come', () => got.includes('Said x'))
    assert.deepEqual(got, ['short', 'whole', 'absolute', 'Said x'])
  })

  test('a channel may be called as what every object has', async (t) => {
    const echo = ann.echo(t)
    const names = ['constructor', '__proto__', 'toString']
    for (const name of names) echo.leave(name)
    const got = []
    await Promise.all(names.map((name) => subscribed(echo.channel(name).listen('Said', ({ text }) => got.push(`${name} ${text}`)))))

    for (const name of names) await bob.say([name], 'x')
    await until('all events have come', () => got.length >= names.length)
    assert.deepEqual(got, names.map((name) => `${name} x`))
    assert.deepEqual(Object.keys(echo.connector.channels), names)
    echo.leaveAllChannels()
    assert.deepEqual(Object.keys(echo.connector.channels), [])
  })

  test('a channel that is left and taken again at once, as by a component that is rendered anew, misses nothing', async (t) => {
    const echo = ann.echo(t)
    const got = []
    await subscribed(echo.private('App.User.1'))
    const { opened } = (await laravel.stats()).streams
    const here = new Promise((resolve) => echo.join('room.again').here(resolve))
    await here
    const said = Array.from({ length: 20 }, (_, at) => String(at))
    const again = (text) => {
      if (text !== undefined) got.push(text)
      echo.leaveChannel('private-App.User.1')
      echo.private('App.User.1').listen('Said', ({ text }) => again(text))
    }
    again()
    await Promise.all(said.map((text) => bob.say(['private-App.User.1'], text)))
    await until('all have come', () => got.length >= said.length)
    assert.deepEqual(got.toSorted(), said.toSorted())

    echo.leaveChannel('presence-room.again')
    assert.equal(names(await new Promise((resolve) => echo.join('room.again').here(resolve))), 'Ann')
    await subscribed(echo.private('App.User.1'))
    assert.equal((await laravel.stats()).streams.opened, opened + 1)
  })

  test('toOthers() leaves out the page that says its socketId()', async (t) => {
    const own = ann.echo(t)
    const other = ann.echo(t)
    const got = []
    await Promise.all([['own', own], ['other', other]].map(([name, echo]) =>
      subscribed(echo.private('App.User.1').listen('Said', ({ text }) => got.push(`${name} ${text}`)))))
    assert.match(own.socketId(), /^[\w-]{22}\.[a-z\d]{16}$/)

    await ann.say(['private-App.User.1'], 'to others', own)
    await ann.say(['private-App.User.1'], 'to all')

    await until('both have the last event', () => got.filter((one) => one.endsWith('to all')).length === 2)
    assert.deepEqual(got.toSorted(), ['other to all', 'other to others', 'own to all'])
  })

  test('a notification', async (t) => {
    const echo = ann.echo(t)
    const told = new Promise((resolve) => echo.private('App.User.1').notification(resolve))
    await subscribed(echo.private('App.User.1'))

    await laravel.post('/notify')

    assert.equal((await told).amount, 42)
  })

  test('what is left is left: by name, with its variants, all, and by disconnect()', async (t) => {
    const echo = ann.echo(t)
    const got = []
    await Promise.all([echo.channel('a'), echo.private('App.User.1'), echo.join('room.left'), echo.channel('stays')].map((channel) =>
      subscribed(channel.listen('Said', ({ text }) => got.push(`${channel.name} ${text}`)))))

    echo.leave('App.User.1')
    echo.leave('room.left')
    echo.leaveChannel('a')
    await bob.say(['a', 'private-App.User.1', 'presence-room.left', 'stays'], 'x')
    await until('the event has come', () => got.length > 0)
    assert.deepEqual(got, ['stays x'])
    assert.deepEqual(Object.keys(echo.connector.channels), ['stays'])

    const changes = []
    echo.connector.onConnectionChange((status) => changes.push(status))
    echo.disconnect()
    assert.deepEqual([changes, echo.connectionStatus(), echo.socketId()], [['disconnected'], 'disconnected', undefined])
    await until('no stream is open', async () => (await laravel.stats()).streams.open === 0)

    await subscribed(echo.channel('again').listen('Said', ({ text }) => got.push(`again ${text}`)))
    await bob.say(['again'], 'y')
    await until('the event has come', () => got.includes('again y'))
  })
})

describe('presence', () => {
  test('three users see each other come and go, a user of two pages once', async (t) => {
    const told = []
    const first = ann.echo(t)
    const room = first.join('room.three')
      .here((members) => told.push(`here ${names(members)}`))
      .joining(({ name }) => told.push(`joins ${name}`))
      .leaving(({ name }) => told.push(`leaves ${name}`))
    await until('ann is here', () => told.length > 0)

    const second = bob.echo(t)
    const here = await new Promise((resolve) => second.join('room.three').here(resolve))
    const third = cid.echo(t)
    await new Promise((resolve) => third.join('room.three').here(resolve))
    await until('cid has come', () => told.includes('joins Cid'))
    const again = bob.echo(t)
    await new Promise((resolve) => again.join('room.three').here(resolve))
    third.leave('room.three')
    await until('cid has gone', () => told.includes('leaves Cid'))
    second.disconnect()
    again.disconnect()
    await until('bob has gone', () => told.includes('leaves Bob'))

    assert.equal(names(here), 'Ann Bob')
    assert.deepEqual(told, ['here Ann', 'joins Bob', 'joins Cid', 'leaves Cid', 'leaves Bob'])
    let late
    room.here((members) => (late = names(members)))
    assert.equal(late, 'Ann')
  })

  test('another channel of the page is no leave, and here() is not called again', async (t) => {
    const told = []
    const watcher = bob.echo(t)
    watcher.join('room.more').here((members) => told.push(`here ${names(members)}`)).leaving(() => told.push('leaves'))
      .joining(({ name }) => told.push(`joins ${name}`))
    await until('bob is here', () => told.length > 0)
    const echo = ann.echo(t)
    let times = 0
    echo.join('room.more').here(() => times++)
    await until('ann has come', () => told.includes('joins Ann'))

    await subscribed(echo.channel('one-more'))
    await subscribed(watcher.channel('one-more'))
    const last = new Promise((resolve) => watcher.join('room.more').listen('Said', resolve))
    await ann.say(['presence-room.more'], 'x')
    await last

    assert.deepEqual([told, times], [['here Bob', 'joins Ann'], 1])
  })

  test('a channel that tells something else of the user has a stream of its own', async (t) => {
    const echo = ann.echo(t)
    const all = await Promise.all(['room.plain', 'room.staff'].map((name) => new Promise((resolve) => echo.join(name).here(resolve))))

    assert.deepEqual(all, [[{ name: 'Ann' }], [{ name: 'Ann', role: 'chief' }]])
    await until('two streams are open', async () => (await laravel.stats()).streams.open === 2)
  })

  test('here() has all members of a room whose list the stream has no room for', async (t) => {
    const users = await Promise.all(Array.from({ length: 20 }, (_, at) => laravel.login(at + 4)))
    await Promise.all(users.map((user) => new Promise((resolve) => user.echo(t).join('room.large').here(resolve))))

    const members = await new Promise((resolve) => ann.echo(t).join('room.large').here(resolve))

    assert.deepEqual(new Set(members.map(({ name }) => name)), new Set(['Ann', ...users.map((_, at) => `User ${at + 4}`)]))
    assert.equal(members.length, 21)
  })
})

describe('whispers', () => {
  test('the other pages of the channel get them, and an error tells of one that was refused', async (t) => {
    const own = ann.echo(t)
    const other = bob.echo(t)
    const got = []
    const room = own.join('room.whisper').listenForWhisper('typing', () => got.push('own'))
    await subscribed(room)
    const theirs = other.join('room.whisper').listenForWhisper('typing', ({ name }) => got.push(name))
    await subscribed(theirs)

    room.whisper('typing', { name: 'Ann' })
    await until('the whisper has come', () => got.length > 0)
    theirs.whisper('typing', { name: 'Bob' })
    await until('the answer has come', () => got.length > 1)
    const refused = new Promise((resolve) => room.error(resolve))
    room.whisper('typing', { name: 'x'.repeat(20_000) })

    assert.deepEqual({ ...(await refused), error: '' }, { type: 'WhisperError', status: 413, error: '' })
    assert.deepEqual(got, ['Ann', 'own'])
  })
})

describe('when something breaks', () => {
  test('hub killed and FPM started anew: each event comes once and in order, what was said meanwhile too', async (t) => {
    const echo = ann.echo(t)
    const got = []
    const changes = []
    const told = []
    echo.connector.onConnectionChange((status) => changes.push(status))
    const own = echo.private('App.User.1').listen('Said', ({ text }) => got.push(text))
    echo.join('room.break').here((members) => told.push(names(members))).leaving(() => told.push('leaves'))
    await subscribed(own)
    await until('ann is here', () => told.length > 0)
    const said = Array.from({ length: 30 }, (_, at) => String(at))
    for (const text of said.slice(0, 10)) await bob.say(['private-App.User.1'], text)

    await laravel.breakDown()
    for (const text of said.slice(10)) await bob.say(['private-App.User.1'], text)

    await until('all has come', () => got.length >= said.length)
    assert.deepEqual(got, said)
    assert.deepEqual(told, ['Ann'])
    assert.equal(echo.connectionStatus(), 'connected')
    assert.ok(changes.includes('reconnecting'), changes.join())
  })

  test('a channel that is lost while the others go on is told once, and told again when it is back', async (t) => {
    const file = `${laravel.folder}/log/broadcasting/team-7`
    writeFileSync(file, '')
    t.after(() => rmSync(file, { force: true }))
    const echo = ann.echo(t)
    const told = []
    const team = echo.private('team.7').listen('Said', ({ text }) => told.push(`team ${text}`))
      .subscribed(() => told.push('subscribed')).error(({ type, status, reason }) => told.push(`${type} ${status} ${reason}`))
    const news = echo.channel('news').listen('Said', ({ text }) => told.push(`news ${text}`)).error(() => told.push('news error'))
    await Promise.all([team, news].map(subscribed))
    const say = async (text, count) => {
      await bob.say(['news', 'private-team.7'], text)
      await until(`${text} has come`, () => told.filter((one) => one.endsWith(text)).length === count)
    }
    await say('before', 2)

    rmSync(file)
    await laravel.breakDown()
    await until('its loss is told', () => told.includes('AuthError 403 forbidden'))
    await say('without', 1)
    await laravel.breakDown()
    await say('still without', 1)
    writeFileSync(file, '')
    await laravel.breakDown()
    await until('it is back', () => told.filter((one) => one === 'subscribed').length === 2)
    await say('after', 2)

    assert.deepEqual(told.filter((one) => !/^(news|team) /.test(one)), ['subscribed', 'AuthError 403 forbidden', 'subscribed'])
    assert.ok(told.includes('news still without') && !told.includes('team still without'))
  })

  test('toOthers() leaves out the page that has another stream meanwhile', async (t) => {
    const [own, other] = [ann.echo(t), ann.echo(t)]
    const got = []
    await Promise.all([['own', own], ['other', other]].map(([name, echo]) =>
      subscribed(echo.private('App.User.1').listen('Said', (data) => got.push(`${name} ${JSON.stringify(data)}`)))))
    const before = { socketId: () => socket }
    const socket = own.socketId()

    await laravel.breakDown()
    await ann.say(['private-App.User.1'], 'to others', before)
    await ann.say(['private-App.User.1'], 'to all')

    await until('both have the last event', () => got.filter((one) => one.includes('to all')).length === 2)
    assert.deepEqual(got.toSorted(), ['other {"text":"to all"}', 'other {"text":"to others"}', 'own {"text":"to all"}'])
    assert.notEqual(own.socketId(), socket)
    assert.equal(own.socketId().split('.')[1], socket.split('.')[1])
  })

  test('an application that can not answer yet is asked again, and one that refuses all is not', async (t) => {
    const faults = await Faults.start(status(503), status(500), (response) => {
      response.writeHead(200, { 'Content-Type': 'application/json' })
      response.end(JSON.stringify({ channels: [], refused: [{ channel: 'a', reason: 'forbidden' }] }))
    }, status(419))
    t.after(() => faults.stop())
    const connector = new SseConnector({ host: faults.url, path: '/live/', stream: { retry: 10 } })
    t.after(() => connector.disconnect())
    const changes = []
    connector.onConnectionChange((status) => changes.push(status))

    const first = await new Promise((resolve) => connector.channel('a').error(resolve))
    const second = await new Promise((resolve) => connector.channel('b').error(resolve))

    assert.deepEqual([first.reason, second.status], ['forbidden', 419])
    assert.equal(faults.requests.length, 4)
    assert.equal(faults.requests[0].url.pathname + faults.requests[0].url.search, '/live/channels?channels%5B%5D=a')
    assert.deepEqual(changes.slice(0, 2), ['connecting', 'reconnecting'])
  })
})

test("its types are what Echo's are made for", () => {
  const js = fileURLToPath(new URL('..', import.meta.url))
  writeFileSync(join(folder, 'use.ts'), `
    import Echo from '${js}node_modules/laravel-echo/dist/echo.js'
    import SseConnector, { type SseEchoOptions, type SsePresenceChannel } from '${js}dist/sse-echo.js'
    const options: SseEchoOptions = { path: '/sse', session: 'a', stream: { method: 'POST' } }
    const echo = new Echo<'function'>({ broadcaster: SseConnector, ...options })
    const room: SsePresenceChannel = new SseConnector(options).presenceChannel('a')
    room.here((members) => members.length).joining(({ name }) => name).whisper('typing', { name: 'a' }).listen('Said', ({ text }) => text)
    echo.private('a').listen('Said', ({ text }: { text: string }) => text.length)
    // @ts-expect-error there is no such option
    new SseConnector({ stream: { url: '/' } })
  `)
  const options = ['--ignoreConfig', '--noEmit', '--strict', '--skipLibCheck', '--target', 'es2022', '--module', 'esnext']
  try {
    const tsc = join(js, 'node_modules/typescript/bin/tsc')
    execFileSync(process.execPath, [tsc, ...options, '--moduleResolution', 'bundler', '--types', '', join(folder, 'use.ts')])
  } catch (error) {
    assert.fail(String(error.stdout))
  }
})

const names = (members) => members.map(({ name }) => name).toSorted().join(' ')
