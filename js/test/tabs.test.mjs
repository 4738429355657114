// Tabs of one browser that share a connection, in each browser.
import assert from 'node:assert/strict'
import { test as limitless } from 'node:test'
import { begin, data, got, happened, inEach, leads, takeOver, untilGot } from './support/browsers.mjs'
import { numbers } from './support/numbers.mjs'
import { until } from './support/until.mjs'

// What a page is asked has no time limit of its own; without one here the whole file would end, and no test be named.
const test = (name, run) => limitless(name, { timeout: 150_000 }, run)

inEach('tabs of one browser', {}, (site) => {
  test('eight of them have one connection, counted on the server, and each gets what it watches', async (t) => {
    const context = await site.user(t)
    const pages = []
    for (const n of numbers(1, 8)) pages.push(await site.tab(context, ['all', `own.${n}`]))
    await site.server.untilStreams(1)
    await site.server.publish({ topic: 'all', data: 'x' }, ...numbers(1, 8).map((n) => ({ topic: `own.${n}`, data: n })))
    for (const page of pages) await untilGot(page, 2)

    for (const [at, page] of pages.entries()) assert.deepEqual(await got(page), [['all', 'x'], [`own.${at + 1}`, at + 1]])
    assert.deepEqual(await Promise.all(pages.map(leads)), [true, ...Array(7).fill(false)])
  })

  for (const [how, end, id = () => undefined] of [
    ['is closed', (page) => page.close()],
    ["is closed, while events have publishers' ids", (page) => page.close(), (n) => `row-${n}`],
    ['goes to another page', (page) => page.goto('about:blank')],
  ]) {
    test(`the one with the connection ${how}: another takes over, and nothing is lost or doubled`, (t) => takeOver(site, t, end, id))
  }

  // A headless Chromium never freezes a page, so that the events here are the test's own.
  test('the one with the connection is frozen: another takes over, and it joins again when it thaws', async (t) => {
    const context = await site.user(t)
    const [leader, other] = [await site.tab(context, ['news']), await site.tab(context, ['news'])]
    await leader.evaluate(() => document.dispatchEvent(new Event('freeze')))
    await until('it leads', () => leads(other))
    await site.server.publish({ topic: 'news', data: 1 })
    await untilGot(other, 1)
    await leader.evaluate(() => document.dispatchEvent(new Event('resume')))
    await untilGot(leader, 1)
    await site.server.publish({ topic: 'news', data: 2 })
    for (const page of [leader, other]) await untilGot(page, 2)

    for (const page of [leader, other]) assert.deepEqual(await data(page), [1, 2])
    await site.server.untilStreams(1)
  })

  test('another one is frozen while events come: it gets them when it thaws', async (t) => {
    const context = await site.user(t)
    const [leader, other] = [await site.tab(context, ['news']), await site.tab(context, ['news'])]
    await other.evaluate(() => document.dispatchEvent(new Event('freeze')))
    await site.server.publish({ topic: 'news', data: 1 })
    await untilGot(leader, 1)
    await other.evaluate(() => document.dispatchEvent(new Event('resume')))
    await untilGot(other, 1)
    await site.server.publish({ topic: 'news', data: 2 })
    for (const page of [leader, other]) await untilGot(page, 2)

    for (const page of [leader, other]) assert.deepEqual(await data(page), [1, 2])
  })

  test('one that is opened while events come gets all since its page was made', async (t) => {
    const context = await site.user(t)
    await site.tab(context, ['news'])
    const page = await context.newPage()
    await page.goto(`${site.server.url}/test/app/page.php`)
    await site.server.publish({ topic: 'news', data: 'since' })
    const cursor = await page.evaluate(() => page.cursor)
    await begin(page, ['news'], { lastEventId: cursor })
    await site.server.publish({ topic: 'news', data: 'now' })
    await untilGot(page, 2)

    assert.deepEqual(await data(page), ['since', 'now'])
    await site.server.untilStreams(1)
  })

  test('five that are opened at once while events come: each gets all since its page was made, once and in order', async (t) => {
    const context = await site.user(t)
    const total = 200
    let open = false
    const publishing = (async () => {
      for (const n of numbers(1, total)) {
        // The last ones when all are there, so that there is something to wait for.
        if (n === total) await until('all tabs are open', () => open)
        await site.server.publish({ topic: 'busy', data: n })
      }
    })()
    const pages = await Promise.all(numbers(1, 5).map(async () => {
      const page = await context.newPage()
      const [before] = await site.server.publish({ topic: 'mark', data: 0 })
      await page.goto(`${site.server.url}/test/app/page.php`)
      const cursor = await page.evaluate(() => page.cursor)
      await begin(page, ['busy'], { lastEventId: cursor })
      return { page, before, cursor }
    }))
    open = true
    await publishing
    for (const { page } of pages) await until('the last has come', async () => (await data(page)).at(-1) === total)

    for (const { page, before, cursor } of pages) {
      const all = await data(page)
      assert.ok(cursor >= before)
      assert.deepEqual(all, numbers(all[0], total))
      // Read again from its cursor by a client that shares nothing.
      const alone = await site.tab(await site.user(t), ['busy'], { lastEventId: cursor, session: undefined })
      await until('the last has come', async () => (await data(alone)).at(-1) === total)
      assert.deepEqual(await data(alone), all)
    }
    await site.server.untilStreams(6)
  })

  test('each knows who is there, also one that is opened later, and after another has taken the connection', async (t) => {
    const context = await site.user(t)
    const config = { url: '/test/app/stream.php?user=ann' }
    const here = (page) => page.evaluate(() => room.list.map(({ id }) => id).sort())
    const enter = (page) => page.evaluate(async () => {
      window.room = manager.presence('room')
      window.told = []
      for (const name of ['list', 'join', 'leave']) room.on(name, ({ members }) => told.push([name, members.map(({ id }) => id)]))
      await room.ready
    })
    const leader = await site.tab(context, ['room'], config)
    await enter(leader)
    const bob = await site.tab(await site.user(t), ['room'], { url: '/test/app/stream.php?user=bob', session: 'bob' })
    await until('bob has come', async () => (await here(leader)).length === 2)
    const later = await site.tab(context, ['room'], config)
    await enter(later)
    assert.deepEqual(await here(later), ['ann', 'bob'])
    await site.server.untilStreams(2)
    await bob.close()
    for (const page of [leader, later]) await until('bob has gone', async () => (await here(page)).length === 1)
    assert.deepEqual(await later.evaluate(() => told.at(-1)), ['leave', ['bob']])
    await leader.close()
    await until('it leads', () => leads(later))
    await until('it has the list of its own stream', () => later.evaluate(() => told.at(-1)[0] === 'list'))
    assert.deepEqual(await here(later), ['ann'])
  })

  test('each begins with the last values, also one that is opened later, and none gets them twice', async (t) => {
    const context = await site.user(t)
    await site.server.publish({ topic: 'lamp', data: 'on', retain: true })
    const first = await site.tab(context, ['lamp'], { retained: true })
    await untilGot(first, 1)
    const second = await site.tab(context, ['lamp'], { retained: true })
    await untilGot(second, 1)
    await site.server.publish({ topic: 'lamp', data: 'off', retain: true })
    for (const page of [first, second]) await untilGot(page, 2)

    for (const page of [first, second]) assert.deepEqual(await data(page), ['on', 'off'])
    await site.server.untilStreams(1)
  })

  test('topics of each come and go by the stream that is open', async (t) => {
    const context = await site.user(t)
    const config = { url: '/test/app/stream.php?streamId=1', topicsUrl: '/test/app/topics.php' }
    const leader = await site.tab(context, ['news'], config)
    await until('the id is known', () => leader.evaluate(() => manager.streamId))
    const before = (await site.server.stats()).streams.opened
    const later = await site.tab(context, ['news', 'own.later'], config)
    await until('the id is known there', () => later.evaluate(() => manager.streamId))
    await leader.evaluate(() => manager.subscribe('own.leader', ({ topic, data }) => got.push([topic, data])).ready)
    const publish = (n) => site.server.publish(...['news', 'own.later', 'own.leader'].map((topic) => ({ topic, data: n })))
    await publish(1)
    for (const page of [leader, later]) await untilGot(page, 2)
    const retopics = (await site.server.stats()).retopics
    await later.evaluate(() => subscriptions[1]())
    await until('it was left', async () => (await site.server.stats()).retopics > retopics)
    await publish(2)
    await untilGot(leader, 4)
    await untilGot(later, 3)

    assert.deepEqual(await got(leader), [['news', 1], ['own.leader', 1], ['news', 2], ['own.leader', 2]])
    assert.deepEqual(await got(later), [['news', 1], ['own.later', 1], ['news', 2]])
    assert.equal((await site.server.stats()).streams.opened, before)
  })

  test('each is told that a topic is finished', async (t) => {
    const context = await site.user(t)
    const pages = [await site.tab(context, ['job.of.tabs', 'news']), await site.tab(context, ['job.of.tabs'])]
    for (const page of pages) await page.evaluate(() => { subscriptions[0].finished.then(() => (window.done = true)) })
    await site.server.publish({ topic: 'job.of.tabs', data: 1 }, { topic: 'job.of.tabs', data: 2, finish: true })
    for (const page of pages) await until('it is told', () => page.evaluate(() => window.done === true))
    for (const page of pages) assert.deepEqual(await data(page), [1, 2])
  })

  test('a topic that one is refused changes nothing for the others', async (t) => {
    const context = await site.user(t)
    const [first, second] = [await site.tab(context, ['news']), await site.tab(context, ['news'])]
    const refusal = await second.evaluate(() => manager.subscribe('secret.plans').ready.catch(({ message }) => message))
    await site.server.publish({ topic: 'news', data: 1 })
    for (const page of [first, second]) await untilGot(page, 1)

    assert.match(refusal, /403/)
    assert.equal((await happened(second, 'error')).length, 1)
    assert.equal((await happened(first, 'error')).length, 0)
  })

  test('those of another session have a connection of their own', async (t) => {
    const context = await site.user(t)
    await site.tab(context, ['news'])
    await site.tab(context, ['news'], { session: 'bob' })
    await site.server.untilStreams(2)
  })

  for (const [what, config] of [['share is false', { share: false }], ['there is no session', { session: undefined }]]) {
    test(`each has its own where ${what}`, async (t) => {
      const context = await site.user(t)
      for (const page of [await site.tab(context, ['news'], config), await site.tab(context, ['news'], config)]) assert.equal(await leads(page), true)
      await site.server.untilStreams(2)
    })
  }
})
