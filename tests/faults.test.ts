import { getEventListeners } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { text } from '../drivers/text.ts'
import type { Request } from '../lib/commands.ts'
import { resolveOptions, endpointOf } from '../lib/options.ts'
import {
  Client,
  MemcacheClosedError,
  MemcacheError,
  MemcacheOverloadError,
  MemcacheProtocolError,
  MemcacheServerError,
  MemcacheSocketError,
  MemcacheTimeoutError,
  type ClientOptions,
} from '../lib/index.ts'
import { startServer } from '../lib/testing/index.ts'
import { answering, startScripted as startScriptedServer, type Peer, type ScriptedServer } from './support/scripted-server.ts'
import { freePort, listening, startMemcached, withoutMemcached } from './support/servers.ts'

/**
 * What the network and the server can do to a client. Each promise settles in time, with the right error and a truthful
 * `sent`; the next command on the same client works; and no reply is ever given to another request.
 */

/** How much later than its deadline a promise may settle on a machine that is busy with other things. */
const SLACK = 4000

const unexpected: unknown[] = []
process.on('unhandledRejection', (reason) => unexpected.push(reason))
process.on('warning', (warning) => unexpected.push(warning))

interface Outcome {
  readonly value?: unknown
  readonly error?: MemcacheError
  readonly took: number
}

/** What becomes of a promise, and when. */
async function outcome(promise: Promise<unknown>): Promise<Outcome> {
  const started = performance.now()
  try {
    const value = await promise
    return { value, took: performance.now() - started }
  } catch (error) {
    return { error: error as MemcacheError, took: performance.now() - started }
  }
}

/** The error with which a promise rejects. */
async function failure(promise: Promise<unknown>): Promise<MemcacheError> {
  const { error, value } = await outcome(promise)
  if (error === undefined) throw new Error(`it gave ${String(value)} instead of an error`)
  return error
}

/** What is open, so that a test that fails half-way does not keep this process from ending. */
const opened: { close(): Promise<void> }[] = []
t.teardown(() => Promise.all(opened.map((each) => each.close())))

function clientOf({ port }: { readonly port: number }, options: ClientOptions = {}): Client {
  const client = new Client({ port, timeout: 400, connectTimeout: 1000, ...options })
  opened.push(client)
  return client
}

async function startScripted(script: (peer: Peer) => void | Promise<void>): Promise<ScriptedServer> {
  const server = await startScriptedServer(script)
  opened.push(server)
  return server
}

/** Keeps the event loop from running. */
function block(milliseconds: number): void {
  const until = performance.now() + milliseconds
  while (performance.now() < until);
}

/** Waits for something that is about to be true. */
async function eventually(condition: () => boolean, what: string): Promise<void> {
  const until = performance.now() + SLACK
  while (!condition()) {
    if (performance.now() > until) throw new Error(`this did not come true: ${what}`)
    await sleep(2)
  }
}

/** Calls until it works, as an application does that goes on; gives up when it takes unreasonably long. */
async function recovers(call: () => Promise<unknown>): Promise<unknown> {
  const until = performance.now() + SLACK
  for (;;) {
    const { value, error } = await outcome(call())
    if (error === undefined) return value
    if (performance.now() > until) throw error
    await sleep(10)
  }
}

/** A well-behaved server, as far as these tests go: what it is asked for a key, it answers with a value that names the key. */
const echo = answering((request) => {
  const [verb, ...words] = request.trimEnd().split(' ')
  switch (verb) {
    case 'get':
    case 'gets': {
      const cas = verb === 'gets' ? ' 7' : ''
      return `${words.map((key) => `VALUE ${key} 0 ${key.length + 3}${cas}\r\nof ${key}\r\n`).join('')}END\r\n`
    }
    case 'gat':
      return `VALUE ${words[1]} 0 1\r\n1\r\nEND\r\n`
    case 'set':
    case 'cas':
      return 'STORED\r\n'
    case 'delete':
      return 'DELETED\r\n'
    case 'touch':
      return 'TOUCHED\r\n'
    case 'incr':
      return '12\r\n'
    case 'stats':
      return 'STAT a 1\r\nSTAT b 2\r\nEND\r\n'
    case 'version':
      return 'VERSION 1\r\n'
    default:
      return 'OK\r\n'
  }
})

/** Every command with its whole reply, for cutting the reply at each byte. */
const COMMANDS: readonly (readonly [name: string, call: (client: Client) => Promise<unknown>, reply: string])[] = [
  ['get', (client) => client.get('k'), 'VALUE k 0 5\r\nvalue\r\nEND\r\n'],
  ['get', (client) => client.get('k'), 'END\r\n'],
  ['gets', (client) => client.gets('k'), 'VALUE k 0 2 17\r\n\r\n\r\nEND\r\n'],
  ['gat', (client) => client.gat('k', 5), 'VALUE k 2 2\r\n12\r\nEND\r\n'],
  ['getMulti', (client) => client.getMulti(['a', 'b']), 'VALUE a 0 1\r\n1\r\nVALUE b 0 1\r\n2\r\nEND\r\n'],
  ['set', (client) => client.set('k', 'v'), 'STORED\r\n'],
  ['set', (client) => client.set('k', 'v'.repeat(5000)), 'NOT_STORED\r\n'],
  ['cas', (client) => client.cas('k', 'v', { cas: 5n }), 'EXISTS\r\n'],
  ['delete', (client) => client.delete('k'), 'DELETED\r\n'],
  ['touch', (client) => client.touch('k', 1), 'NOT_FOUND\r\n'],
  ['incr', (client) => client.incr('k'), '12345\r\n'],
  ['decr', (client) => client.decr('k'), 'CLIENT_ERROR cannot\r\n'],
  ['flushAll', (client) => client.flushAll(), 'OK\r\n'],
  ['stats', (client) => client.stats(), 'STAT a 1\r\nSTAT b\r\nEND\r\n'],
  ['version', (client) => client.version(), 'VERSION 1.2\r\n'],
  ['verbosity', (client) => client.verbosity(1), 'OK\r\n'],
]

