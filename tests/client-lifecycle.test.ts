import { Buffer } from 'node:buffer'
import { getEventListeners, once } from 'node:events'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { binary } from '../drivers/binary.ts'
import { memjs } from '../drivers/memjs.ts'
import { meta } from '../drivers/meta.ts'
import { text, textProtocol } from '../drivers/text.ts'
import { Client } from '../lib/client.ts'
import type { Exchange } from '../lib/driver.ts'
import * as errors from '../lib/errors.ts'
import { MemcacheClosedError, MemcacheError, MemcacheOverloadError, MemcacheSocketError, MemcacheTimeoutError } from '../lib/errors.ts'
import type { Middleware } from '../lib/middleware.ts'
import type { ClientOptions } from '../lib/options.ts'
import type { Serializer } from '../lib/serialization.ts'
import { startServer, type TestServer } from '../lib/testing/index.ts'
import { wire } from '../lib/wire.ts'
import { wrap } from '../lib/wrap.ts'
import { rejection } from '../lib/testing/contract/rejection.ts'
import { answering, startScripted } from './support/scripted-server.ts'
import { freePort } from './support/servers.ts'

/** A client's life: its connections, its deadlines, and what it tells of both. */

/** An embedded server and clients of it, all closed when the test is over. */
async function scene(t: Test): Promise<{ server: TestServer; make: (options?: ClientOptions) => Client }> {
  const server = await startServer()
  const clients: Client[] = []
  t.teardown(async () => {
    for (const client of clients) await client.close()
    await server.close()
  })
  const make = (options: ClientOptions = {}): Client => {
    const client = new Client({ host: server.host, port: server.port, ...options })
    clients.push(client)
    return client
  }
  return { server, make }
}

/** Waits for what has to be true in the end. */
async function until(what: () => boolean): Promise<void> {
  for (let attempt = 0; !what(); attempt += 1) {
    if (attempt === 1500) throw new Error(`not true in the end: ${String(what)}`)
    await sleep(10)
  }
}

