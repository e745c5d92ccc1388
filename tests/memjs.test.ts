import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { memjs } from '../drivers/memjs.ts'
import {
  Client,
  flags,
  MemcacheClosedError,
  MemcacheProtocolError,
  MemcacheServerError,
  MemcacheSocketError,
  MemcacheTimeoutError,
  MemcacheUnsupportedError,
  type ClientOptions,
} from '../lib/index.ts'
import { startServer } from '../lib/testing/index.ts'
import { failure, outcome, random, recovers, SLACK, unhandled } from './support/outcomes.ts'
import { OPCODES, packet, packetEnd, packetsIn, uint32, uint64, type Packet, type PacketParts } from './support/packets.ts'
import { startScripted as startScriptedServer, type Peer, type ScriptedServer } from './support/scripted-server.ts'
import { startMemcached, withoutMemcached } from './support/servers.ts'

/** The driver memjs: what memjs gets wrong by itself, and what a network and a server can do to it, must not come through. */

// memjs would take these for its own, and begin each connection with them.
process.env['MEMCACHE_USERNAME'] = 'somebody'
process.env['MEMCACHE_PASSWORD'] = 'secret'

const unexpected = unhandled()

/** What is open, so that a test that fails half-way does not keep this process from ending. */
const opened: { close(): Promise<void> }[] = []
t.teardown(() => Promise.all(opened.map((each) => each.close())))

function clientOf(address: Pick<ClientOptions, 'host' | 'port' | 'path'>, options: ClientOptions = {}): Client {
  const { host, port, path } = address
  const client = new Client({ driver: memjs, timeout: 400, connectTimeout: 1000, ...(path === undefined ? { host, port } : { path }), ...options })
  opened.push(client)
  return client
}

async function startScripted(script: (peer: Peer) => void | Promise<void>): Promise<ScriptedServer> {
  const server = await startScriptedServer(script)
  opened.push(server)
  return server
}

/** The requests of a connection, until the client closes it. */
async function* requestsOf(peer: Peer): AsyncGenerator<Packet, void, undefined> {
  let from = 0
  while (!peer.gone) {
    const end = packetEnd(peer.received, from)
    if (end === undefined) await sleep(1)
    else {
      const [request] = packetsIn(peer.received.slice(from, end)) ?? []
      if (request === undefined) throw new Error(`this is no request: ${JSON.stringify(peer.received.slice(from, end))}`)
      from = end
      yield request
    }
  }
}

/** The bytes of a reply to this request. */
function reply({ opcode, opaque }: Packet, parts: Partial<PacketParts> = {}): string {
  return packet({ opcode, opaque, cas: 1n, ...parts })
}

/** A well-behaved server, as far as these tests go: what it is asked for a key, it answers with a value that names the key. */
function answer(request: Packet): string {
  const { opcode, key } = request
  if (key.startsWith('miss')) return reply(request, { status: 0x01, value: 'Not found' })
  switch (opcode) {
    case OPCODES.get:
    case OPCODES.gat:
      return reply(request, { extras: uint32(0), value: `of ${key}`, cas: 7n })
    case OPCODES.incr:
    case OPCODES.decr:
      return reply(request, { value: uint64(12n) })
    case OPCODES.stat:
      return reply(request, { key: 'pid', value: '1' }) + reply(request, { key: 'version', value: '' }) + reply(request)
    case OPCODES.version:
      return reply(request, { value: '1' })
    default:
      return reply(request)
  }
}

async function obey(peer: Peer): Promise<void> {
  for await (const request of requestsOf(peer)) peer.send(answer(request))
}

/** A script for the first connection; those that come later are answered as they should be. */
function first(script: (requests: AsyncGenerator<Packet, void, undefined>, peer: Peer) => Promise<unknown> | void): (peer: Peer) => Promise<void> {
  return async (peer) => {
    if (peer.index > 0) return obey(peer)
    await script(requestsOf(peer), peer)
    return peer.closed()
  }
}

/** The next request; the script is over where there is none. */
async function next(requests: AsyncGenerator<Packet, void, undefined>): Promise<Packet> {
  const { value } = await requests.next()
  if (value === undefined) throw new Error('the client has gone')
  return value
}