t.test('refused, not found, not there', async (t) => {
  const refused = clientOf({ port: await freePort() })
  const first = await failure(refused.get('k'))
  t.type(first, MemcacheSocketError)
  t.match(first, { command: 'get', sent: false, server: /^127\.0\.0\.1:\d+$/, cause: { code: 'ECONNREFUSED' } })
  const [second, third] = await Promise.all([failure(refused.set('k', 1)), failure(refused.connect())])
  t.match(second, { sent: false, command: 'set' })
  t.type(second, MemcacheSocketError)
  t.type(third, MemcacheSocketError)
  t.notOk(refused.isConnected())
  await refused.close()

  const nowhere = new Client({ host: 'no-such-host.invalid', timeout: 3000, connectTimeout: 3000 })
  const lost = await outcome(nowhere.get('k'))
  t.type(lost.error, MemcacheSocketError)
  t.match(lost.error, { sent: false, command: 'get' })
  t.ok(lost.took < 3000 + SLACK)
  await nowhere.close()

  const path = `${t.testdir({})}/socket`
  const absent = new Client({ path })
  const missing = await failure(absent.version())
  t.type(missing, MemcacheSocketError)
  t.match(missing, { sent: false, command: 'version', server: path })
  await absent.close()

  const tooLong = new Client({ path: `/${'x'.repeat(300)}` })
  t.type(await failure(tooLong.version()), MemcacheSocketError, 'a path that no socket can have')
  await tooLong.close()
})

t.test('it comes back when the server does', async (t) => {
  const port = await freePort()
  const client = clientOf({ port })
  for (let attempt = 0; attempt < 8; attempt += 1) t.match(await failure(client.get('k')), { sent: false })
  const server = await startServer({ port })
  t.equal(await recovers(() => client.set('k', 1)), true)
  await server.close()
  t.ok((await failure(client.get('k'))) instanceof MemcacheSocketError)
  await client.close()
})

t.test('a connection that is never completed', async (t) => {
  // A server that never accepts: when its backlog is full, the kernel leaves further attempts without an answer.
  const server = createServer()
  await new Promise<void>((resolve) => server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, resolve))
  const { port } = server.address() as { port: number }
  const { spawn } = await import('node:child_process')
  // This process would accept, so a child holds a listener that it never reads from.
  await new Promise((resolve) => server.close(resolve))
  const child = spawn(process.execPath, ['-e', `
    const server = require('net').createServer()
    server.listen({ port: ${port}, host: '127.0.0.1', backlog: 1 }, () => { process.send('up') ; process.on('message', () => { for (;;) {} }) })
  `], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
  await new Promise((resolve) => child.once('message', resolve))
  child.kill('SIGSTOP')
  const fillers = Array.from({ length: 8 }, () => new Client({ port, connectTimeout: 60_000, timeout: 60_000 }))
  const filling = fillers.map((filler) => filler.connect().catch(() => {}))
  await sleep(100)
  const client = clientOf({ port }, { connectTimeout: 250, timeout: 2000 })
  const connecting = await outcome(client.connect())
  if (connecting.error === undefined) t.comment('the backlog of this machine has no end: not tested')
  else {
    t.type(connecting.error, MemcacheTimeoutError)
    t.match(connecting.error, { sent: false, message: /no connection to .* within 250 ms/ })
    await sleep(600)
    const [get, set] = await Promise.all([outcome(client.get('k')), outcome(client.set('k', 1, { timeout: 60 }))])
    t.type(get.error, MemcacheTimeoutError)
    t.match(get.error, { sent: false, command: 'get' })
    t.type(set.error, MemcacheTimeoutError, 'a deadline that is shorter than the attempt to connect')
    t.match(set.error, { sent: false, command: 'set' })
    t.ok(get.took < 250 + SLACK && set.took < 60 + SLACK)
  }
  await client.close()
  await Promise.all(fillers.map((filler) => filler.close()))
  await Promise.all(filling)
  child.kill('SIGKILL')
})

t.test('FIN and RST before, in and after a reply, at every byte', async (t) => {
  let cut: (peer: Peer) => Promise<void> = echo
  const server = await startScripted((peer) => cut(peer))
  for (const end of ['fin', 'reset'] as const) {
    for (const [name, call, reply] of COMMANDS) {
      for (let at = 0; at <= reply.length; at += 1) {
        const before = server.peers.length
        const client = clientOf(server, { timeout: 5000 })
        cut = async (peer) => {
          if (peer.index > before) return echo(peer)
          await peer.request()
          if (at > 0) await peer.pieces([reply.slice(0, at)])
          peer[end]()
        }
        const { error } = await outcome(call(client))
        const where = `${end} after ${at} of ${reply.length} bytes of the reply to ${name}`
        if (at < reply.length) {
          if (error === undefined) t.fail(`${where}: it has a result`)
          // What is left of a refusal's line can not be known; nothing else than a lost connection is seen before its end.
          else if (!(error instanceof MemcacheSocketError) || error.sent !== true || error.command !== name) t.fail(where, { error })
        } else if (end === 'fin' && error instanceof MemcacheSocketError) t.fail(`${where}: the whole reply had come`, { error })
        if (at === 0 && end === 'fin') t.match(error?.message, /no answer to ".*": .* closed the connection/, where)
        // Where the whole reply had come, the next command can be written before the end of the connection is seen.
        t.equal(await (at < reply.length ? client.version() : recovers(() => client.version())), '1', `the next command works: ${where}`)
        await client.close()
      }
    }
  }
  // Before the request has come at all.
  for (const end of ['fin', 'reset'] as const) {
    const before = server.peers.length
    cut = async (peer) => (peer.index > before ? echo(peer) : peer[end]())
    const client = clientOf(server)
    const { error } = await outcome(client.get('k'))
    if (error !== undefined) t.type(error, MemcacheSocketError)
    t.equal(await recovers(() => client.get('k')), 'of k')
    await client.close()
  }
  await server.close()
})