void t.test('connecting', async (t) => {
  void t.test('a client connects at its first command, once for all that wait', async (t) => {
    const { server, make } = await scene(t)
    const client = make()
    await sleep(20)
    t.strictSame([server.connectionsAccepted, client.isConnected(), client.socket], [0, false, undefined])
    const calls = Array.from({ length: 200 }, (_, index) => (index % 3 === 0 ? client.set(`k${index}`, index) : index % 3 === 1 ? client.get('x') : client.version()))
    const [first, second] = [client.connect(), client.connect()]
    t.equal(client.isConnected(), false, 'not yet')
    t.ok(client.socket, 'but there is an attempt')
    await Promise.all([...calls, first, second])
    t.equal(server.connectionsAccepted, 1)
    t.equal(client.isConnected(), true)
    t.equal(client.socket?.remotePort, server.port)
    await client.connect()
    t.equal(server.connectionsAccepted, 1)
  })

  void t.test('connect({ reconnect: true }) makes a new connection', async (t) => {
    const { server, make } = await scene(t)
    const client = make()
    await client.set('k', 1)
    const old = client.socket
    server.stall()
    const pending = rejection(client.get('k'))
    await nextTurn()
    server.resume()
    server.stall()
    await client.connect({ reconnect: true })
    t.match(await pending, { name: 'MemcacheClosedError', command: 'get', sent: true })
    server.resume()
    t.not(client.socket, old)
    t.equal(old?.destroyed, true)
    t.equal(await client.get('k'), 1)
    t.equal(server.connectionsAccepted, 2)
    const fresh = make()
    await fresh.connect({ reconnect: true })
    t.equal(fresh.isConnected(), true, 'also where there was none')
  })

  void t.test('connect() rejects with what is wrong', async (t) => {
    const port = await freePort()
    const client = new Client({ port })
    const error = await rejection(client.connect())
    t.match(error, { name: 'MemcacheSocketError', code: 'ERR_MEMCACHE_SOCKET', server: `127.0.0.1:${port}`, sent: false, cause: { code: 'ECONNREFUSED' } })
    t.equal(error.command, undefined)
    t.match(await rejection(client.connect({ reconnect: true })), { name: 'MemcacheSocketError' })
    t.match(await rejection(new Client({ path: '/no/such/socket' }).connect()), { name: 'MemcacheSocketError', server: '/no/such/socket', cause: { code: 'ENOENT' } })
    t.match(await rejection(new Client({ host: 'no.such.host.invalid' }).get('k')), { name: 'MemcacheSocketError', sent: false, command: 'get', server: 'no.such.host.invalid:11211' })
    t.strictSame([client.isConnected(), client.socket], [false, undefined])
  })

  void t.test('after failed attempts calls fail at once for a while, with the last cause', async (t) => {
    const client = new Client({ port: await freePort() })
    const sockets = new Set<unknown>()
    let calls = 0
    const end = performance.now() + 1500
    while (performance.now() < end) {
      const call = rejection(client.get('k'))
      sockets.add(client.socket)
      t.match(await call, { name: 'MemcacheSocketError', command: 'get', sent: false, cause: { code: 'ECONNREFUSED' }, message: /ECONNREFUSED/ })
      calls += 1
      await sleep(2)
    }
    sockets.delete(undefined)
    t.ok(sockets.size >= 2 && sockets.size <= 15, `${sockets.size} attempts for ${calls} calls`)
    const many = Array.from({ length: 1000 }, () => rejection(client.get('k')))
    const { socket } = client
    for (const error of await Promise.all(many)) if (!(error instanceof MemcacheSocketError)) t.fail(error)
    t.ok(socket === undefined || !sockets.has(socket), 'at most one attempt for all of them')
    await client.close()
  })

  void t.test('a client comes back when its server does', async (t) => {
    const port = await freePort()
    const client = new Client({ port })
    for (let round = 0; round < 3; round += 1) {
      const server = await startServer({ port })
      await until(() => client.isConnected() || (void client.set('k', round).catch(() => {}), false))
      t.equal(await client.set('k', round), true)
      t.equal(await client.get('k'), round)
      const [cause] = (await Promise.all([once(client, 'disconnect'), server.close()]))[0] as [MemcacheError]
      t.ok(cause instanceof MemcacheSocketError)
      t.match(await rejection(client.get('k')), { name: 'MemcacheSocketError', sent: false })
    }
    const server = await startServer({ port })
    await client.connect()
    t.equal(await client.get('k'), undefined, 'connect() does not wait for the pause to end')
    await client.close()
    await server.close()
  })

  void t.test('a connection that broke is made again by the next command, at once', async (t) => {
    const { server, make } = await scene(t)
    const client = make()
    for (let round = 0; round < 5; round += 1) {
      await client.set('k', round)
      const gone = once(client, 'disconnect')
      server.dropConnections({ reset: round % 2 === 1 })
      await gone
      t.equal(client.isConnected(), false)
      t.equal(await client.get('k'), round)
    }
    t.equal(server.connectionsAccepted, 6)
  })
})

