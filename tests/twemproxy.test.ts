import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Client, MemcacheError, MemcacheServerError, MemcacheSocketError } from '../lib/index.ts'
import { rejection as failure } from '../lib/testing/contract/rejection.ts'
import { freePort, startMemcached, startProgram, withoutMemcached, withoutTwemproxy, type RealServer } from './support/servers.ts'

/** The client behind a real twemproxy with two real memcached. */

t.test('behind twemproxy', { skip: withoutTwemproxy || withoutMemcached, timeout: 60_000 }, async (t) => {
  const backends = [await startMemcached(), await startMemcached()] as const
  const [port, stats] = [await freePort(), await freePort()]
  const config = join(t.testdir({}), 'nutcracker.yml')
  writeFileSync(config, [
    'pool:',
    `  listen: 127.0.0.1:${port}`,
    '  hash: fnv1a_64',
    '  distribution: ketama',
    '  auto_eject_hosts: false',
    '  timeout: 400',
    '  servers:',
    ...backends.map((backend, index) => `   - 127.0.0.1:${backend.port}:1 backend${index}`),
    '',
  ].join('\n'))
  const proxy: RealServer = await startProgram('nutcracker', ['-c', config, '-s', String(stats), '-o', join(t.testdirName, 'log')], port)
  const client = new Client({ port, timeout: 3000 })
  const direct = backends.map((backend) => new Client({ port: backend.port }))
  t.teardown(async () => {
    await Promise.all([client, ...direct].map((each) => each.close()))
    await Promise.all([proxy, ...backends].map((each) => each.stop()))
  })
  const keys = Array.from({ length: 60 }, (_, index) => `key-${index}`)
  const valueOf = (key: string): string => `value of ${key}`

  await t.test('what it supports', async (t) => {
    t.equal(await client.set('k', 'v'), true)
    t.equal(await client.get('k'), 'v')
    t.equal(await client.get('nothing'), undefined)
    t.equal(await client.add('k', 'w'), false)
    t.equal(await client.replace('k', 'w', { ttl: 60 }), true)
    t.equal(await client.append('k', 'x'), true)
    t.equal(await client.prepend('k', 'u'), true)
    const versioned = await client.gets('k')
    t.equal(versioned?.value, 'uwx')
    t.equal(await client.cas('k', 'new', { cas: versioned!.cas }), true)
    t.equal(await client.cas('k', 'newer', { cas: versioned!.cas }), false)
    t.equal(await client.touch('k', 60), true)
    t.equal(await client.delete('k'), true)
    t.equal(await client.delete('k'), false)
    t.equal(await client.incr('n'), undefined)
    t.equal(await client.incr('n', 1, { initial: 10 }), 10)
    t.equal(await client.incr('n', 5n), 15n)
    t.equal(await client.decr('n', 6), 9)
    t.equal(await client.get('n'), 9)
    t.strictSame(await client.set('empty', ''), true)
    t.equal(await client.get('empty'), '')
    const large = Buffer.alloc(900_000, 'x')
    t.equal(await client.set('large', large), true)
    t.ok(large.equals((await client.get<Buffer>('large')) ?? Buffer.alloc(0)))
    t.match(await client.version(), /^\d/)
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
    const singly = await Promise.all(many.map((key) => client.get(key)))
    t.strictSame(singly, many, 'pipelined, in order')
  })

  await t.test('what it does not support', async (t) => {
    const calls: readonly (readonly [string, () => Promise<unknown>])[] = [
      ['gat', () => client.gat('key-1', 10)],
      ['gats', () => client.gats('key-1', 10)],
      ['stats', () => client.stats()],
      ['flushAll', () => client.flushAll()],
      ['verbosity', () => client.verbosity(1)],
    ]
    for (const [command, call] of calls) {
      const error = await failure(call())
      t.type(error, MemcacheSocketError)
      t.match(error, { command, sent: true, server: `127.0.0.1:${port}`, message: new RegExp(`"${command}".*closed the connection`) })
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

  await t.test('a value that is too large for its servers', async (t) => {
    const generous = new Client({ port, maxValueLength: 3_000_000 })
    t.match(await failure(generous.set('huge', Buffer.alloc(2_000_000))), { code: 'ERR_MEMCACHE_SERVER', message: /object too large/ })
    t.equal(await generous.get('key-1'), valueOf('key-1'), 'on the same connection')
    await generous.close()
  })

  await t.test('a server of its that is stopped', async (t) => {
    const theirs = new Set((await direct[0]!.getMulti(keys)).keys())
    backends[0].pause()
    const outcomes = await Promise.all(keys.map((key) => client.get(key).catch((error: unknown) => error)))
    for (const [index, key] of keys.entries()) {
      const outcome = outcomes[index]
      const fine = theirs.has(key) ? outcome instanceof MemcacheServerError : outcome === valueOf(key) || outcome instanceof MemcacheError
      if (!fine) t.fail(key, { outcome })
    }
    backends[0].resume()
    const until = performance.now() + 5000
    while ((await client.getMulti(keys).catch(() => new Map())).size < keys.length && performance.now() < until) await sleep(50)
    t.equal((await client.getMulti(keys)).size, keys.length, 'and then all is well')
  })

  await t.test('a server of its that is dead', async (t) => {
    const theirs = new Set((await direct[1]!.getMulti(keys)).keys())
    await backends[1].stop()
    for (let round = 0; round < 3; round += 1) {
      for (const key of keys) {
        const outcome = await client.get(key).catch((error: unknown) => error)
        if (theirs.has(key)) {
          if (!(outcome instanceof MemcacheServerError && outcome.sent && outcome.command === 'get')) t.fail(`${key} is on the dead server`, { outcome })
        } else if (outcome !== valueOf(key)) t.fail(`${key} is on the other`, { outcome })
      }
    }
    const pipelined = await Promise.all(keys.map((key) => client.get(key).catch((error: unknown) => error)))
    for (const [index, key] of keys.entries()) {
      const outcome = pipelined[index]
      if (!(theirs.has(key) ? outcome instanceof MemcacheServerError : outcome === valueOf(key))) t.fail(`${key}, pipelined`, { outcome })
    }
    const [dead] = theirs
    const [alive] = keys.filter((key) => !theirs.has(key))
    const writes = await Promise.all([failure(client.set(dead!, 'x')), failure(client.delete(dead!)), failure(client.incr(dead!)), failure(client.touch(dead!, 5))])
    for (const error of writes) t.type(error, MemcacheServerError)
    t.type(await failure(client.getMulti(keys)), MemcacheError, 'a multi-key get that needs both says so')
    t.equal((await client.getMulti([alive!])).get(alive!), valueOf(alive!), 'one that does not goes on')
    t.equal(await client.set(alive!, 'x'), true)
    t.equal(await client.get(alive!), 'x')
    const again = await startMemcached([], backends[1].port)
    const until = performance.now() + 8000
    while ((await client.set(dead!, 'back').catch(() => false)) !== true && performance.now() < until) await sleep(50)
    t.equal(await client.get(dead!), 'back', 'and it comes back')
    await again.stop()
  })
})