const COMMANDS: readonly (readonly [name: string, call: (client: Client) => Promise<unknown>, result: unknown])[] = [
  ['get', (client) => client.get('k'), 'of k'],
  ['gets', (client) => client.gets('k'), { value: 'of k', cas: 7n }],
  ['gat', (client) => client.gat('k', 5), 'of k'],
  ['getMulti', (client) => client.getMulti(['k', 'miss', 'l']), new Map([['k', 'of k'], ['l', 'of l']])],
  ['set', (client) => client.set('k', 'v'), true],
  ['append', (client) => client.append('k', 'v'), true],
  ['delete', (client) => client.delete('miss'), false],
  ['touch', (client) => client.touch('k', 5), true],
  ['incr', (client) => client.incr('k'), 12],
  ['decr', (client) => client.decr('miss'), undefined],
  ['stats', (client) => client.stats(), new Map([['pid', '1'], ['version', '']])],
  ['version', (client) => client.version(), '1'],
  ['flushAll', (client) => client.flushAll(), true],
]

t.test('what is sent', async (t) => {
  const server = await startScripted(obey)
  const client = clientOf(server)
  const now = Math.floor(Date.now() / 1000)
  const never = uint32(0xffff_ffff)
  const value = Buffer.from([0, 1, 0x80, 0xff])
  const calls: readonly (readonly [call: () => Promise<unknown>, expected: Partial<Packet>])[] = [
    [() => client.get('k'), { opcode: 0x00, key: 'k', extras: '', value: '' }],
    [() => client.get('schlüssel'), { opcode: 0x00, key: 'schl\xc3\xbcssel' }],
    [() => client.get(Buffer.from([0xfc, 0xff])), { opcode: 0x00, key: '\xfc\xff' }],
    [() => client.gat('k', 0), { opcode: 0x1d, key: 'k', extras: uint32(0) }],
    [() => client.gat('k', -1), { opcode: 0x1d, extras: uint32(2_592_001) }],
    [() => client.set('k', 'v'), { opcode: 0x01, key: 'k', extras: uint32(0) + uint32(0), value: 'v', cas: 0n }],
    [() => client.set('k', 'v', { ttl: 2_592_000 }), { extras: uint32(0) + uint32(2_592_000) }],
    [() => client.set('k', 'v', { ttl: -1 }), { extras: uint32(0) + uint32(2_592_001) }],
    [() => client.set('k', 'v', { ttl: new Date((now + 86_400) * 1000) }), { extras: uint32(0) + uint32(now + 86_400) }],
    [() => client.set('k', value), { opcode: 0x01, extras: uint32(flags.bytes) + uint32(0), value: '\0\x01\x80\xff' }],
    [() => client.set('k', 5n), { extras: uint32(flags.long) + uint32(0), value: '5' }],
    [() => client.add('k', 'ü'), { opcode: 0x02, value: '\xc3\xbc' }],
    [() => client.replace('k', ''), { opcode: 0x03, value: '' }],
    [() => client.append('k', 'v', { ttl: 9 }), { opcode: 0x0e, key: 'k', extras: '', value: 'v' }],
    [() => client.prepend('k', 'v'), { opcode: 0x0f, key: 'k', extras: '', value: 'v' }],
    [() => client.cas('k', 'v', { cas: 2n ** 63n + 5n, ttl: 9 }), { opcode: 0x01, extras: uint32(0) + uint32(9), cas: 2n ** 63n + 5n }],
    [() => client.cas('k', 'v', { cas: 0n }), { opcode: 0x00, cas: 0n }], // a GET: in a SET it would match any item
    [() => client.delete('k'), { opcode: 0x04, key: 'k', extras: '', cas: 0n }],
    [() => client.touch('k', 0), { opcode: 0x1c, extras: uint32(0) }],
    [() => client.touch('k', -5), { opcode: 0x1c, extras: uint32(2_592_001) }],
    [() => client.incr('k', 2n ** 64n - 1n), { opcode: 0x05, key: 'k', extras: uint64(2n ** 64n - 1n) + uint64(0n) + never, value: '' }],
    [() => client.decr('k', 2 ** 32 + 1), { opcode: 0x06, extras: uint64(2n ** 32n + 1n) + uint64(0n) + never }],
    [() => client.incr('k', -3), { opcode: 0x06, extras: uint64(3n) + uint64(0n) + never }],
    [() => client.flushAll(), { opcode: 0x08, key: '', extras: '' }],
    [() => client.flushAll(30), { opcode: 0x08, extras: uint32(30) }],
    [() => client.stats('items'), { opcode: 0x10, key: 'items' }],
    [() => client.version(), { opcode: 0x0b, key: '', extras: '', value: '' }],
  ]
  for (const [call] of calls) await call()
  const sent = packetsIn(server.received) ?? []
  t.equal(sent.length, calls.length, 'one packet for each call, and no credentials that nobody gave')
  calls.forEach(([, expected], place) => {
    const { opcode, key, extras, value, cas } = sent[place] as Packet
    t.strictSame({ opcode, key, extras, value, cas, ...expected }, { opcode, key, extras, value, cas }, JSON.stringify({ opcode, key }))
  })
  t.equal(new Set(sent.map(({ opaque }) => opaque)).size, sent.length, 'each with an opaque of its own')

  const binaryKeys = clientOf(server, { binaryKeys: true })
  t.equal(await binaryKeys.get(' \r\n\0'), 'of  \r\n\0')
  t.equal(await binaryKeys.get('x'.repeat(250)), `of ${'x'.repeat(250)}`)
  t.match(await failure(binaryKeys.get('\n'.repeat(251))), { name: 'MemcacheKeyError' })
  await Promise.all([client.close(), binaryKeys.close()])
  await server.close()
})