void t.test('closing', async (t) => {
  void t.test('close() rejects what is pending and what comes later, until connect()', async (t) => {
    const { server, make } = await scene(t)
    const client = make()
    await client.set('k', 1)
    server.stall()
    const written = [rejection(client.get('k')), rejection(client.setMulti({ a: 1, b: 2 })), rejection(client.incr('n', 1, { initial: 1 }))]
    await sleep(20)
    const unwritten = [rejection(client.get('k')), rejection(client.getMulti(['k']))]
    const closed = client.close()
    t.strictSame([client.isConnected(), client.socket], [false, undefined])
    for (const error of await Promise.all(written)) t.match(error, { name: 'MemcacheClosedError', code: 'ERR_MEMCACHE_CLOSED', sent: true })
    for (const error of await Promise.all(unwritten)) t.match(error, { name: 'MemcacheClosedError', sent: false })
    await closed
    server.resume()
    for (const call of [client.get('k'), client.set('k', 1), client.getMulti([]), client.setMulti([]), client.version(), client.get('bad key')]) {
      t.match(await rejection(call), { name: 'MemcacheClosedError', sent: false, server: `${server.host}:${server.port}` })
    }
    await client.close()
    await client.disconnect()
    t.equal(server.connectionsAccepted, 1)
    await client.connect()
    t.equal(await client.get('k'), 1)
    await client.disconnect()
    t.match(await rejection(client.get('k')), { name: 'MemcacheClosedError' })
  })

  void t.test('close() while connecting, and before', async (t) => {
    const { server, make } = await scene(t)
    const client = make()
    const [get, connecting] = [rejection(client.get('k')), rejection(client.connect())]
    await client.close()
    t.match(await get, { name: 'MemcacheClosedError', command: 'get', sent: false })
    t.match(await connecting, { name: 'MemcacheClosedError' })
    const unused = make()
    await unused.close()
    t.match(await rejection(unused.get('k')), { name: 'MemcacheClosedError' })
    await sleep(20)
    t.strictSame([client.isConnected(), server.connections], [false, 0])
    await Promise.all([client.connect(), client.get('k').catch(() => {})])
    t.equal(client.isConnected(), true)
  })

  void t.test('close() while a driver of another library connects', async (t) => {
    let connected = (): void => {}
    const driver = wrap('slow', () => ({ commands: { get: () => undefined }, connect: () => new Promise<void>((resolve) => (connected = resolve)), close() {} }))
    const client = new Client({ driver })
    const events: string[] = []
    client.on('connect', () => events.push('connect')).on('disconnect', () => events.push('disconnect'))
    const get = rejection(client.get('k'))
    await client.close()
    connected()
    t.match(await get, { name: 'MemcacheClosedError', command: 'get' })
    await nextTurn()
    t.strictSame([client.isConnected(), events], [false, []], 'what connects too late is no connection')
  })

  void t.test('a driver of another library is never asked for what was given up while it connected', async (t) => {
    const asked: string[] = []
    let connected = (): void => {}
    const driver = wrap('slow', () => ({ commands: { get: ({ key }) => void asked.push(key) }, connect: () => new Promise<void>((resolve) => (connected = resolve)), close() {} }))
    const client = new Client({ driver })
    const controller = new AbortController()
    const [aborted, late, kept] = [rejection(client.get('aborted', { signal: controller.signal })), rejection(client.get('late', { timeout: 5 })), client.get('kept')]
    controller.abort('enough')
    t.equal(await aborted, 'enough')
    t.match(await late, { name: 'MemcacheTimeoutError', command: 'get' })
    connected()
    t.equal(await kept, undefined)
    t.strictSame(asked, ['kept'])
    await client.close()
  })

  void t.test('await using closes', async (t) => {
    const { server, make } = await scene(t)
    const outer = await (async () => {
      await using client = make()
      await client.set('k', 1)
      return client
    })()
    t.match(await rejection(outer.get('k')), { name: 'MemcacheClosedError' })
    await until(() => server.connections === 0)
  })
})

void t.test('events', async (t) => {
  void t.test('connect, and disconnect with its cause', async (t) => {
    const { server, make } = await scene(t)
    const client = make({ timeout: 100 })
    const causes: MemcacheError[] = []
    let connects = 0
    client.on('connect', () => (connects += 1)).on('disconnect', (cause) => causes.push(cause))
    await client.set('k', 1)
    t.strictSame([connects, causes.length], [1, 0])
    await client.close()
    await client.connect()
    server.dropConnections()
    await until(() => causes.length === 2)
    await client.get('k')
    server.garble('GARBAGE\r\n')
    await rejection(client.get('k'))
    await client.get('k')
    server.stall()
    await rejection(client.get('k'))
    server.resume()
    await client.get('k')
    server.dropConnections({ reset: true })
    await until(() => causes.length === 5)
    t.strictSame(causes.map(({ name }) => name), ['MemcacheClosedError', 'MemcacheSocketError', 'MemcacheProtocolError', 'MemcacheTimeoutError', 'MemcacheSocketError'])
    t.match(causes[4], { server: `${server.host}:${server.port}`, cause: { code: 'ECONNRESET' } })
    await client.get('k')
    await until(() => connects === 6)
    await client.connect({ reconnect: true })
    await until(() => connects === 7)
    t.equal(causes.length, 6)
  })

  void t.test('an attempt that fails is no event', async (t) => {
    const client = new Client({ port: await freePort() })
    const events: string[] = []
    for (const name of ['connect', 'disconnect', 'error'] as const) client.on(name as 'connect', () => events.push(name))
    await rejection(client.get('k'))
    await rejection(client.connect())
    await client.close()
    await nextTurn()
    t.strictSame(events, [])
  })
})