t.test('a reply that comes one byte at a time', async (t) => {
  let reply = ''
  const server = await startScripted(async (peer) => {
    for (;;) {
      await peer.request()
      await peer.drip(reply)
    }
  })
  const whole = await startScripted(async (peer) => {
    for (;;) {
      await peer.request()
      peer.send(reply)
    }
  })
  const client = clientOf(server, { timeout: 10_000 })
  const other = clientOf(whole, { timeout: 10_000 })
  for (const [name, call, bytes] of COMMANDS) {
    reply = bytes
    const [slow, fast] = await Promise.all([outcome(call(client)), outcome(call(other))])
    t.strictSame(slow.value, fast.value, name)
    t.equal(slow.error?.message, fast.error?.message, name)
  }
  await Promise.all([client.close(), other.close(), server.close(), whole.close()])
})

t.test('garbage, in place of the reply and behind it', async (t) => {
  const garbage = [
    'garbage\r\n', '\r\n', '\n', '\x00'.repeat(30) + '\r\n', '\x81\x00\x00\x00\r\n', 'HTTP/1.1 400 Bad Request\r\n\r\n', 'VALUE k 0 2147483648\r\n',
    'VALUE k 0 100000000000\r\n', 'VALUE k 0 -1\r\n', 'VALUE k 0 1\r\n1XX', 'VALUE k 0 1\r\n1\n\r', 'VALUE k 0 1\n1\nEND\n', 'VALUE k 0\r\n', 'END\n',
    'VALUE k 0 1\r\n1\r\nVALUE k 0 1\r\n1\r\n', 'x'.repeat(100_000), 'HD\r\n', 'BUSY currently processing crawler request\r\n', 'STORED\r\n', 'DELETED\r\n',
    'TOUCHED\r\n', 'EXISTS\r\n', 'VERSION 1\r\n', '12\r\n', 'STAT a 1\r\n', 'OK\r\n', 'RESET\r\n',
  ]
  for (const bytes of garbage) {
    const server = await startScripted(async (peer) => {
      if (peer.index > 0) return echo(peer)
      await peer.request()
      await peer.request()
      peer.send(bytes)
      await peer.closed()
    })
    const client = clientOf(server, { timeout: 5000 })
    const disconnected = new Promise((resolve) => client.once('disconnect', resolve))
    const [first, second] = await Promise.all([failure(client.get('k')), failure(client.get('l'))])
    const what = JSON.stringify(bytes.slice(0, 40))
    t.type(first, MemcacheProtocolError, what)
    t.match(first, { command: 'get', sent: true, server: `127.0.0.1:${server.port}` }, what)
    t.type(second, MemcacheSocketError, what)
    t.match(second, { command: 'get', sent: true }, what)
    t.type(await disconnected, MemcacheProtocolError)
    t.equal(await client.get('m'), 'of m', `the next command works after ${what}`)
    await client.close()
    await server.close()
  }
})

t.test('bytes that nobody asked for', async (t) => {
  const script = (send: (peer: Peer) => void) => async (peer: Peer): Promise<void> => {
    if (peer.index > 0) return echo(peer)
    const request = await peer.request()
    peer.send(request.startsWith('version') ? 'VERSION 1\r\n' : 'END\r\n')
    send(peer)
    return echo(peer)
  }
  for (const bytes of ['END\r\n', 'STORED\r\n', 'VALUE k 0 1\r\n1\r\nEND\r\n', 'x', '\r\n', 'VALUE k 0 1', 'ERROR\r\n', 'SERVER_ERROR oh\r\n']) {
    for (const behind of [true, false]) {
      const server = await startScripted(script((peer) => (behind ? peer.send(bytes) : setTimeout(() => peer.send(bytes), 20))))
      const client = clientOf(server)
      const gone = new Promise((resolve) => client.once('disconnect', resolve))
      t.equal(await client.version(), '1', 'what was asked for is right')
      if (bytes.endsWith('\n')) {
        t.type(await gone, MemcacheError)
        t.equal(await client.get('k'), 'of k', `${JSON.stringify(bytes)} ${behind ? 'behind a reply' : 'while idle'} reaches nobody`)
      } else {
        // Half a line can still become one. It must not become the beginning of another's reply.
        await sleep(60)
        const { value, error } = await outcome(client.get('k'))
        t.ok(error instanceof MemcacheSocketError || value === 'of k', JSON.stringify(bytes))
        t.equal(await recovers(() => client.get('k')), 'of k')
      }
      await client.close()
      await server.close()
    }
  }
  // The second answer comes in two parts, and a request between them: the rest must not become its reply.
  const parts = await startScripted(async (peer) => {
    if (peer.index > 0) return echo(peer)
    await peer.request()
    peer.send('END\r\nVALUE k 0 5\r\nwr')
    await peer.request()
    peer.send('ong\r\nEND\r\n')
    return peer.closed()
  })
  const misled = clientOf(parts)
  t.equal(await misled.get('k'), undefined)
  await sleep(30)
  const { value } = await outcome(misled.get('l'))
  t.not(value, 'wrong', 'the rest of an answer that nobody asked for')
  t.equal(await recovers(() => misled.get('l')), 'of l')
  await misled.close()
  await parts.close()

  const twice = await startScripted(async (peer) => {
    if (peer.index > 0) return echo(peer)
    for (;;) {
      const key = (await peer.request()).split(' ')[1]?.trim() ?? ''
      peer.send(`VALUE ${key} 0 1\r\n1\r\nEND\r\n`.repeat(2))
    }
  })
  const client = clientOf(twice)
  t.equal(await client.get('a'), '1')
  await eventually(() => !client.isConnected(), 'the connection of the second answer is given up')
  t.equal(await client.get('b'), 'of b')
  await client.close()
  await twice.close()
})