t.test('what there is not', async (t) => {
  const server = await startScripted(obey)
  const client = clientOf(server)
  for (const call of [client.verbosity(1), client.metaGet('k'), client.stats('sizes_enable'), client.stats('sizes_disable')]) {
    const error = await failure(call)
    t.type(error, MemcacheUnsupportedError)
    t.equal(server.received, '')
  }
  await client.close()
  await server.close()
})

t.test('what is called in one turn leaves in one piece, in the order of the calls', async (t) => {
  const writes: number[] = []
  const server = await startScripted((peer) => {
    peer.socket.on('data', (text: string) => writes.push(text.length))
    return obey(peer)
  })
  const client = clientOf(server, { timeout: 5000 })
  await client.connect()
  const keys = Array.from({ length: 200 }, (_, index) => `key-${index}`)
  const [many] = await Promise.all([client.getMulti(keys), client.set('between', 1), client.get('last')])
  t.equal(many.size, keys.length)
  t.equal(writes.length, 1)
  t.strictSame(packetsIn(server.received)?.map(({ key }) => key), [...keys, 'between', 'last'])
  await client.close()
  await server.close()
})

t.test('what each status means, to each command', async (t) => {
  let status = 0
  const words = 'in words \x1b[31m\r\n'
  const server = await startScripted(async (peer) => {
    for await (const request of requestsOf(peer)) peer.send(reply(request, { status, value: words }))
  })
  const client = clientOf(server)
  const CLIENT = 'MemcacheClientError'
  const SERVER = 'MemcacheServerError'
  const AUTH = 'MemcacheAuthError'
  const calls: Readonly<Record<string, () => Promise<unknown>>> = {
    get: () => client.get('k'), gat: () => client.gat('k', 1), getMulti: () => client.getMulti(['k']).then((hits) => hits.size), set: () => client.set('k', 1),
    add: () => client.add('k', 1), replace: () => client.replace('k', 1), append: () => client.append('k', 1), prepend: () => client.prepend('k', 1),
    cas: () => client.cas('k', 1, { cas: 5n }), delete: () => client.delete('k'), touch: () => client.touch('k', 1), incr: () => client.incr('k'),
    decr: () => client.decr('k'), flushAll: () => client.flushAll(), stats: () => client.stats('x'), version: () => client.version(),
  }
  const every = (kind: string): Record<string, string> => Object.fromEntries(Object.keys(calls).map((name) => [name, kind]))
  const expected: Readonly<Record<number, Readonly<Record<string, unknown>>>> = {
    0x01: { ...every(CLIENT), get: undefined, gat: undefined, getMulti: 0, replace: false, append: false, prepend: false, cas: false, delete: false, touch: false, incr: undefined, decr: undefined },
    0x02: { ...every(CLIENT), add: false, cas: false },
    0x03: every(SERVER),
    0x04: every(CLIENT),
    0x05: { ...every(CLIENT), set: false, add: false, replace: false, append: false, prepend: false, cas: false },
    0x06: every(CLIENT),
    0x07: every(SERVER),
    0x20: { ...every(AUTH), flushAll: CLIENT },
    0x21: every(AUTH),
    0x81: every(CLIENT),
    0x82: every(SERVER),
    0x84: every(SERVER),
    0x85: every(SERVER),
    0x86: every(SERVER),
    0xffff: every(SERVER),
  }
  for (const [code, results] of Object.entries(expected)) {
    status = Number(code)
    for (const [name, call] of Object.entries(calls)) {
      await client.connect() // does not mind the pause that follows a refused authentication
      const { value, error } = await outcome(call())
      const what = `status ${status.toString(16)} to ${name}`
      t.equal(error?.name ?? value, results[name], what)
      if (error === undefined) continue
      t.match(error, { sent: true, message: /^status 0x[0-9a-f]{2,4}: in words \\u001b\[31m/ }, what)
      const ended = [0x04, 0x20, 0x21, 0x81].includes(status) && !(name === 'flushAll' && status !== 0x04 && status === 0x20)
      if (name !== 'flushAll') t.equal(client.isConnected(), !ended, `${what}: what follows can ${ended ? 'not be trusted' : 'still be told apart'}`)
    }
  }
  await client.close()
  await server.close()
})

t.test('FIN and RST before, in and after a reply, at every byte', async (t) => {
  for (const [name, call, result] of COMMANDS) {
    for (const end of ['fin', 'reset'] as const) {
      const lengths = name === 'get' ? Array.from({ length: 33 }, (_, index) => index) : [0, 1, 23, 24, 31, 1000]
      for (const at of lengths) {
        const server = await startScripted(first(async (requests, peer) => {
          let replies = answer(await next(requests))
          if (name === 'getMulti') replies += answer(await next(requests)) + answer(await next(requests))
          if (at > 0) await peer.pieces([replies.slice(0, at)])
          peer[end]()
        }))
        const client = clientOf(server, { timeout: 5000 })
        const { error, value } = await outcome(call(client))
        const where = `${end} after ${at} bytes of the reply to ${name}`
        if (error === undefined) t.strictSame(value, result, where)
        else {
          t.ok(error instanceof MemcacheSocketError && error.sent && error.command === name, where, { error })
          if (end === 'fin' && at === 1000) t.fail(`${where}: the whole reply had come`, { error })
        }
        if (at < 24) t.not(error, undefined, `${where}: it has no result`)
        t.equal(await recovers(() => client.version()), '1', `the next command works: ${where}`)
        await client.close()
        await server.close()
      }
    }
  }
})

t.test('replies that come one byte at a time, or all at once', async (t) => {
  const drip = await startScripted(async (peer) => {
    for await (const request of requestsOf(peer)) await peer.drip(answer(request))
  })
  const once = await startScripted(obey)
  const [slow, fast] = [clientOf(drip, { timeout: 10_000 }), clientOf(once, { timeout: 10_000 })]
  for (const [name, call, result] of COMMANDS) t.strictSame(await call(slow), result, name)
  t.strictSame(await Promise.all(COMMANDS.map(([, call]) => call(fast))), COMMANDS.map(([, , result]) => result))
  await Promise.all([slow.close(), fast.close(), drip.close(), once.close()])
})

t.test('garbage in place of a reply', async (t) => {
  const garbage: Readonly<Record<string, (request: Packet) => string>> = {
    'text': () => 'HTTP/1.1 400 Bad Request\r\n\r\n',
    'one byte': () => '\0',
    'a packet of a request': (request) => reply(request, { magic: 0x80 }),
    'a line that is cut': () => 'ERROR what is this\n',
    'another opaque': (request) => reply(request, { opaque: request.opaque + 1000, extras: uint32(0), value: 'wrong' }),
    'another opcode': (request) => reply(request, { opcode: OPCODES.getk, extras: uint32(0), value: 'wrong' }),
    'the list of mechanisms, to which memjs answers with credentials': (request) => reply(request, { opcode: 0x20, value: 'PLAIN' }),
    'an authentication that nobody began': (request) => reply(request, { opcode: 0x21, status: 0x20 }),
    'a key that is longer than the packet': (request) => reply(request, { keyLength: 100, bodyLength: 4, extras: uint32(0) }),
    'extras that are longer than the packet': (request) => reply(request, { extrasLength: 4, bodyLength: 0 }),
    'a value of 4 GiB': (request) => reply(request, { bodyLength: 0xffff_ffff, extras: uint32(0) }),
    'no flags': (request) => reply(request, { value: 'wrong' }),
    'flags of three bytes': (request) => reply(request, { extras: '\0\0\0', value: 'wrong' }),
  }
  for (const [what, bytes] of Object.entries(garbage)) {
    const server = await startScripted(first(async (requests, peer) => {
      const request = await next(requests)
      await next(requests)
      peer.send(bytes(request))
    }))
    const client = clientOf(server, { timeout: 5000 })
    const disconnected = once(client, 'disconnect')
    const [get, del] = await Promise.all([failure(client.get('k')), failure(client.delete('l'))])
    t.type(get, MemcacheProtocolError, what)
    t.match(get, { command: 'get', sent: true, server: `127.0.0.1:${server.port}` }, what)
    t.match(del, { name: 'MemcacheSocketError', command: 'delete', sent: true, cause: { name: 'MemcacheProtocolError' } }, what)
    t.type((await disconnected)[0], MemcacheProtocolError, what)
    t.equal(await client.get('m'), 'of m', `the next command works after ${what}`)
    t.equal(packetsIn(server.peers[0]?.received ?? '')?.length, 2, 'nothing was sent in answer')
    await client.close()
    await server.close()
  }
  const count = await startScripted(first(async (requests, peer) => peer.send(reply(await next(requests), { value: '1234567' }))))
  const client = clientOf(count)
  t.type(await failure(client.incr('k')), MemcacheProtocolError, 'a count of seven bytes')
  t.equal(await client.incr('k'), 12)
  await client.close()
  await count.close()
})

t.test('packets that nobody asked for', async (t) => {
  const strays: Readonly<Record<string, (request: Packet) => string>> = {
    'the same reply again': answer,
    'another one': (request) => reply(request, { opaque: request.opaque + 1, extras: uint32(0), value: 'wrong' }),
    'the beginning of one': (request) => reply(request, { opaque: request.opaque + 1, extras: uint32(0), value: 'wrong' }).slice(0, 26),
  }
  for (const [what, stray] of Object.entries(strays)) {
    for (const behind of [true, false]) {
      const server = await startScripted(first(async (requests, peer) => {
        const request = await next(requests)
        if (behind) peer.send(answer(request) + stray(request))
        else {
          peer.send(answer(request))
          await sleep(20)
          peer.send(stray(request))
        }
        for await (const other of requests) peer.send(answer(other))
      }))
      const client = clientOf(server)
      t.equal(await client.get('k'), 'of k', `what was asked for is right: ${what}`)
      await sleep(40)
      const { value, error } = await outcome(client.get('l'))
      t.ok(value === 'of l' || error instanceof MemcacheSocketError, `it reaches nobody: ${what}`)
      t.equal(await recovers(() => client.get('m')), 'of m')
      await client.close()
      await server.close()
    }
  }
})

t.test('a server that has enough connections', async (t) => {
  const line = 'ERROR Too many open connections\r\n'
  const away = await startScripted(first(async (requests, peer) => {
    await next(requests)
    await peer.pieces([line.slice(0, 3), line.slice(3)])
    peer.fin()
  }))
  const client = clientOf(away, { timeout: 5000 })
  const [told, other] = await Promise.all([failure(client.get('k')), failure(client.get('l'))])
  t.type(told, MemcacheServerError)
  t.match(told, { message: 'ERROR Too many open connections', command: 'get', sent: true })
  t.match(other, { name: 'MemcacheSocketError', cause: { name: 'MemcacheServerError' } })
  t.equal(await client.get('m'), 'of m')
  await client.close()
  await away.close()

  const idle = await startScripted(first((_, peer) => peer.send(line)))
  const waiting = clientOf(idle)
  const disconnected = once(waiting, 'disconnect')
  await waiting.connect()
  t.match((await disconnected)[0], { code: 'ERR_MEMCACHE_SERVER' })
  await waiting.close()
  await idle.close()
})

t.test('stalled: each call settles, nothing is repeated, and the next connection works', async (t) => {
  const server = await startScripted(first(() => {}))
  const client = clientOf(server)
  const outcomes = await Promise.all([outcome(client.incr('n')), outcome(client.append('k', 'v')), outcome(client.set('k', 'v')), outcome(client.getMulti(['a', 'b'])), outcome(client.stats())])
  for (const { error, took } of outcomes) {
    t.ok(error instanceof MemcacheSocketError)
    t.equal(error?.sent, true)
    t.ok(took < 400 + SLACK)
  }
  t.type(outcomes[0]?.error, MemcacheTimeoutError)
  t.equal(await client.get('k'), 'of k')
  await sleep(500) // memjs would come back after 200 ms
  const sent = packetsIn(server.received) ?? []
  t.strictSame(sent.map(({ opcode }) => opcode), [OPCODES.incr, OPCODES.append, OPCODES.set, OPCODES.get, OPCODES.get, OPCODES.stat, OPCODES.get])
  await client.close()
  await server.close()
})

t.test('a connection that is lost: nothing is repeated', async (t) => {
  for (const end of ['fin', 'reset'] as const) {
    const server = await startScripted(first(async (requests, peer) => {
      await next(requests)
      await next(requests)
      peer[end]()
    }))
    const client = clientOf(server, { timeout: 5000 })
    const errors = await Promise.all([failure(client.incr('n')), failure(client.append('k', 'v'))])
    for (const error of errors) t.match(error, { name: 'MemcacheSocketError', sent: true, message: /no answer to "(incr|append)": / })
    await sleep(500)
    t.equal(server.peers.length, 1)
    t.equal(packetsIn(server.received)?.length, 2)
    await client.close()
    await server.close()
  }
})

t.test('a reply that comes too late is nobody\'s', async (t) => {
  const server = await startScripted(async (peer) => {
    for await (const request of requestsOf(peer)) {
      if (request.key.startsWith('slow')) await sleep(150)
      peer.send(answer(request))
    }
  })
  const client = clientOf(server, { timeout: 3000 })
  const controller = new AbortController()
  const late = failure(client.get('slow-1', { timeout: 20 }))
  const aborted = failure(client.get('slow-2', { signal: controller.signal }))
  const right = client.get('k')
  await sleep(30)
  controller.abort(new Error('enough'))
  t.match(await late, { name: 'MemcacheTimeoutError', sent: true })
  t.match(await aborted, { message: 'enough' })
  t.strictSame(await Promise.all([right, client.get('l')]), ['of k', 'of l'])
  t.equal(server.peers.length, 1, 'and costs nobody the connection')
  await client.close()
  await server.close()
})

t.test('what is late on a dead connection does not reach the next one', async (t) => {
  const server = await startScripted(async (peer) => {
    for await (const request of requestsOf(peer)) {
      if (peer.index > 0) peer.send(answer(request))
      else {
        await sleep(250)
        peer.send(reply(request, { extras: uint32(0), value: 'wrong' }).slice(0, 30))
        peer.reset()
      }
    }
  })
  const client = clientOf(server, { timeout: 100 })
  t.type(await failure(client.get('k')), MemcacheTimeoutError)
  const until = performance.now() + 500
  let count = 0
  while (performance.now() < until) {
    t.equal(await client.get(`k${count}`), `of k${count}`)
    count += 1
  }
  t.equal(server.peers.length, 2)
  await client.close()
  await server.close()
})

t.test('statistics without end', async (t) => {
  const server = await startScripted(first(async (requests, peer) => {
    const request = await next(requests)
    for (let index = 0; !peer.gone; index += 1) {
      const room = peer.socket.write(Array.from({ length: 100 }, (_, each) => reply(request, { key: `s${index}-${each}`, value: '1' })).join(''), 'latin1')
      if (!room) await Promise.race([once(peer.socket, 'drain'), peer.closed()])
    }
  }))
  const client = clientOf(server, { timeout: 20_000 })
  const { error, took } = await outcome(client.stats())
  t.type(error, MemcacheProtocolError)
  t.ok(took < 20_000)
  t.equal(await client.version(), '1')
  await client.close()
  await server.close()
})

t.test('a long value in many pieces is not copied with each of them', async (t) => {
  const long = 'x'.repeat(32 * 1024 * 1024)
  const server = await startScripted(async (peer) => {
    for await (const request of requestsOf(peer)) peer.send(reply(request, { extras: uint32(0), value: long }))
  })
  const client = clientOf(server, { timeout: 20_000 })
  const { value, error, took } = await outcome(client.get('k'))
  t.equal(error, undefined)
  t.ok(value === long)
  t.ok(took < 8000, `${Math.round(took)} ms: memjs, which copies all of it with each piece, took 25 s`)
  await client.close()
  await server.close()
})

t.test('close() while connecting, in flight and idle leaves no socket', async (t) => {
  const server = await startScripted((peer) => peer.closed())
  const client = clientOf(server)
  const connecting = failure(client.get('k'))
  await new Promise((resolve) => process.nextTick(resolve))
  let closed = 0
  t.notOk(client.socket?.once('close', () => (closed += 1)).destroyed)
  await client.close()
  t.strictSame([closed, client.socket], [1, undefined])
  t.type(await connecting, MemcacheClosedError)
  t.match(await failure(client.get('k')), { name: 'MemcacheClosedError', sent: false })

  await client.connect()
  client.socket?.once('close', () => (closed += 1))
  const pending = failure(client.get('k'))
  await sleep(20)
  await client.close()
  t.strictSame([closed, client.socket], [2, undefined])
  t.match(await pending, { name: 'MemcacheClosedError', sent: true })
  await server.close()
})

/** Servers that hold what they are given. */
const stores: Readonly<Record<string, { skip: string | false; start: () => Promise<{ address: Pick<ClientOptions, 'host' | 'port' | 'path'>; stop: () => Promise<void> }> }>> = {
  'the embedded server': { skip: false, start: () => embedded({}) },
  'the embedded server by a unix socket': { skip: false, start: async () => embedded({ path: `${t.testdir({})}/socket` }) },
  'memcached': { skip: withoutMemcached, start: async () => startMemcached().then((server) => ({ address: server, stop: () => server.stop() })) },
}

async function embedded(options: { path?: string }): Promise<{ address: Pick<ClientOptions, 'host' | 'port' | 'path'>; stop: () => Promise<void> }> {
  const server = await startServer(options)
  return { address: server, stop: () => server.close() }
}

for (const [name, { skip, start }] of Object.entries(stores)) {
  t.test(`memjs and text read each other's items on ${name}`, { skip }, async (t) => {
    const { address, stop } = await start()
    const { host, port, path } = address
    const client = clientOf(address, { timeout: 5000, connectTimeout: 5000 })
    const text = new Client({ ...(path === undefined ? { host, port } : { path }) })
    opened.push(text)
    const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
    for (const value of [all, 'häß', '', 12, -1, 2n ** 70n, { a: [null] }, Buffer.alloc(300_000, all)]) {
      for (const [from, to] of [[client, text], [text, client]] as const) {
        t.equal(await from.set('schlüssel', value), true)
        t.strictSame(await to.get('schlüssel'), value)
        t.strictSame((await client.getMulti(['schlüssel', 'nobody'])).get('schlüssel'), value)
      }
    }
    await client.set('n', 2n ** 64n - 5n)
    t.equal(await client.incr('n', 3n), 2n ** 64n - 2n)
    t.equal(await client.decr('n', 2n ** 40n), 2n ** 64n - 2n - 2n ** 40n)
    t.equal(await text.get('n'), 2n ** 64n - 2n - 2n ** 40n)
    t.equal(await client.incr('none', 2n ** 33n), undefined)
    t.equal(await client.get('none'), undefined, 'no counter was made')
    t.equal(await client.incr('none', 1, { initial: 2 ** 40 }), 2 ** 40)
    await client.set('w', 'b')
    t.strictSame([await client.prepend('w', 'a'), await client.append('w', 'c'), await client.prepend('nobody', 'a')], [true, true, false])
    t.equal(await text.get('w'), 'abc')
    const seen = await client.gets('w')
    t.equal(seen?.cas, (await text.gets('w'))?.cas)
    t.strictSame([await client.cas('w', 1, { cas: 0n }), await client.cas('nobody', 1, { cas: 0n })], [false, false], 'the id 0 is no id')
    t.equal(await client.cas('w', 'd', { cas: seen?.cas }), true)
    t.equal(await client.cas('w', 'e', { cas: seen?.cas }), false)
    t.equal(await client.get('w'), 'd')
    await client.set('gone', 1, { ttl: -1 })
    t.equal(await client.get('gone'), undefined)
    await client.set('gone', 1)
    t.equal(await client.gat('gone', -1), 1)
    t.equal(await client.get('gone'), undefined)
    t.match(await failure(client.incr('w')), { name: 'MemcacheClientError' })
    t.match(await failure(clientOf(address, { maxValueLength: 2_000_000, timeout: 5000 }).set('w', Buffer.alloc(1_500_000))), { name: 'MemcacheServerError' })
    t.equal((await client.stats()).get('pid'), (await text.stats()).get('pid'))
    t.equal((await client.stats('settings')).get('maxbytes'), (await text.stats('settings')).get('maxbytes'))
    t.match(await failure(client.stats('bogus')), { name: 'MemcacheClientError' })
    t.equal(await client.version(), await text.version())
    t.equal(await client.flushAll(), true)
    await Promise.all([client.close(), text.close()])
    await stop()
  })
}

t.test('a host name, and nobody there', async (t) => {
  const server = await startServer()
  const client = clientOf({ host: 'localhost', port: server.port })
  t.equal(await client.set('k', 1), true)
  await client.close()
  await server.close()
  const refused = await failure(client.connect())
  t.match(refused, { name: 'MemcacheSocketError', sent: false, message: /cannot connect to localhost:\d+: .*ECONNREFUSED/ })
  t.match(await failure(clientOf({ host: 'no-such-host.invalid' }).get('k')), { name: 'MemcacheSocketError', sent: false, command: 'get' })
  const path = `${t.testdir({})}/socket`
  t.match(await failure(clientOf({ path }).get('k')), { name: 'MemcacheSocketError', sent: false, server: path })
})

t.test('::1 is dialled, and not localhost', async (t) => {
  const six = await startServer({ host: '::1' }).catch(() => undefined)
  if (six === undefined) return t.comment('this machine has no IPv6')
  const client = clientOf({ host: '::1', port: six.port })
  t.equal(await client.set('k', 6), true)
  t.match(client.socket?.remoteAddress, '::1')
  await client.close()
  await six.close()
  t.match(await failure(clientOf({ host: '::1', port: six.port }).get('k')), { server: `[::1]:${six.port}` })
})

t.test('SIGSTOP and SIGKILL, on the real memcached', { skip: withoutMemcached }, async (t) => {
  const server = await startMemcached()
  const client = clientOf(server)
  await client.set('n', 1)
  server.pause()
  const stopped = await Promise.all([outcome(client.incr('n')), outcome(client.get('n'))])
  for (const { error, took } of stopped) {
    t.ok(error instanceof MemcacheSocketError && error.sent)
    t.ok(took < 400 + SLACK)
  }
  server.resume()
  t.equal(await recovers(() => client.get('n')), 2, 'counted once')
  const killed = Promise.all(Array.from({ length: 100 }, () => outcome(client.get('n'))))
  await server.stop('SIGKILL')
  for (const { value, error } of await killed) if (!(value === 2 || error instanceof MemcacheSocketError)) t.fail('neither a value nor a lost connection', { value, error })
  const again = await startMemcached([], server.port)
  t.equal(await recovers(() => client.set('k', 'w')), true)
  t.equal(await client.get('k'), 'w')
  await client.close()
  await again.stop()
})

/** Answers as memcached does, except that it cuts, delays, stalls, answers twice and hangs up as it likes. */
function nasty(next: () => number): (peer: Peer) => Promise<void> {
  return async (peer) => {
    for await (const request of requestsOf(peer)) {
      const bytes = answer(request)
      const chance = next()
      const at = Math.floor(next() * bytes.length)
      if (chance < 0.01) return peer.reset()
      if (chance < 0.02) return peer.fin()
      if (chance < 0.03) {
        peer.send(bytes.slice(0, at))
        return next() < 0.5 ? peer.fin() : peer.reset()
      }
      if (chance < 0.035) peer.send(bytes + bytes)
      else if (chance < 0.04) peer.send(`\x81${bytes.slice(0, at)}`)
      else if (chance < 0.043) return peer.closed() // stalls
      else if (chance < 0.3) await peer.pieces([bytes.slice(0, at), bytes.slice(at)])
      else if (chance < 0.33) {
        await sleep(next() * 25)
        peer.send(bytes)
      } else peer.send(bytes)
    }
  }
}

t.test('a reply is never given to another request', async (t) => {
  const next = random(5)
  const server = await startScripted(nasty(random(6)))
  const client = clientOf(server, { timeout: 150 })
  const wrong: unknown[] = []
  let right = 0
  let failed = 0
  const check = async (call: Promise<unknown>, expected: unknown): Promise<void> => {
    const { value, error, took } = await outcome(call)
    if (took > 150 + SLACK) wrong.push({ took })
    if (error !== undefined) {
      failed += 1
      if (!(error instanceof MemcacheSocketError || (error as Error).name === 'AbortError')) wrong.push(error)
    } else if (JSON.stringify(value) === JSON.stringify(expected)) right += 1
    else wrong.push({ value, expected })
  }
  let nonce = 0
  const worker = async (): Promise<void> => {
    for (let round = 0; round < 80; round += 1) {
      const key = `key-${(nonce += 1)}`
      const controller = new AbortController()
      const options = { ...(next() < 0.1 ? { timeout: 1 + Math.floor(next() * 20) } : {}), ...(next() < 0.1 ? { signal: controller.signal } : {}) }
      const kind = next()
      const calls =
        kind < 0.5 ? [check(client.get(key, options), `of ${key}`), check(client.get(`miss-${key}`, options), undefined)]
        : kind < 0.6 ? [check(client.getMulti([key, `miss-${key}`, `b${key}`], options).then((map) => [...map]), [[key, `of ${key}`], [`b${key}`, `of b${key}`]])]
        : kind < 0.8 ? [check(client.set(key, 'v'.repeat(next() * 6000), options), true), check(client.replace(`miss-${key}`, 'v', options), false)]
        : [check(client.incr(key, 1, options), 12), check(client.delete(`miss-${key}`, options), false)]
      if (next() < 0.3) setImmediate(() => controller.abort())
      await Promise.all(calls)
      if (failed > 0 && next() < 0.3) await sleep(next() * 10)
    }
  }
  await Promise.all(Array.from({ length: 10 }, worker))
  t.same(wrong, [])
  t.ok(right > 100 && failed > 20, `${right} right, ${failed} failed, ${server.peers.length} connections`)
  await client.close()
  await server.close()
})

t.test('nothing was left unhandled, nothing was warned of', async (t) => {
  await sleep(20)
  t.same(unexpected, [])
})