void t.test('bounds', async (t) => {
  void t.test('maxPending', async (t) => {
    const { server, make } = await scene(t)
    const client = make({ maxPending: 3 })
    for (let round = 0; round < 3; round += 1) {
      server.stall()
      const calls = [client.get('a'), client.set('b', 1), client.version()]
      const refused = await rejection(client.get('c'))
      t.ok(refused instanceof MemcacheOverloadError)
      t.match(refused, { code: 'ERR_MEMCACHE_OVERLOAD', command: 'get', server: `${server.host}:${server.port}`, sent: false })
      t.match(await rejection(client.setMulti({ a: 1, b: 2 })), { name: 'MemcacheOverloadError', command: 'setMulti' })
      server.resume()
      t.strictSame(await Promise.all(calls), [undefined, true, '1.6.18'])
    }
  })

  void t.test('maxPendingBytes, given back however a call ends', async (t) => {
    const { server, make } = await scene(t)
    const client = make({ maxPendingBytes: 5000, timeout: 300 })
    const value = 'v'.repeat(2000)
    const controller = new AbortController()
    const full = async (): Promise<void> => {
      server.stall()
      const calls = [client.set('a', value), client.set('b', value, { signal: controller.signal })].map((call) => call.catch((error: unknown) => error))
      t.match(await rejection(client.set('c', value)), { name: 'MemcacheOverloadError', sent: false })
      t.match(await rejection(client.get('small', { timeout: 50 })), { name: 'MemcacheTimeoutError' }, 'a small one fits')
      await Promise.all(calls)
      server.resume()
    }
    await full()
    t.equal(await client.set('a', value), true, 'after a timeout, which ended the connection')
    controller.abort()
    const aborted = client.set('b', value, { signal: new AbortController().signal })
    t.equal(await aborted, true)
    for (let round = 0; round < 20; round += 1) {
      const soon = new AbortController()
      const call = rejection(client.set('b', value, { signal: soon.signal }))
      soon.abort()
      await call
      t.equal(await client.set('c', value), true, 'after an abort')
    }
    t.match(await rejection(client.set('big', 'v'.repeat(5000))), { name: 'MemcacheOverloadError' }, 'one that never fits')
    t.match(await rejection(client.set('k', undefined)), { name: 'MemcacheValueError' })
    await Promise.all([client.set('a', value), client.set('b', value)])
  })

  void t.test('memory does not grow with what was refused', async (t) => {
    const { server, make } = await scene(t)
    const client = make({ maxPending: 100 })
    server.stall()
    const calls = Array.from({ length: 5000 }, () => client.get('k').then(() => 'done', (error: MemcacheError) => error.code))
    server.resume()
    const outcomes = await Promise.all(calls)
    t.equal(outcomes.filter((outcome) => outcome === 'done').length, 100)
    t.equal(outcomes.filter((outcome) => outcome === 'ERR_MEMCACHE_OVERLOAD').length, 4900)
  })
})