t.test('replies without end', async (t) => {
  const endless = (head: string, piece: (index: number) => string) => async (peer: Peer): Promise<void> => {
    if (peer.index > 0) return echo(peer)
    await peer.request()
    peer.send(head)
    for (let index = 0; !peer.gone; index += 1) {
      if (!peer.socket.write(piece(index), 'latin1')) await Promise.race([new Promise((resolve) => peer.socket.once('drain', resolve)), peer.closed()])
    }
  }
  const cases: readonly (readonly [string, (peer: Peer) => Promise<void>, (client: Client) => Promise<unknown>])[] = [
    ['a line', endless('', () => 'x'.repeat(10_000)), (client) => client.get('k')],
    ['a VALUE line', endless('VALUE ', () => 'x'.repeat(10_000)), (client) => client.get('k')],
    ['a multi-get of the same key', endless('', () => 'VALUE k 0 1\r\n1\r\n'), (client) => client.getMulti(['k', 'l'])],
    ['a multi-get of other keys', endless('', (index) => `VALUE k${index} 0 1\r\n1\r\n`), (client) => client.getMulti(['k0', 'k1', 'k2'])],
    ['statistics', endless('', (index) => `STAT s${index} 1\r\n`.repeat(1) + `STAT t${index} 1\r\n`), (client) => client.stats()],
    ['one statistic', endless('', () => 'STAT s 1\r\n'.repeat(1000)), (client) => client.stats()],
    ['a value of 64 MB that is not sent', endless('VALUE k 0 64000000\r\n', () => ''), (client) => client.get('k')],
  ]
  for (const [name, script, call] of cases) {
    const server = await startScripted(name.includes('not sent')
      ? async (peer) => {
        if (peer.index > 0) return echo(peer)
        await peer.request()
        peer.send('VALUE k 0 64000000\r\nx')
        await peer.closed()
      }
      : script)
    const client = clientOf(server, { timeout: 400 })
    const before = process.memoryUsage().rss
    const { error, took } = await outcome(call(client))
    t.ok(error instanceof MemcacheProtocolError || error instanceof MemcacheTimeoutError, name, { error })
    t.equal(error?.sent, true)
    t.ok(took < 400 + SLACK, `${name}: in time`)
    t.ok(process.memoryUsage().rss - before < 300e6, `${name}: memory is bounded`)
    t.equal(await recovers(() => client.version()), '1')
    await client.close()
    await server.close()
  }
})

t.test('a server that turns connections away', async (t) => {
  const away = await startScripted((peer) => {
    peer.send('ERROR Too many open connections\r\n')
    peer.fin()
  })
  const client = clientOf(away)
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const { error, took } = await outcome(client.get('k'))
    t.ok(error instanceof MemcacheServerError || error instanceof MemcacheSocketError, 'an overload, or a closed connection where the kernel dropped the line')
    t.ok(took < 400 + SLACK)
  }
  await client.connect().catch(() => {})
  await eventually(() => !client.isConnected(), 'told while idle')
  await client.close()
  await away.close()

  // The line is there before anything else can be.
  const polite = await startScripted(async (peer) => {
    peer.send('ERROR Too many open connections\r\n')
    await peer.closed()
  })
  const told = clientOf(polite)
  const reason = new Promise<MemcacheError>((resolve) => told.once('disconnect', resolve))
  await told.connect()
  t.match(await reason, { code: 'ERR_MEMCACHE_SERVER', message: 'ERROR Too many open connections' })
  await told.close()
  await polite.close()

  const shut = await startScripted((peer) => peer.fin())
  const hopeless = clientOf(shut)
  for (let attempt = 0; attempt < 20; attempt += 1) t.type(await failure(hopeless.get('k')), MemcacheSocketError)
  await hopeless.close()
  await shut.close()
})

t.test('a limit of connections, on the real memcached', { skip: withoutMemcached }, async (t) => {
  const server = await startMemcached(['-t', '1', '-c', '16'])
  const clients = Array.from({ length: 40 }, () => clientOf(server, { timeout: 3000 }))
  const outcomes = await Promise.all(clients.map((client) => outcome(client.set('k', 1))))
  t.ok(outcomes.some(({ value }) => value === true))
  for (const { error } of outcomes) if (error !== undefined) t.ok(error instanceof MemcacheServerError || error instanceof MemcacheSocketError, error.message)
  await Promise.all(clients.map((client) => client.close()))
  const client = clientOf(server)
  t.equal(await recovers(() => client.set('k', 2)), true)
  await client.close()
  await server.stop()
})

