import t from 'tap'
import { binary } from '../drivers/binary.ts'
import { memjs } from '../drivers/memjs.ts'
import { meta } from '../drivers/meta.ts'
import { Client, MemcacheError, MemcacheServerError, MemcacheSocketError, MemcacheTimeoutError } from '../lib/index.ts'
import { failure, outcome, recovers } from './support/outcomes.ts'
import { withoutMemcached, withoutTwemproxy } from './support/servers.ts'
import { startProxied } from './support/twemproxy.ts'

/** The client behind a real twemproxy with two real memcached, which run as docs/examples/nutcracker.yml says. */

t.test('behind twemproxy', { skip: withoutTwemproxy || withoutMemcached, timeout: 90_000 }, async (t) => {
  const servers = await startProxied(t.testdir({}))
  const { backends } = servers
  const port = servers.state
  const client = new Client({ port, timeout: 10_000 })
  const direct = backends.map((backend) => new Client({ port: backend.port }))
  t.teardown(async () => {
    await Promise.all([client, ...direct].map((each) => each.close()))
    await servers.stop()
  })
  const keys = Array.from({ length: 200 }, (_, index) => `key-${index}`)
  const valueOf = (key: string): string => `value of ${key}`
  const fill = (through: Client): Promise<unknown> => through.setMulti(keys.map((key) => [key, valueOf(key)] as const))
  /** Which of the keys are on one of the two servers. */
  const keysOn = async (backend: 0 | 1): Promise<Set<string>> => new Set((await direct[backend]!.getMulti(keys)).keys())
  /** Asks for all keys at once, each by itself; says what is wrong with what each gives. */
  const wrongAmong = async (through: Client, right: (key: string, result: unknown) => boolean): Promise<unknown[]> => {
    const results = await Promise.all(keys.map((key) => through.get(key).catch((error: unknown) => error)))
    return keys.flatMap((key, place) => (right(key, results[place]) ? [] : [[key, results[place]]]))
  }

  await t.test('what it supports', async (t) => {
    t.equal(await client.set('k', 'v'), true)
    t.equal(await client.get('k'), 'v')
    t.equal(await client.get('nothing'), undefined)
    t.equal(await client.add('k', 'w'), false)
    t.equal(await client.replace('k', 'w', { ttl: 60 }), true)
    t.equal(await client.replace('nothing', 'w'), false)
    t.equal(await client.append('k', 'x'), true)
    t.equal(await client.prepend('k', 'u'), true)
    const versioned = await client.gets('k')
    t.equal(versioned?.value, 'uwx')
    t.equal(await client.cas('k', 'new', { cas: versioned!.cas, ttl: 90 * 86400 }), true)
    t.equal(await client.cas('k', 'newer', { cas: versioned!.cas }), false)
    t.equal(await client.touch('k', 60), true)
    t.equal(await client.touch('nothing', 60), false)
    t.equal(await client.delete('k'), true)
    t.equal(await client.delete('k'), false)
    t.equal(await client.incr('n'), undefined)
    t.equal(await client.incr('n', 1, { initial: 10 }), 10)
    t.equal(await client.incr('n', 5n), 15n)
    t.equal(await client.decr('n', 6), 9)
    t.equal(await client.get('n'), 9)
    t.equal(await client.set('empty', ''), true)
    t.equal(await client.get('empty'), '')
    const long = 'k'.repeat(250)
    t.equal(await client.set(long, { a: [1] }, { minCompressLength: 1 }), true)
    t.strictSame(await client.get(long), { a: [1] })
    t.match(await client.version(), /^\d/, "one of its servers'")
  })

  await t.test('large values, several at once', async (t) => {
    const large = ['L1', 'L2', 'L3', 'L4'].map((key, place) => [key, Buffer.alloc(900_000, place + 1)] as const)
    t.ok([...(await client.setMulti(large)).values()].every((stored) => stored))
    const found = await client.getMulti<Buffer>(large.map(([key]) => key))
    for (const [key, value] of large) t.ok(found.get(key)?.equals(value), key)
    const generous = new Client({ port, maxValueLength: 3_000_000 })
    t.match(await failure(generous.set('huge', Buffer.alloc(2_000_000))), { code: 'ERR_MEMCACHE_SERVER', command: 'set', message: /object too large/ })
    t.equal(await generous.set('k', 'v'), true, 'and on')
    await generous.close()
  })

  await t.test('lines as long as they become', async (t) => {
    const long = Array.from({ length: 150 }, (_, index) => String(index).padStart(250, 'l'))
    await client.setMulti(long.map((key) => [key, key] as const))
    t.strictSame([...(await client.getMulti(long)).keys()], long)
    await client.deleteMulti(long)
  })

  await t.test('many keys, on both servers', async (t) => {
    const stored = await client.setMulti(keys.map((key) => [key, valueOf(key)] as const))
    t.ok(keys.every((key) => stored.get(key) === true))
    const found = await client.getMulti([...keys, 'not-there'])
    t.strictSame([...found].sort(), keys.map((key) => [key, valueOf(key)]).sort())
    const counts = await Promise.all(direct.map(async (each) => (await each.getMulti(keys)).size))
    t.ok(counts.every((count) => count > 0), `${counts.join(' and ')} keys`)
    t.equal(counts[0]! + counts[1]!, keys.length)
    const versions = await client.getsMulti(keys)
    t.ok(keys.every((key) => typeof versions.get(key)?.cas === 'bigint'))
    const many = Array.from({ length: 1000 }, (_, index) => `many-${index}`.padEnd(100, '-'))
    await client.setMulti(many.map((key) => [key, key] as const))
    t.equal((await client.getMulti<string>(many)).size, many.length, 'more than fit into one line')
    const deleted = await client.deleteMulti([...many, 'not-there'])
    t.ok(many.every((key) => deleted.get(key) === true) && deleted.get('not-there') === false)
    t.equal((await client.getMulti(many)).size, 0)
  })

  await t.test('10,000 gets at once, each its own', async (t) => {
    const wrong: unknown[] = []
    await Promise.all(Array.from({ length: 10_000 }, async (_, place) => {
      const key = place % 3 === 0 ? `none-${place}` : keys[place % keys.length]!
      const value = await client.get(key)
      if (value !== (place % 3 === 0 ? undefined : valueOf(key))) wrong.push([key, value])
    }))
    t.same(wrong, [])
  })

  await t.test('what it does not support', async (t) => {
    const calls: readonly (readonly [string, () => Promise<unknown>])[] = [
      ['gat', () => client.gat('key-1', 10)],
      ['gats', () => client.gats('key-1', 10)],
      ['stats', () => client.stats()],
      ['stats', () => client.stats('items')],
      ['flushAll', () => client.flushAll()],
      ['verbosity', () => client.verbosity(1)],
      ['set', () => client.set('key-1', 'x', { ttl: -1 })],
      ['flush', () => client.queue('key-1').flush()],
    ]
    for (const [command, call] of calls) {
      const error = await failure(call())
      t.type(error, MemcacheSocketError)
      t.match(error, { command, sent: true, server: `127.0.0.1:${port}`, message: /^no answer to ".+": 127\.0\.0\.1:\d+ closed the connection$/ })
      t.ok(error.message.includes(`"${command}"`), error.message)
      t.notOk(error instanceof MemcacheTimeoutError)
      t.equal(await client.get('key-1'), valueOf('key-1'), `the client goes on after ${command}`)
    }
    const [before, refused, behind] = await Promise.all([
      client.get('key-2').catch((error: unknown) => error),
      failure(client.flushAll()),
      client.get('key-3').catch((error: unknown) => error),
    ])
    t.type(refused, MemcacheSocketError)
    for (const [result, key] of [[before, 'key-2'], [behind, 'key-3']] as const) {
      t.ok(result === valueOf(key) || result instanceof MemcacheSocketError, `${key}: its own value or none`)
    }
    t.equal(await client.get('key-4'), valueOf('key-4'))
  })

  await t.test('drivers whose protocol it does not speak', async (t) => {
    for (const [name, driver] of Object.entries({ binary, meta, memjs })) {
      const foreign = new Client({ port, driver, timeout: 10_000 })
      const calls: readonly (readonly [string, () => Promise<unknown>])[] = [
        ['get', () => foreign.get('a')], ['set', () => foreign.set('a', 'v')], ['getMulti', () => foreign.getMulti(['a', 'b'])], ['delete', () => foreign.delete('a')],
        ['incr', () => foreign.incr('a', 1, { initial: 1 })], ['touch', () => foreign.touch('a', 1)], ['stats', () => foreign.stats()], ['flushAll', () => foreign.flushAll()],
      ]
      for (const [command, call] of calls) {
        const error = await failure(call())
        t.ok(error instanceof MemcacheSocketError && !(error instanceof MemcacheTimeoutError), `${name}: ${command}: ${error.name}`)
        t.match(error, { command, sent: true, message: /closed the connection/ })
      }
      const together = await Promise.all(calls.map(([, call]) => outcome(call())))
      t.ok(together.every(({ error }) => error instanceof MemcacheError), `${name}: all at once`)
      await foreign.close()
    }
  })

  await t.test('a server of its that is stopped', async (t) => {
    const theirs = await keysOn(0)
    backends[0].pause()
    const wrong = await wrongAmong(client, (key, result) => (theirs.has(key) ? result instanceof MemcacheServerError : result === valueOf(key) || result instanceof MemcacheError))
    t.same(wrong, [], 'its keys are errors in time, those of the other are there: no miss is made up')
    const multi = await failure(client.getMulti(keys))
    t.type(multi, MemcacheServerError)
    t.match(multi, { command: 'getMulti', message: /timed out/, sent: true })
    const [first] = theirs
    const write = await failure(client.set(first!, valueOf(first!))) // its own value: the server may yet do it, long after the proxy gave up
    t.match(write, { code: 'ERR_MEMCACHE_SERVER', message: /timed out/ })
    backends[0].resume()
    await recovers(() => fill(client))
    t.equal((await client.getMulti(keys)).size, keys.length, 'and then all is well')
  })

  await t.test('a server of its that is dead', async (t) => {
    const theirs = await keysOn(1)
    await backends[1].stop()
    const right = (key: string, result: unknown): boolean =>
      theirs.has(key) ? result instanceof MemcacheServerError && result.sent && result.command === 'get' && /Connection/.test(result.message) : result === valueOf(key)
    await recovers(async () => {
      if (!/refused/.test((await failure(client.get([...theirs][0]!))).message)) throw new Error('the proxy has not noticed yet') // or else a reset is what its keys give
    })
    for (let round = 0; round < 5; round += 1) t.same(await wrongAmong(client, right), [], 'all at once: each key has its own result')
    for (const key of keys.slice(0, 60)) {
      const result = await client.get(key).catch((error: unknown) => error)
      if (!right(key, result)) t.fail(key, { result })
    }
    const [dead] = theirs
    const [alive] = keys.filter((key) => !theirs.has(key))
    const writes = { set: client.set(dead!, 'x'), delete: client.delete(dead!), incr: client.incr(dead!), touch: client.touch(dead!, 5), append: client.append(dead!, 'x') }
    for (const [command, call] of Object.entries(writes)) t.match(await failure(call), { code: 'ERR_MEMCACHE_SERVER', command, message: 'SERVER_ERROR Connection refused' })
    const multi = await failure(client.getMulti(keys))
    t.type(multi, MemcacheServerError, 'a multi-key get that needs both says so')
    t.match(multi, { command: 'getMulti', sent: true, message: 'SERVER_ERROR Connection refused' })
    t.type(await failure(client.setMulti(keys.map((key) => [key, valueOf(key)] as const))), MemcacheServerError)
    t.equal((await client.getMulti([alive!])).get(alive!), valueOf(alive!), 'one that does not goes on')
    t.equal(await client.set(alive!, 'x'), true)
    t.equal(await client.get(alive!), 'x')
    await servers.restart(1)
    t.equal(await recovers(() => client.set(dead!, 'back')), true)
    t.equal(await client.get(dead!), 'back', 'and it comes back')
    t.equal(await direct[1]!.get(dead!), 'back', 'with its keys')
    await fill(client)
  })

  await t.test('the proxy itself dies, and comes back', async (t) => {
    const during = Promise.all(keys.map((key) => outcome(client.get(key))))
    await servers.proxy.stop()
    for (const [place, { value, error }] of (await during).entries()) {
      if (error === undefined ? value !== valueOf(keys[place]!) : !(error instanceof MemcacheSocketError)) t.fail(keys[place]!, { value, error })
    }
    const error = await failure(client.get('key-1'))
    t.ok(error instanceof MemcacheSocketError && !error.sent, error.message)
    await servers.restart('proxy')
    t.equal(await recovers(() => client.get('key-1')), valueOf('key-1'))
    t.same(await wrongAmong(client, (key, result) => result === valueOf(key)), [])
  })

  await t.test('the pool that ejects a dead server', async (t) => {
    const cache = new Client({ port: servers.cache, timeout: 10_000 })
    await fill(cache)
    const theirs = await keysOn(0)
    const [moved, stale] = theirs
    await backends[0].stop()
    t.type(await failure(cache.get(moved!)), MemcacheServerError, 'first errors')
    t.equal(await recovers(() => cache.get(moved!)), undefined, 'then its keys are misses, on the other server')
    t.same(await wrongAmong(cache, (key, result) => (theirs.has(key) ? result === undefined || result instanceof MemcacheServerError : result === valueOf(key))), [])
    for (const key of [moved!, stale!]) t.equal(await recovers(() => cache.set(key, 'for now')), true)
    t.equal(await direct[1]!.get(moved!), 'for now')
    await servers.restart(0)
    await recovers(async () => {
      await cache.set(moved!, 'at home')
      if ((await direct[0]!.get(moved!)) !== 'at home') throw new Error('the server does not have its keys back')
    })
    t.equal(await cache.get(moved!), 'at home', 'it is back, with its keys')
    t.equal(await cache.get(stale!), undefined, 'as misses,')
    t.equal(await direct[1]!.get(stale!), 'for now', 'and what was stored meanwhile is where it was, for the next time')
    t.same(await wrongAmong(cache, (key, result) => key === moved || (theirs.has(key) ? result === undefined : result === valueOf(key))), [])
    await cache.close()
  })

  await t.test('no server behind it', async (t) => {
    await Promise.all(backends.map((backend) => backend.stop()))
    for (const call of [() => client.get('key-1'), () => client.set('key-1', 'x'), () => client.version(), () => client.getMulti(keys)]) {
      const { error } = await outcome(call())
      t.ok(error instanceof MemcacheServerError || error instanceof MemcacheSocketError, String(error))
      t.notOk(error instanceof MemcacheTimeoutError)
    }
    t.same(await wrongAmong(client, (_, result) => result instanceof MemcacheServerError), [])
    await servers.restart(0)
    await servers.restart(1)
    t.equal(await recovers(() => client.set('key-1', 'x')), true)
  })
})