void t.test('AbortSignal', async (t) => {
  const commands = (client: Client, signal: AbortSignal): Promise<unknown>[] => [
    client.get('k', { signal }), client.gets('k', { signal }), client.gat('k', 1, { signal }), client.gats('k', 1, { signal }), client.getMulti(['k'], { signal }),
    client.getsMulti(['k'], { signal }), client.set('k', 1, { signal }), client.add('k', 1, { signal }), client.replace('k', 1, { signal }),
    client.append('k', 1, { signal }), client.prepend('k', 1, { signal }), client.cas('k', 1, { signal, cas: 1n }), client.setMulti({ k: 1 }, { signal }),
    client.delete('k', { signal }), client.deleteMulti(['k'], { signal }), client.incr('k', 1, { signal }), client.decr('k', 1, { signal, initial: 1 }),
    client.touch('k', 1, { signal }), client.flushAll(0, { signal }), client.stats('', { signal }), client.version({ signal }), client.verbosity(0, { signal }),
  ]

  void t.test('aborted before: nothing is sent, nothing connected', async (t) => {
    const { server, make } = await scene(t)
    for (const reason of [new Error('mine'), 'a string', { any: 'thing' }, undefined]) {
      const signal = AbortSignal.abort(reason)
      for (const call of commands(make(), signal)) t.equal(await rejection(call), signal.reason)
    }
    t.equal(server.connectionsAccepted, 0)
  })

  void t.test('aborted before it is written: never sent', async (t) => {
    const server = await startScripted(answering(() => 'END\r\n'))
    const client = new Client({ port: server.port })
    const [cold, warm] = [new AbortController(), new AbortController()]
    const first = rejection(client.set('cold', 1, { signal: cold.signal }))
    const kept = client.get('kept')
    cold.abort('too cold')
    t.equal(await first, 'too cold', 'without waiting for the connection')
    await kept
    const second = rejection(client.get('warm', { signal: warm.signal }))
    warm.abort()
    t.match(await second, { name: 'AbortError' })
    await client.get('last')
    t.equal(server.received, 'get kept\r\nget last\r\n')
    await client.close()
    await server.close()
  })

  void t.test('aborted in flight: rejects at once, and the late reply is read for nobody', async (t) => {
    const { server, make } = await scene(t)
    const client = make({ timeout: 20_000 })
    await client.setMulti({ k: 'mine', other: 'other' })
    const { socket } = client
    for (const [index] of commands(client, new AbortController().signal).map((call, index) => [index, call.catch(() => {})] as const)) {
      await client.setMulti({ k: 'mine', other: 'other' })
      const controller = new AbortController()
      server.stall()
      const call = commands(client, controller.signal).map((each) => each.then((value) => ['value', value], (error: unknown) => ['error', error]))
      const other = client.get('other')
      await sleep(2)
      controller.abort('enough')
      t.strictSame(await call[index], ['error', 'enough'])
      server.resume()
      await Promise.all(call)
      await other
      await client.setMulti({ k: 'mine', other: 'other' })
      t.strictSame(await Promise.all([client.get('other'), client.get('k'), client.version()]), ['other', 'mine', '1.6.18'], 'in step')
    }
    t.equal(client.socket, socket, 'on the same connection')
  })

  void t.test('a signal that outlives its calls keeps none of them, however many there are', async (t) => {
    const { server, make } = await scene(t)
    const client = make()
    const { signal } = new AbortController()
    const warnings: Error[] = []
    const warn = (warning: Error): void => void warnings.push(warning)
    process.on('warning', warn)
    await Promise.all(Array.from({ length: 200 }, () => client.get('k', { signal })))
    await Promise.allSettled(commands(client, signal))
    server.dropConnections()
    await Promise.allSettled(commands(client, signal))
    await Promise.allSettled([client.get('a b', { signal }), client.set('k', undefined, { signal })])
    await nextTurn()
    t.equal(getEventListeners(signal, 'abort').length, 0)
    t.strictSame(warnings, [])
    process.off('warning', warn)
  })

  void t.test('AbortSignal.timeout, and an abort that comes too late', async (t) => {
    const { server, make } = await scene(t)
    const client = make()
    await client.set('k', 1)
    const late = new AbortController()
    t.equal(await client.get('k', { signal: late.signal }), 1)
    late.abort()
    server.stall()
    t.match(await rejection(client.get('k', { signal: AbortSignal.timeout(20) })), { name: 'TimeoutError' })
    server.resume()
    t.equal(await client.get('k'), 1)
  })

  void t.test('aborted while a layer is at it', async (t) => {
    const { make } = await scene(t)
    const controller = new AbortController()
    const client = make({ layers: [(next) => async (request, call) => (await sleep(10), controller.abort('meanwhile'), next(request, call))] })
    t.equal(await rejection(client.get('k', { signal: controller.signal })), 'meanwhile')
  })
})