t.test('stalled: every call settles, and the next connection works', async (t) => {
  const server = await startScripted(async (peer) => (peer.index > 0 ? echo(peer) : peer.closed()))
  const client = clientOf(server)
  const results = await Promise.all([
    outcome(client.get('a')), outcome(client.set('b', 'v')), outcome(client.getMulti(['c', 'd'])), outcome(client.incr('e', 1)), outcome(client.stats()),
  ])
  for (const { error, took } of results) {
    t.ok(error instanceof MemcacheSocketError)
    t.equal(error?.sent, true)
    t.ok(took < 400 + SLACK)
  }
  t.type(results[0]?.error, MemcacheTimeoutError, 'the first that is overdue is told so')
  t.equal(await client.get('k'), 'of k')
  await client.close()
  await server.close()
})

t.test('stalled: calls of several requests, with the default timeout, end the connection as any other does', async (t) => {
  const calls: readonly (readonly [string, (client: Client) => Promise<unknown>])[] = [
    ['setMulti', (client) => client.setMulti({ a: 1, b: 2 })],
    ['deleteMulti', (client) => client.deleteMulti(['a', 'b'])],
    ['incr with initial', (client) => client.incr('a', 1, { initial: 5 })],
  ]
  for (const [name, call] of calls) {
    const server = await startScripted(async (peer) => (peer.index > 0 ? echo(peer) : peer.closed()))
    const client = clientOf(server)
    const { error, took } = await outcome(call(client))
    t.ok(error instanceof MemcacheSocketError, name)
    t.equal(error?.sent, true)
    t.ok(took < 400 + SLACK)
    t.equal(await client.get('k').catch((reason: unknown) => reason), 'of k', `${name}: the next command works`)
    await client.close()
    await server.close()
  }
})

t.test('stalled: callers that are less patient than the client do not keep a dead connection alive', async (t) => {
  const server = await startScripted(async (peer) => (peer.index > 0 ? echo(peer) : peer.closed()))
  const client = clientOf(server, { timeout: 300 })
  const until = performance.now() + 300 + SLACK
  let value: unknown
  // Each call gives up long before the client would, and the next one is there before that.
  while (value === undefined && performance.now() < until) value = await client.get('k', { timeout: 30 }).catch(() => undefined)
  t.equal(value, 'of k', 'the connection is given up although somebody new is always waiting')
  await client.close()
  await server.close()
})

t.test('a call settles by its deadline although the server always answers', async (t) => {
  // An add that finds a counter, an incr that finds none: so says a server whose item expires, or a proxy, for ever.
  const server = await startScripted(answering((request) => (request.startsWith('add') ? 'NOT_STORED\r\n' : 'NOT_FOUND\r\n')))
  const client = clientOf(server)
  const { error, value, took } = await Promise.race([outcome(client.incr('k', 1, { initial: 1, timeout: 150 })), sleep(150 + SLACK).then((): Outcome => ({ value: 'never settled', took: 0 }))])
  t.type(error, MemcacheTimeoutError, String(value))
  t.ok(took < 150 + SLACK)
  await client.close()
  await server.close()
})

t.test('sent: false means that not a byte arrives, now or later', async (t) => {
  let open = (): void => {}
  const gate = new Promise<void>((resolve) => (open = resolve))
  const server = await startScripted(async (peer) => {
    peer.socket.pause() // reads nothing until the gate opens
    await gate
    peer.socket.resume()
    return echo(peer)
  })
  const client = clientOf(server, { timeout: 300, maxPendingBytes: 1e9 })
  const value = Buffer.alloc(900_000, 'x')
  const calls = Array.from({ length: 40 }, (_, index) => outcome(client.set(`key-${index}-`, value)))
  const results = await Promise.all(calls)
  t.ok(results.every(({ error, took }) => error instanceof MemcacheSocketError && took < 300 + SLACK))
  const unsent = results.flatMap(({ error }, index) => (error?.sent === false ? [index] : []))
  t.ok(unsent.length > 10, 'what the socket has no room for stays here')
  t.equal(results[0]?.error?.sent, true)
  open()
  t.equal(await recovers(() => client.version()), '1')
  await sleep(100)
  const { received } = server
  t.same(unsent.filter((index) => received.includes(`key-${index}-`)), [], 'none of these arrived')
  await client.close()
  await server.close()
})

t.test('aborted and overdue before they are written: not sent', async (t) => {
  const server = await startScripted(echo)
  const client = clientOf(server)
  const early = new AbortController()
  const aborted = [outcome(client.get('aborted-1', { signal: early.signal })), outcome(client.set('aborted-2', 'v', { signal: early.signal }))]
  early.abort()
  for (const { error } of await Promise.all(aborted)) t.equal((error as Error | undefined)?.name, 'AbortError')
  await client.connect()
  const late = new AbortController()
  const third = outcome(client.get('aborted-3', { signal: late.signal }))
  const kept = outcome(client.get('kept'))
  late.abort(new Error('my own reason'))
  t.equal((await third).error?.message, 'my own reason')
  t.equal((await kept).value, 'of kept')
  t.notMatch(server.received, 'aborted')
  await t.rejects(client.get('aborted-4', { signal: AbortSignal.abort() }), { name: 'AbortError' })
  t.notMatch(server.received, 'aborted')
  await client.close()
  await server.close()
})

t.test('a signal that is aborted already, at the driver', async (t) => {
  // Layers and emulated commands make several requests of one call: one that begins after the abort must not be sent.
  const server = await startScripted(echo)
  const driver = text(endpointOf(resolveOptions(undefined, { port: server.port, timeout: 500 }), { onConnect() {}, onDisconnect() {} }))
  const request: Request<'get'> = { op: 'get', key: 'too-late', cas: false }
  await t.rejects(driver.execute(request, { signal: AbortSignal.abort() }), { name: 'AbortError' })
  await driver.disconnect(new MemcacheClosedError('done'))
  t.notMatch(server.received, 'too-late')
  await server.close()
})

t.test('abort storms leave nothing behind', async (t) => {
  const server = await startScripted(echo)
  const client = clientOf(server, { timeout: 5000 })
  const shared = new AbortController()
  for (let round = 0; round < 20; round += 1) {
    const calls = Array.from({ length: 200 }, (_, index) => {
      const own = new AbortController()
      const call = outcome(client.get(`r${round}-${index}`, { signal: index % 2 === 0 ? own.signal : shared.signal }))
      if (index % 4 === 0) setImmediate(() => own.abort())
      if (index % 6 === 0) own.abort()
      return call
    })
    const outcomes = await Promise.all(calls)
    for (const [index, { value, error }] of outcomes.entries()) {
      if (error === undefined ? value !== `of r${round}-${index}` : (error as Error).name !== 'AbortError') t.fail(`r${round}-${index}`, { value, error })
    }
  }
  t.equal(getEventListeners(shared.signal, 'abort').length, 0, 'no listener stays on a signal whose calls are settled')
  t.equal(server.peers.length, 1, 'on one connection')
  const pending = outcome(client.get('last', { signal: shared.signal }))
  await client.close()
  t.type((await pending).error, MemcacheClosedError)
  t.equal(getEventListeners(shared.signal, 'abort').length, 0, 'nor after close')
  await server.close()
})

t.test('a flood that nobody waits for, against a stalled server', async (t) => {
  const server = await startScripted(async (peer) => (peer.index > 0 ? echo(peer) : peer.closed()))
  const client = clientOf(server, { timeout: 1500, maxPending: 10_000 })
  await client.connect()
  const before = process.memoryUsage().rss
  const counts = { overload: 0, socket: 0, other: 0 }
  const calls = Array.from({ length: 100_000 }, (_, index) =>
    client.get(`flood-${index}`).then(
      () => void (counts.other += 1),
      (error: unknown) => {
        if (error instanceof MemcacheOverloadError && !error.sent) counts.overload += 1
        else if (error instanceof MemcacheSocketError) counts.socket += 1
        else counts.other += 1
      },
    ))
  await Promise.all(calls)
  t.same(counts, { overload: 90_000, socket: 10_000, other: 0 })
  const grown = process.memoryUsage().rss - before
  t.ok(grown < 600e6, `memory is bounded: ${Math.round(grown / 1e6)} MB`)
  t.equal(await client.get('k'), 'of k', 'and then all is well')
  const again = await Promise.all(Array.from({ length: 10_000 }, (_, index) => client.get(`k${index}`)))
  t.ok(again.every((value, index) => value === `of k${index}`), 'there is room for as many as before')
  await client.close()
  await server.close()
})

t.test('maxPendingBytes bounds what waits for a server that does not read', async (t) => {
  const server = await startScripted(async (peer) => {
    if (peer.index > 0) return echo(peer)
    peer.socket.pause()
    await peer.closed()
  })
  const client = clientOf(server, { timeout: 600, maxPendingBytes: 5_000_000 })
  const value = Buffer.alloc(1_000_000)
  const results = await Promise.all(Array.from({ length: 50 }, () => outcome(client.set('k', value))))
  const overload = results.filter(({ error }) => error instanceof MemcacheOverloadError)
  t.equal(overload.length, 46)
  t.ok(overload.every(({ error }) => error?.sent === false))
  t.ok(results.every(({ error, took }) => error instanceof MemcacheError && took < 600 + SLACK))
  t.equal(await recovers(() => client.set('k', value)), true)
  for (let round = 0; round < 10; round += 1) t.equal(await client.set('k', value), true, 'what was pending is not counted for ever')
  await client.close()
  await server.close()
})

t.test('a busy process does not take its own pauses for a silent server', async (t) => {
  await t.test('replies that wait in the kernel', { skip: withoutMemcached }, async (t) => {
    const server = await startMemcached()
    const client = clientOf(server, { timeout: 200 })
    await client.set('k', 'v'.repeat(1000))
    // Without a pause between the rounds: what the first has left due is seen in the turn of the next.
    for (let round = 0; round < 3; round += 1) {
      const calls = Array.from({ length: 50 }, () => outcome(client.get('k')))
      await new Promise((resolve) => process.nextTick(() => process.nextTick(resolve))) // written by now
      block(450)
      const results = await Promise.all(calls)
      t.equal(results.filter(({ value }) => value === 'v'.repeat(1000)).length, 50, `round ${round}: the replies were there, nobody is late`)
    }
    await client.close()
    await server.stop()
  })

  await t.test('a connection that stands in the kernel', { skip: withoutMemcached }, async (t) => {
    const server = await startMemcached()
    const client = clientOf(server, { timeout: 5000, connectTimeout: 200 })
    const call = outcome(client.version())
    await new Promise((resolve) => process.nextTick(() => process.nextTick(resolve))) // the attempt is under way
    block(450)
    const { value, error } = await call
    t.equal(error, undefined, 'the connection was there in time')
    t.type(value, 'string')
    await client.close()
    await server.stop()
  })
})