void t.test('deadlines', async (t) => {
  void t.test('a call\'s own shorter timeout says nothing of the connection', async (t) => {
    const { server, make } = await scene(t)
    const client = make({ timeout: 20_000 })
    await client.setMulti({ k: 1, other: 2 })
    const { socket } = client
    server.stall()
    const [short, other] = [rejection(client.get('k', { timeout: 30 })), client.get('other')]
    t.match(await short, { name: 'MemcacheTimeoutError', code: 'ERR_MEMCACHE_TIMEOUT', command: 'get', sent: true, message: /30 ms/ })
    server.resume()
    t.equal(await other, 2)
    t.equal(await client.get('k'), 1)
    t.equal(client.socket, socket)
  })

  void t.test('a call\'s own longer timeout is waited for', async (t) => {
    const { server, make } = await scene(t)
    const client = make({ timeout: 50 })
    await client.connect()
    await client.set('k', 1, { timeout: 10_000 })
    server.delay(400)
    t.equal(await client.get('k', { timeout: 15_000 }), 1)
    t.ok((await rejection(client.get('k'))) instanceof MemcacheTimeoutError)
  })

  void t.test('the client\'s timeout ends the connection, and the next call makes another', async (t) => {
    const { server, make } = await scene(t)
    const client = make({ timeout: 60 })
    await client.set('k', 1, { timeout: 10_000 })
    server.stall()
    const all = await Promise.all([rejection(client.get('k')), rejection(client.incr('k')), rejection(client.getMulti(['k'])), rejection(client.setMulti({ a: 1 }))])
    for (const error of all) t.ok(error instanceof MemcacheSocketError, error.message)
    t.match(all[0], { name: 'MemcacheTimeoutError', sent: true })
    t.equal(client.isConnected(), false)
    server.resume()
    t.equal(await client.get('k', { timeout: 10_000 }), 2, 'the server did count')
  })

  void t.test('every call of many settles by its deadline', async (t) => {
    const { server, make } = await scene(t)
    const client = make({ timeout: 20_000 })
    await client.connect()
    server.stall()
    const calls = Array.from({ length: 300 }, (_, index) => rejection(client.get(`k${index}`, { timeout: 1 + (index % 50) })))
    for (const error of await Promise.all(calls)) if (!(error instanceof MemcacheTimeoutError)) t.fail(error)
    server.resume()
    t.equal(await client.set('k', 1), true)
    t.equal(await client.get('k'), 1)
  })
})

void t.test('errors', async (t) => {
  void t.test('name the command that was called, whatever it consists of', async (t) => {
    const { server, make } = await scene(t)
    const client = make({ timeout: 100 })
    await client.get('k')
    server.stall()
    for (const [command, call] of [
      ['setMulti', () => client.setMulti({ k: 1 })],
      ['deleteMulti', () => client.deleteMulti(['k'])],
      ['incr', () => client.incr('k', 1, { initial: 1 })],
    ] as const) {
      t.match(await rejection(call()), { code: 'ERR_MEMCACHE_TIMEOUT', command, sent: true, message: /within 100 ms$/ })
    }
  })

  void t.test('say what, where and whether it was sent', async (t) => {
    const { server, make } = await scene(t)
    const name = `${server.host}:${server.port}`
    const client = make({ timeout: 100 })
    await client.set('text', 'text', { timeout: 10_000 })
    t.match(await rejection(client.get('a b')), { code: 'ERR_MEMCACHE_KEY', command: 'get', server: name, sent: false })
    t.match(await rejection(client.set('k', undefined)), { code: 'ERR_MEMCACHE_VALUE', command: 'set', server: name, sent: false })
    t.match(await rejection(client.incr('text')), { code: 'ERR_MEMCACHE_CLIENT', command: 'incr', server: name, sent: true, message: /non-numeric/ })
    server.garble('SERVER_ERROR out of memory\r\n')
    t.match(await rejection(client.append('text', 'x')), { code: 'ERR_MEMCACHE_SERVER', command: 'append', server: name, sent: true, message: 'SERVER_ERROR out of memory' })
    server.garble('NONSENSE\r\n')
    const [head, behind] = await Promise.all([rejection(client.touch('text', 1)), rejection(client.decr('text'))])
    t.match(head, { code: 'ERR_MEMCACHE_PROTOCOL', command: 'touch', server: name, sent: true, message: /NONSENSE/ })
    t.match(behind, { code: 'ERR_MEMCACHE_SOCKET', command: 'decr', server: name, sent: true, cause: { code: 'ERR_MEMCACHE_PROTOCOL' } })
    server.garble('')
    server.closeAfterBytes(0)
    t.match(await rejection(client.getsMulti(['text'])), { name: /Memcache(Socket|Timeout)Error/, command: 'getsMulti', sent: true })
    await client.close()
    t.match(await rejection(client.version()), { code: 'ERR_MEMCACHE_CLOSED', command: 'version', server: name, sent: false })
  })

  void t.test('have the stack of the caller', async (t) => {
    const { server, make } = await scene(t)
    const client = make({ timeout: 100, maxPending: 2 })
    await client.set('text', 'text', { timeout: 10_000 })
    async function firstCaller(call: () => Promise<unknown>): Promise<void> {
      await call()
    }
    async function secondCaller(call: () => Promise<unknown>): Promise<void> {
      await call()
    }
    const refused = new Client({ port: await freePort() })
    const calls: (() => Promise<unknown>)[] = [
      () => client.get('a b'), () => client.incr('text'), () => client.set('k', undefined), () => client.getMulti(['']), () => client.setMulti([['a b', 1]]),
      () => client.incr('text', 1, { initial: 5 }), () => refused.get('k'), () => refused.set('k', 1),
      () => (server.garble('NONSENSE\r\n'), client.get('text')), () => (server.stall(), client.get('text')), () => (server.resume(), client.gat('k', NaN)),
    ]
    for (const call of calls) t.match((await rejection(firstCaller(call))).stack, /firstCaller/, String(call))
    const pairs: (() => Promise<unknown>)[] = [() => refused.connect(), () => refused.get('k'), () => (server.garble('X\r\n'), client.get('text'))]
    for (const call of pairs) {
      const [one, two] = await Promise.all([rejection(firstCaller(call)), rejection(secondCaller(call))])
      t.match(one.stack, /firstCaller/, String(call))
      t.match(two.stack, /secondCaller/, String(call))
      t.not(one, two, 'each caller has an error of its own')
    }
    t.notMatch((await rejection(firstCaller(() => client.get('a b')))).stack, /atCaller/)
    await refused.close()
  })

  void t.test('keep instanceof across two copies of the package, and for subclasses', async (t) => {
    const copy = (await import(`${new URL('../lib/errors.ts', import.meta.url).href}?copy`)) as typeof errors
    t.not(copy.MemcacheError, MemcacheError)
    const parents: { readonly [name: string]: readonly string[] } = {
      MemcacheKeyError: [], MemcacheValueError: [], MemcacheUnsupportedError: [], MemcacheOverloadError: [], MemcacheSocketError: [],
      MemcacheTimeoutError: ['MemcacheSocketError'], MemcacheProtocolError: ['MemcacheSocketError'], MemcacheClosedError: ['MemcacheSocketError'],
      MemcacheDriverError: [], MemcacheServerError: ['MemcacheDriverError'], MemcacheClientError: ['MemcacheDriverError'], MemcacheAuthError: ['MemcacheDriverError'],
    }
    const classes = errors as unknown as { readonly [name: string]: new (message: string) => MemcacheError }
    const copies = copy as unknown as typeof classes
    const names = Object.keys(parents)
    const codes = new Set<string>()
    for (const name of names) {
      const error = new (copies[name] as typeof MemcacheError)('message')
      codes.add(error.code)
      t.equal(error.name, name)
      t.ok(error instanceof Error && error instanceof MemcacheError && error instanceof copy.MemcacheError)
      const is = names.filter((other) => error instanceof (classes[other] as typeof MemcacheError))
      t.strictSame(is.sort(), [name, ...(parents[name] ?? [])].sort())
    }
    t.equal(codes.size, names.length, 'each has a code of its own')
    class Mine extends MemcacheError {}
    class Deeper extends Mine {}
    t.ok(new Deeper('x') instanceof Mine && new Mine('x') instanceof MemcacheError)
    t.notOk(new MemcacheClosedError('x') instanceof Mine)
    for (const other of [undefined, null, 'x', 5, {}, new Error('x'), Object.create(null), () => {}]) t.equal((other as unknown) instanceof MemcacheError, false)
  })
})