t.test('close and connect, at awkward moments', async (t) => {
  const server = await startScripted(echo)
  const client = clientOf(server)
  const inFlight = [outcome(client.get('a')), outcome(client.connect())]
  await client.close()
  for (const { error } of await Promise.all(inFlight)) t.type(error, MemcacheClosedError)
  t.match(await failure(client.get('b')), { code: 'ERR_MEMCACHE_CLOSED', sent: false })
  await client.connect()
  t.equal(await client.get('c'), 'of c', 'connect opens a closed client again')

  client.socket?.destroy()
  const { value, error } = await outcome(client.get('d'))
  t.ok(error instanceof MemcacheSocketError || value === 'of d', 'a socket that the user destroys')
  t.equal(await recovers(() => client.get('e')), 'of e')

  const reconnecting = client.connect({ reconnect: true }).catch(() => {})
  await client.close()
  await reconnecting
  t.notOk(client.isConnected(), 'of connect and close, what was called last holds')
  t.type((await outcome(client.get('f'))).error, MemcacheClosedError)
  await client.close()

  const busy = clientOf(server)
  await busy.connect()
  const lost = outcome(busy.get('g'))
  await busy.connect({ reconnect: true })
  t.type((await lost).error, MemcacheClosedError)
  t.equal(await busy.get('h'), 'of h')
  await Promise.all([busy.close(), busy.close(), busy.disconnect()])
  await busy.close()
  await server.close()
})

t.test('the cause of a lost connection is what happened to it, not what was refused long before', async (t) => {
  const server = await startScripted(async (peer) => {
    if (peer.index > 0) return echo(peer)
    await peer.request()
    peer.send('CLIENT_ERROR no such thing\r\n')
    await peer.request()
    peer.send('END\r\n')
    await peer.request()
    peer.fin()
  })
  const client = clientOf(server)
  t.equal((await failure(client.incr('k'))).code, 'ERR_MEMCACHE_CLIENT')
  t.equal(await client.get('k'), undefined, 'the connection goes on')
  const lost = await failure(client.get('k'))
  t.equal((lost.cause as Error).cause, undefined, 'the refusal was followed by a right reply: it is not why the server closed')
  await client.close()
  await server.close()
})

t.test('SIGSTOP and SIGKILL, on the real memcached', { skip: withoutMemcached }, async (t) => {
  const server = await startMemcached()
  const client = clientOf(server)
  t.equal(await client.set('k', 'v'), true)
  server.pause()
  const stopped = await Promise.all([outcome(client.get('k')), outcome(client.set('l', 1)), outcome(client.incr('m'))])
  for (const { error, took } of stopped) {
    t.ok(error instanceof MemcacheSocketError)
    t.equal(error?.sent, true)
    t.ok(took < 400 + SLACK)
  }
  const still = await outcome(client.get('k'))
  t.ok(still.error instanceof MemcacheSocketError && still.took < 400 + SLACK, 'and so it does on a new connection, which the kernel accepts')
  server.resume()
  t.equal(await recovers(() => client.get('k')), 'v')
  const killed = Promise.all(Array.from({ length: 100 }, () => outcome(client.get('k'))))
  await server.stop('SIGKILL')
  for (const { value, error } of await killed) if (!(value === 'v' || error instanceof MemcacheSocketError)) t.fail('neither a value nor a lost connection', { value, error })
  t.match(await failure(client.get('k')), { code: 'ERR_MEMCACHE_SOCKET', sent: false })
  const again = await startMemcached([], server.port)
  t.equal(await recovers(() => client.set('k', 'w')), true)
  t.equal(await client.get('k'), 'w')
  await client.close()
  await again.stop()
})

t.test('the switches of the embedded server', async (t) => {
  const server = await startServer()
  const client = clientOf(server)
  await client.set('k', 'v')
  server.stall()
  t.type(await failure(client.get('k')), MemcacheTimeoutError)
  server.resume()
  t.equal(await client.get('k'), 'v')
  for (const reset of [true, false]) {
    server.stall()
    const lost = outcome(client.get('k'))
    await sleep(20)
    server.dropConnections({ reset })
    t.match((await lost).error, { code: 'ERR_MEMCACHE_SOCKET', sent: true })
    server.resume()
    t.equal(await recovers(() => client.get('k')), 'v')
  }
  server.garble('garbage\r\n')
  t.type(await failure(client.get('k')), MemcacheProtocolError)
  t.equal(await client.get('k'), 'v')
  server.delay(50)
  t.equal(await client.get('k'), 'v')
  server.delay(0)
  server.closeAfterBytes(5)
  t.match(await failure(client.get('k')), { code: 'ERR_MEMCACHE_SOCKET', sent: true, message: /in the middle of a reply/ })
  t.equal(await client.get('k'), 'v')
  await client.close()
  await server.close()
})

/** Numbers that look random and are the same in each run (mulberry32). */
function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Answers as memcached does, except that it cuts, delays, stalls, drips, answers twice and hangs up as it likes. */
function nasty(next: () => number): (peer: Peer) => Promise<void> {
  return async (peer) => {
    for (;;) {
      const request = await peer.request()
      const [verb, ...words] = request.split('\r\n')[0]!.split(' ')
      const value = (key: string): string => `VALUE ${key} 0 ${key.length * 3 + 2}\r\n${key}|${key}|${key}\r\n`
      const reply =
        verb === 'get' ? `${words.filter((key) => !key.startsWith('miss')).map(value).join('')}END\r\n`
        : verb === 'set' ? (words[0]!.startsWith('full') ? 'NOT_STORED\r\n' : 'STORED\r\n')
        : verb === 'incr' ? `${words[1]}\r\n`
        : verb === 'delete' ? (words[0]!.startsWith('miss') ? 'NOT_FOUND\r\n' : 'DELETED\r\n')
        : 'VERSION 1\r\n'
      const chance = next()
      const at = Math.floor(next() * reply.length)
      if (chance < 0.01) return peer.reset()
      if (chance < 0.02) return peer.fin()
      if (chance < 0.03) {
        peer.send(reply.slice(0, at))
        return next() < 0.5 ? peer.fin() : peer.reset()
      }
      if (chance < 0.035) {
        peer.send('SERVER_ERROR something\r\n')
        continue
      }
      if (chance < 0.04) {
        peer.send('bad line\r\n')
        return peer.closed()
      }
      if (chance < 0.043) return peer.closed() // stalls
      if (chance < 0.3) await peer.pieces([reply.slice(0, at), reply.slice(at)])
      else if (chance < 0.35) {
        await sleep(next() * 25)
        peer.send(reply)
      } else peer.send(reply)
    }
  }
}

t.test('a reply is never given to another request', async (t) => {
  for (const seed of [1, 2, 3]) {
    const next = random(seed)
    const server = await startScripted(nasty(random(seed + 100)))
    const client = clientOf(server, { timeout: 120 })
    const wrong: unknown[] = []
    let right = 0
    let failed = 0
    const check = async (call: Promise<unknown>, expected: unknown): Promise<void> => {
      const { value, error, took } = await outcome(call)
      if (took > 120 + SLACK) wrong.push({ took })
      if (error !== undefined) {
        failed += 1
        if (!(error instanceof MemcacheError || (error as Error).name === 'AbortError')) wrong.push(error)
      } else if (JSON.stringify(value) === JSON.stringify(expected)) right += 1
      else wrong.push({ value, expected })
    }
    const of = (key: string): string => `${key}|${key}|${key}`
    let nonce = 0
    const worker = async (): Promise<void> => {
      for (let round = 0; round < 100; round += 1) {
        nonce += 1
        const key = `key-${nonce}`
        const controller = new AbortController()
        const options = { ...(next() < 0.1 ? { timeout: 1 + Math.floor(next() * 20) } : {}), ...(next() < 0.1 ? { signal: controller.signal } : {}) }
        const kind = next()
        const calls =
          kind < 0.4 ? [check(client.get(key, options), of(key))]
          : kind < 0.5 ? [check(client.get(`miss-${key}`, options), undefined)]
          : kind < 0.6 ? [check(client.getMulti([key, `miss-${key}`, `b${key}`], options).then((map) => [...map]), [[key, of(key)], [`b${key}`, of(`b${key}`)]])]
          : kind < 0.7 ? [check(client.set(key, 'v'.repeat(next() * 6000), options), true), check(client.set(`full-${key}`, 'v', options), false)]
          : kind < 0.8 ? [check(client.incr(key, nonce, options), nonce)]
          : kind < 0.9 ? [check(client.delete(`miss-${key}`, options), false), check(client.delete(key, options), true)]
          : [check(client.version(options), '1')]
        const abortAt = next()
        if (abortAt < 0.3) controller.abort()
        else if (abortAt < 0.6) setImmediate(() => controller.abort())
        else setTimeout(() => controller.abort(), 5)
        if (next() < 0.003) void client.connect({ reconnect: true }).catch(() => {})
        await Promise.all(calls)
        if (failed > 0 && next() < 0.3) await sleep(next() * 10)
      }
    }
    await Promise.all(Array.from({ length: 12 }, worker))
    t.same(wrong, [], `seed ${seed}`)
    t.ok(right > 200 && failed > 20, `seed ${seed}: ${right} right, ${failed} failed, ${server.peers.length} connections`)
    await client.close()
    await server.close()
  }
})

t.test('the same, on the real memcached behind a proxy that kills', { skip: withoutMemcached }, async (t) => {
  const memcached = await startMemcached()
  const next = random(7)
  const { connect } = await import('node:net')
  const proxy = createServer((front) => {
    const back = connect(memcached.port, '127.0.0.1')
    front.setNoDelay(true)
    const end = (): void => {
      front.destroy()
      back.destroy()
    }
    let budget = 2000 + next() * 60_000
    back.on('data', (chunk: Buffer) => {
      budget -= chunk.length
      if (budget > 0) return void front.write(chunk)
      front.write(chunk.subarray(0, Math.floor(next() * chunk.length)), () => (next() < 0.5 ? front.resetAndDestroy() : front.end()))
      back.destroy()
    })
    front.on('data', (chunk) => back.write(chunk))
    for (const socket of [front, back]) socket.on('error', end).on('close', end)
  })
  const client = clientOf({ port: await listening(proxy, 0) }, { timeout: 2000 })
  const wrong: unknown[] = []
  let right = 0
  let lost = 0
  const worker = async (id: number): Promise<void> => {
    for (let round = 0; round < 120; round += 1) {
      const key = `w${id}-${round % 10}`
      const value = `${key}:${round}:`.padEnd(Math.floor(next() * 400), '.')
      const stored = await outcome(client.set(key, value))
      if (stored.error !== undefined) {
        lost += 1
        if (!(stored.error instanceof MemcacheSocketError)) wrong.push(stored.error)
        await sleep(5)
        continue
      }
      const found = await outcome(client.get(key))
      if (found.error !== undefined) {
        lost += 1
        await sleep(5)
      } else if (found.value === value) right += 1
      else wrong.push({ key, value, found: found.value })
    }
  }
  await Promise.all(Array.from({ length: 10 }, (_, id) => worker(id)))
  t.same(wrong, [])
  t.ok(right > 300 && lost > 3, `${right} right, ${lost} lost`)
  await client.close()
  await new Promise((resolve) => proxy.close(resolve))
  await memcached.stop()
})

t.test('nothing was left unhandled, nothing was warned of', async (t) => {
  await sleep(20)
  t.same(unexpected, [])
})