void t.test('commands leave in the order in which they are called', async (t) => {
  const server = await startScripted(answering((request) => (request.startsWith('get') ? 'END\r\n' : /^(incr|delete|touch)/.test(request) ? 'NOT_FOUND\r\n' : 'STORED\r\n')))
  const client = new Client({ port: server.port, minCompressLength: 4000 })
  const aborted = new AbortController()
  const expected: string[] = []
  const calls: Promise<unknown>[] = []
  for (let index = 0; index < 400; index += 1) {
    const key = `k${index}`
    // Short values are copied, long ones go by reference, larger ones fill the socket, and some are compressed.
    const size = [1, 2048, 2049, 5000, 70_000][index % 5] as number
    const kind = index % 8
    if (kind === 0) calls.push(client.get(key)), expected.push(`get ${key}`)
    else if (kind === 1) calls.push(client.incr(key)), expected.push(`incr ${key} 1`)
    else if (kind === 2) calls.push(client.setMulti({ [`${key}a`]: 1, [`${key}b`]: 2 })), expected.push(`set ${key}a 2 0 1`, `set ${key}b 2 0 1`)
    else if (kind === 3) calls.push(client.get(key, { signal: aborted.signal }).catch(() => {}))
    else if (kind === 4) calls.push(client.append(key, 'x'.repeat(size))), expected.push(`append ${key} 0 0 ${size}`)
    else if (kind === 5) calls.push(client.set(key, 'x'.repeat(size), { minCompressLength: 0 })), expected.push(`set ${key} 0 0 ${size}`)
    else if (kind === 6) calls.push(Promise.resolve().then(() => client.delete(`later${index}`)))
    else calls.push(client.getMulti([key, `${key}m`])), expected.push(`get ${key} ${key}m`)
    if (index === 100) aborted.abort()
    if (index % 97 === 96) await nextTurn()
  }
  await Promise.all(calls)
  const sent = server.received.split('\r\n').filter((line) => /^(get|set|append|incr) /.test(line))
  const cancelled = (line: string): boolean => /^get k\d+$/.test(line) && Number(line.slice(5)) % 8 === 3
  t.strictSame(sent.filter((line) => !cancelled(line)), expected)
  await client.close()
  await server.close()
})

void t.test('a command that is called while another one is being made', async (t) => {
  const { make } = await scene(t)
  const inner: Promise<unknown>[] = []
  const serializer: Serializer = {
    flag: 2 ** 12,
    serialize(value) {
      inner.push(client.get('inner'), client.get('missing'), client.delete('missing'))
      return Buffer.from(JSON.stringify(value))
    },
    deserialize: (bytes) => JSON.parse(bytes.toString()) as unknown,
  }
  const client = make({ serializer })
  await client.set('inner', 'of the inner')
  const outer = client.set('outer', { of: 'the outer' })
  t.equal(await outer, true)
  t.same(await Promise.all(inner), ['of the inner', undefined, false], 'each has its own result')
  t.same(await client.get('outer'), { of: 'the outer' })
  const refused = client.set('outer', { get of() { inner.push(client.get('inner')); throw new RangeError('no') } })
  await t.rejects(refused, { name: 'MemcacheValueError' })
  t.equal(await inner.at(-1), 'of the inner')
})

void t.test('a multi-key request of no keys', async (t) => {
  const { make } = await scene(t)
  const without: Middleware = (next) => (request, call) => next('keys' in request ? { ...request, keys: [] } : request, call)
  class Empty extends Array<string> {
    override *[Symbol.iterator](): ArrayIterator<string> {}
  }
  for (const [name, driver] of Object.entries({ text, meta, binary, memjs })) {
    const client = make({ driver, layers: [without] })
    await client.set('k', 'v')
    const [none, miss, hit] = await Promise.all([client.getMulti(['k']), client.get('none'), client.get('k')])
    t.same([none.size, miss, hit], [0, undefined, 'v'], `${name}: a layer hands it down, and it takes no reply of another`)
    const plain = make({ driver })
    t.same(await Promise.all([plain.getMulti(Empty.from(['k'])), plain.get('none'), plain.get('k')]), [new Map(), undefined, 'v'], `${name}: an array that iterates over nothing`)
  }
})

void t.test('a layer that writes into its request', async (t) => {
  const { make } = await scene(t)
  const other: Middleware = (next) => (request, call) => {
    if ('keys' in request) (request.keys as string[])[0] = 'a'
    return next(request, call)
  }
  const client = make({ layers: [other] })
  await client.set('a', 'of a')
  t.same(await client.getMulti(['zz']), new Map([['zz', 'of a']]), 'changes what is asked for, not by which name it is given')
})

void t.test('a protocol that is made of classes', async (t) => {
  const { make } = await scene(t)
  class Version implements Pick<Exchange<'version', unknown>, 'encode'> {
    encode(): string {
      return 'version\r\n'
    }

    reply(frame: unknown): string {
      return `said ${String(frame)}`
    }
  }
  const commands: typeof textProtocol.commands = Object.create(textProtocol.commands, { version: { value: new Version(), enumerable: true } })
  const client = make({ driver: wire({ ...textProtocol, commands }) })
  t.match(await client.version(), /^said VERSION /)
  await client.set('k', 'v')
  t.equal(await client.get('k'), 'v', 'with what they inherit')
})
