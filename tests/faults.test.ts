import { getEventListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { Request } from '../lib/commands.ts'
import { resolveOptions, endpointOf } from '../lib/options.ts'
import {
  Client,
  MemcacheClientError,
  MemcacheClosedError,
  MemcacheError,
  MemcacheProtocolError,
  MemcacheServerError,
  MemcacheSocketError,
  MemcacheTimeoutError,
} from '../lib/index.ts'
import { startServer } from '../lib/testing/index.ts'
import { DIALECTS, echoed, speaking, type Answer, type Dialect } from './support/dialects.ts'
import { eventually, failure, Opened, outcome, PATIENT, recovers, SLACK, unhandled, type Outcome } from './support/outcomes.ts'
import { OPCODES, packet, REQUEST, uint32, type PacketParts } from './support/packets.ts'
import type { Peer } from './support/scripted-server.ts'
import { startMemcached, withoutMemcached } from './support/servers.ts'

/**
 * What a server can do to a client, whatever protocol they speak. Each promise settles in time, with the right error and a
 * truthful `sent`; the next command on the same client works; and no reply is ever given to another request.
 */

/** How long a client waits where a test lets it wait in vain, in milliseconds. */
const SHORT = 250

const unexpected = unhandled()
const opened = new Opened()
t.teardown(() => opened.close())

t.jobs = DIALECTS.length // most of their time they wait

/** The same test for each protocol, at the same time. */
function onEach(name: string, run: (t: Test, dialect: Dialect) => Promise<void>, options: { readonly skip?: string | false } = {}): void {
  for (const dialect of DIALECTS) t.test(`${name} (${dialect.name})`, { ...options, buffered: true }, (t) => run(t, dialect))
}

/** The script of a server that does something to its first connection, and behaves from then on. */
function atFirst(dialect: Dialect, script: (peer: Peer) => void | Promise<void>): (peer: Peer) => void | Promise<void> {
  return (peer) => (peer.index > 0 ? speaking(dialect, echoed)(peer) : script(peer))
}

type Command = readonly [name: string, call: (client: Client) => Promise<unknown>, answer: Answer]

/** Every command that a protocol has, with an answer. */
function commandsOf({ name }: Dialect): readonly Command[] {
  const commands: readonly Command[] = [
    ['get', (client) => client.get('k'), [{ value: 'value' }]],
    ['get', (client) => client.get('k'), [undefined]],
    ['gets', (client) => client.gets('k'), [{ value: '\r\n', cas: 17n }]],
    ['gat', (client) => client.gat('k', 5), [{ value: '12', flags: 2 }]],
    ['getMulti', (client) => client.getMulti(['a', 'b']), [{ value: '1' }, { value: '2' }]],
    ['getMulti', (client) => client.getMulti(['a', 'b', 'c']), [undefined, { value: '2' }, undefined]],
    ['getMulti', (client) => client.getMulti(['a', 'b']), { trouble: 'oh' }],
    ['set', (client) => client.set('k', 'v'), 'stored'],
    ['set', (client) => client.set('k', 'v'.repeat(5000)), 'not-stored'],
    ['add', (client) => client.add('k', 'v'), 'not-stored'],
    ['cas', (client) => client.cas('k', 'v', { cas: 5n }), 'exists'],
    ['delete', (client) => client.delete('k'), 'deleted'],
    ['touch', (client) => client.touch('k', 1), 'not-found'],
    ['incr', (client) => client.incr('k'), 12345n],
    ['decr', (client) => client.decr('k'), { trouble: 'out of memory' }],
    ['flushAll', (client) => client.flushAll(), 'ok'],
    ['stats', (client) => client.stats(), new Map([['a', '1'], ['b', '']])],
    ['version', (client) => client.version(), { version: '1.2' }],
  ]
  const verbosity: Command = ['verbosity', (client) => client.verbosity(1), 'ok']
  const metaGet: Command = ['metaGet', (client) => client.metaGet('k'), [{ value: 'value', flags: 0 }]]
  return [...commands, ...(name === 'binary' ? [] : [verbosity]), ...(name === 'meta' ? [metaGet] : [])]
}

onEach('FIN and RST before, in and after a reply, at every byte', async (t, dialect) => {
  const { driver } = dialect
  const echo = speaking(dialect, echoed)
  let cut: (peer: Peer) => Promise<void> | void = echo
  const server = await opened.scripted((peer) => cut(peer))
  for (const end of ['fin', 'reset'] as const) {
    for (const [name, call, answer] of commandsOf(dialect)) {
      let length = Infinity // until the first request has come
      for (let at = 0; at <= length; at += 1) {
        const before = server.peers.length
        const client = opened.client(server, { driver })
        cut = async (peer) => {
          if (peer.index > before) return echo(peer)
          const reply = dialect.said(await peer.request(), answer)
          length = reply.length
          if (at > 0) await peer.pieces([reply.slice(0, at)])
          peer[end]()
        }
        const { error } = await outcome(call(client))
        const where = `${end} after ${at} of ${length} bytes of the reply to ${name}`
        if (at < length) {
          if (error === undefined) t.fail(`${where}: it has a result`)
          // What is left of a refusal can not be known; nothing else than a lost connection is seen before its end.
          else if (!(error instanceof MemcacheSocketError) || error.sent !== true || error.command !== name) t.fail(where, { error })
        } else if (end === 'fin' && error instanceof MemcacheSocketError) t.fail(`${where}: the whole reply had come`, { error })
        if (at === 0 && end === 'fin') t.match(error?.message, /no answer to ".*": .* closed the connection/, where)
        // Where the whole reply had come, the next command can be written before the end of the connection is seen.
        const next = await (at < length ? client.version() : recovers(() => client.version()))
        if (next !== '1') t.equal(next, '1', `the next command works: ${where}`)
        await client.close()
      }
      t.ok(length > 3 && length < Infinity, `${end} in the reply to ${name}`)
    }
  }
  // Before the request has come at all.
  for (const end of ['fin', 'reset'] as const) {
    const before = server.peers.length
    cut = async (peer) => (peer.index > before ? echo(peer) : peer[end]())
    const client = opened.client(server, { driver })
    const { error } = await outcome(client.get('k'))
    if (error !== undefined) t.type(error, MemcacheSocketError)
    t.equal(await recovers(() => client.get('k')), 'of k')
    await client.close()
  }
  await server.close()
})

onEach('a reply that comes one byte at a time', async (t, dialect) => {
  let answer: Answer = 'ok'
  const answered = (send: (peer: Peer, reply: string) => Promise<void> | void) => async (peer: Peer): Promise<void> => {
    for (;;) await send(peer, dialect.said(await peer.request(), answer))
  }
  const server = await opened.scripted(answered((peer, reply) => peer.drip(reply)))
  const whole = await opened.scripted(answered((peer, reply) => peer.send(reply)))
  const client = opened.client(server, { driver: dialect.driver })
  const other = opened.client(whole, { driver: dialect.driver })
  for (const [name, call, said] of commandsOf(dialect)) {
    answer = said
    const [slow, fast] = await Promise.all([outcome(call(client)), outcome(call(other))])
    t.strictSame(slow.value, fast.value, name)
    t.equal(slow.error?.message, fast.error?.message, name)
  }
  await Promise.all([client.close(), other.close(), server.close(), whole.close()])
})

/** What no server may say to the first request of a connection when that is a get. */
const GARBAGE: { readonly [name in Dialect['name']]: readonly string[] } = {
  text: [
    '\r\n', '\n', 'VALUE k 0 2147483648\r\n', 'VALUE k 0 100000000000\r\n', 'VALUE k 0 -1\r\n', 'VALUE k 0 1\r\n1XX', 'VALUE k 0 1\r\n1\n\r', 'VALUE k 0 1\n1\nEND\n',
    'VALUE k 0\r\n', 'END\n', 'VALUE k 0 1\r\n1\r\nVALUE k 0 1\r\n1\r\n', 'HD\r\n', 'EN\r\n', 'STORED\r\n', 'DELETED\r\n', 'TOUCHED\r\n', 'EXISTS\r\n', '12\r\n', 'RESET\r\n',
  ],
  meta: [
    '\r\n', '\n', 'EN\n', 'EN Ox\r\n', 'EN O2\r\n', 'EN O0\r\n', 'HD O1\r\n', 'NF O1\r\n', 'NS O1\r\n', 'EX O1\r\n', 'MN\r\n', 'VA 1 O2 f0\r\n1\r\n', 'VA 1 f0\r\n1\r\n', 'VA 1 O1\r\n1\r\n', 'VA 2147483648 O1 f0\r\n',
    'VA 100000000000 O1 f0\r\n', 'VA -1 O1 f0\r\n', 'VA 1 O1 f0\r\n1XX', 'VA 1 O1 f0\r\n1\n\r', 'VA 1 O1 f0\n1\n', 'VA\r\n', 'EN O1\n', 'va 1 O1 f0\r\n1\r\n', 'END\r\n',
    'VALUE k 0 1\r\n1\r\nEND\r\n', 'STORED\r\n',
  ],
  binary: [
    ...[
      { opaque: 2 }, { opaque: 0 }, { opcode: OPCODES.set }, { opcode: OPCODES.getk }, { opcode: OPCODES.getkq }, { opcode: OPCODES.noop }, { opcode: 0xff }, { magic: REQUEST }, { extras: '' },
      { extras: '12345678' }, { bodyLength: 0xffff_ffff }, { bodyLength: 0x8000_0000 }, { keyLength: 0xffff }, { bodyLength: 3 }, { opaque: 2, status: 1, extras: '' }, { magic: 0x82 },
    ].map((wrong: Partial<PacketParts>) => packet({ opcode: OPCODES.get, opaque: 1, extras: uint32(0), value: 'v', ...wrong })),
    'END\r\n', 'EN O1\r\n', 'VALUE k 0 1\r\n1\r\nEND\r\n', 'ERRATA\r\n', '\r\n', '\n',
  ],
}
const RUBBISH = [
  'garbage\r\n', '\x00'.repeat(30) + '\r\n', '\x80\x00\x00\x00\r\n', 'HTTP/1.1 400 Bad Request\r\n\r\n', 'x'.repeat(100_000), 'BUSY currently processing crawler request\r\n', 'VERSION 1\r\n',
  'STAT a 1\r\n', 'OK\r\n', '\u001b[2J\r\n',
]

onEach('garbage in place of a reply', async (t, dialect) => {
  for (const bytes of [...RUBBISH, ...GARBAGE[dialect.name]]) {
    const server = await opened.scripted(atFirst(dialect, async (peer) => {
      await peer.request()
      await peer.request()
      peer.send(bytes)
      await peer.closed()
    }))
    const client = opened.client(server, { driver: dialect.driver })
    const disconnected = new Promise((resolve) => client.once('disconnect', resolve))
    const [first, second] = await Promise.all([failure(client.get('k')), failure(client.get('l'))])
    const what = JSON.stringify(bytes.slice(0, 60))
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

onEach('bytes that nobody asked for', async (t, dialect) => {
  const { driver, said } = dialect
  type Wrong = readonly [name: string, bytes: (request: string) => string]
  const wrongs: readonly Wrong[] = [
    ['a miss', (request) => said(request, [undefined])],
    ['a word', (request) => said(request, 'stored')],
    ['a value', (request) => said(request, [{ value: '1' }])],
    ['a refusal', (request) => said(request, { trouble: 'oh' })],
    ['an error', () => 'ERROR\r\n'],
    ['an empty line', () => '\r\n'],
    ['too many connections', () => 'ERROR Too many open connections\r\n'],
    ['a letter', () => 'x'],
    ['the first letter of an error', () => 'E'],
    ['the beginning of a value', (request) => said(request, [{ value: '1' }]).slice(0, 9)],
  ]
  for (const [name, bytes] of wrongs) {
    for (const behind of [true, false]) {
      const server = await opened.scripted(atFirst(dialect, async (peer) => {
        const request = await peer.request()
        peer.send(dialect.said(request, echoed(dialect.asked(request))))
        if (behind) peer.send(bytes(request))
        else setTimeout(() => peer.send(bytes(request)), 20)
        await peer.closed()
      }))
      const client = opened.client(server, { driver })
      const gone = new Promise((resolve) => client.once('disconnect', resolve))
      t.equal(await client.version(), '1', 'what was asked for is right')
      t.type(await gone, MemcacheError)
      t.equal(await client.get('k'), 'of k', `${name} ${behind ? 'behind a reply' : 'while idle'} reaches nobody`)
      await client.close()
      await server.close()
    }
  }
  // The second answer comes in two parts, and a request between them: the rest must not become its reply.
  const parted = await opened.scripted(atFirst(dialect, async (peer) => {
    const request = await peer.request()
    const wrong = dialect.said(request, [{ value: 'wrong' }])
    peer.send(dialect.said(request, [undefined]) + wrong.slice(0, -6))
    await peer.request()
    peer.send(wrong.slice(-6))
    return peer.closed()
  }))
  const misled = opened.client(parted, { driver })
  t.equal(await misled.get('k'), undefined)
  await sleep(30)
  const { value } = await outcome(misled.get('l'))
  t.not(value, 'wrong', 'the rest of an answer that nobody asked for')
  t.equal(await recovers(() => misled.get('l')), 'of l')
  await misled.close()
  await parted.close()

  const twice = await opened.scripted(atFirst(dialect, async (peer) => {
    for (;;) peer.send(dialect.said(await peer.request(), [{ value: '1' }]).repeat(2))
  }))
  const client = opened.client(twice, { driver })
  t.equal(await client.get('a'), '1')
  await eventually(() => !client.isConnected(), 'the connection of the second answer is given up')
  t.equal(await client.get('b'), 'of b')
  await client.close()
  await twice.close()
})

onEach('replies that come out of order, twice or not at all', async (t, dialect) => {
  const orders = [[1, 0, 2], [0, 2, 1], [1, 2, 0], [2, 0, 1], [2, 1, 0], [0, 0, 1, 2], [0, 1, 1, 2], [1, 2], [0, 2], [2], [1, 1, 1]]
  const kinds: readonly ((client: Client) => readonly (readonly [Promise<unknown>, unknown])[])[] = [
    (client) => [[client.get('a'), 'of a'], [client.incr('b'), 12], [client.set('c', 'v'), true]],
    (client) => [[client.set('a', 'v'), true], [client.get('b'), 'of b'], [client.version(), '1']],
    // By text alone nobody can tell whose value it is: some servers name a key in another way than it was asked for.
    ...(dialect.name === 'text' ? [] : [
      (client: Client) => ['a', 'b', 'c'].map((key) => [client.get(key), `of ${key}`] as const),
      (client: Client) => ['a', 'b', 'c'].map((key) => [client.incr(key), 12] as const),
      (client: Client) => [[client.getMulti(['a', 'b']).then((map) => map.size), 2], [client.getMulti(['a', 'b', 'c']).then((map) => map.size), 3], [client.get('a'), 'of a']] as const,
    ]),
  ]
  for (const [kind, calls] of kinds.entries()) {
    for (const order of orders) {
      const server = await opened.scripted(atFirst(dialect, async (peer) => {
        const requests = [await peer.request(), await peer.request(), await peer.request()]
        peer.send(order.map((place) => dialect.said(requests[place]!, echoed(dialect.asked(requests[place]!)))).join(''))
        await peer.closed()
      }))
      const client = opened.client(server, { driver: dialect.driver, timeout: SHORT })
      const outcomes = await Promise.all(calls(client).map(async ([call, expected]) => ({ ...(await outcome(call)), expected })))
      const where = `${kind}: ${order}`
      for (const { value, error, expected } of outcomes) {
        if (error === undefined ? value !== expected : !(error instanceof MemcacheSocketError && error.sent)) t.fail(`${where}: not its own`, { value, error, expected })
      }
      const wrongFrom = order.findIndex((place, index) => place !== index)
      if (order.length < 4 && outcomes[Math.max(wrongFrom, 0)]?.error === undefined) t.fail(`${where}: the wrong reply was taken`)
      t.equal(await recovers(() => client.get('k')), 'of k', `the next command works: ${where}`)
      await client.close()
      await server.close()
    }
  }
})

type Endless = readonly [name: string, call: (client: Client) => Promise<unknown>, head: string, piece: ((index: number) => string) | undefined]
const getOne = (client: Client): Promise<unknown> => client.get('k')
const getThree = (client: Client): Promise<unknown> => client.getMulti(['k0', 'k1', 'k2'])
const statistics = (client: Client): Promise<unknown> => client.stats()
const first = (opcode: number, parts: Omit<PacketParts, 'opcode'>): string => packet({ opcode, opaque: 1, ...parts })

/** Replies that go on and on, or that stop after their head. */
const ENDLESS: { readonly [name in Dialect['name']]: readonly Endless[] } = {
  text: [
    ['a line', getOne, '', () => 'x'.repeat(10_000)],
    ['a VALUE line', getOne, 'VALUE ', () => 'x'.repeat(10_000)],
    ['the same key', getThree, '', () => 'VALUE k0 0 1\r\n1\r\n'],
    ['other keys', getThree, '', (index) => `VALUE k${index} 0 1\r\n1\r\n`],
    ['statistics', statistics, '', (index) => Array.from({ length: 100 }, (_, each) => `STAT s${index}-${each} 1\r\n`).join('')],
    ['one statistic', statistics, '', () => 'STAT s 1\r\n'.repeat(1000)],
    ['a value of 64 MB that is not sent', getOne, 'VALUE k 0 64000000\r\nx', undefined],
  ],
  meta: [
    ['a line', getOne, '', () => 'x'.repeat(10_000)],
    ['a length', getOne, 'VA ', () => '1'.repeat(10_000)],
    ['flags', getOne, 'VA 1 O1', () => ' f0'.repeat(3000)],
    ['the same key', getThree, '', () => 'VA 1 O1.0 f0\r\n1\r\n'],
    ['other keys', getThree, '', (index) => `VA 1 O1.${index} f0\r\n1\r\n`],
    ['failures', getThree, '', () => 'SERVER_ERROR oh\r\n'.repeat(1000)],
    ['statistics', statistics, '', (index) => Array.from({ length: 100 }, (_, each) => `STAT s${index}-${each} 1\r\n`).join('')],
    ['a value of 64 MB that is not sent', getOne, 'VA 64000000 O1 f0\r\nx', undefined],
  ],
  binary: [
    ['a line', getOne, 'ERROR ', () => 'x'.repeat(10_000)],
    ['the same key', getThree, '', () => first(OPCODES.getkq, { extras: uint32(0), key: 'k0', value: '1' })],
    ['other keys', getThree, '', (index) => first(OPCODES.getkq, { extras: uint32(0), key: `k${index}`, value: '1' })],
    ['failures', getThree, '', () => first(OPCODES.getkq, { status: 0x85 }).repeat(1000)],
    ['statistics', statistics, '', (index) => Array.from({ length: 100 }, (_, each) => first(OPCODES.stat, { key: `s${index}-${each}`, value: '1' })).join('')],
    ['one statistic', statistics, '', () => first(OPCODES.stat, { key: 's', value: '1' }).repeat(1000)],
    ['a value of 64 MB that is not sent', getOne, first(OPCODES.get, { extras: uint32(0), bodyLength: 64_000_004 }) + 'x', undefined],
    ['a packet that stops in its header', getOne, first(OPCODES.get, {}).slice(0, 23), undefined],
  ],
}

onEach('replies without end', async (t, dialect) => {
  for (const [name, call, head, piece] of ENDLESS[dialect.name]) {
    const server = await opened.scripted(atFirst(dialect, async (peer) => {
      await peer.request()
      peer.send(head)
      for (let index = 0; piece !== undefined && !peer.gone; index += 1) {
        if (!peer.socket.write(piece(index), 'latin1')) await Promise.race([new Promise((resolve) => peer.socket.once('drain', resolve)), peer.closed()])
      }
      await peer.closed()
    }))
    const client = opened.client(server, { driver: dialect.driver, timeout: SHORT })
    const before = process.memoryUsage().rss
    const { error, took } = await outcome(call(client))
    t.ok(error instanceof MemcacheProtocolError || error instanceof MemcacheTimeoutError, name, { error })
    t.equal(error?.sent, true)
    t.ok(took < SHORT + SLACK, `${name}: in time`)
    t.ok(process.memoryUsage().rss - before < 300e6, `${name}: memory is bounded`)
    t.equal(await recovers(() => client.version()), '1')
    await client.close()
    await server.close()
  }
})

onEach('a server that turns connections away', async (t, dialect) => {
  const { driver } = dialect
  const away = await opened.scripted((peer) => {
    peer.send('ERROR Too many open connections\r\n')
    peer.fin()
  })
  const client = opened.client(away, { driver })
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const { error, took } = await outcome(client.get('k'))
    t.ok(error instanceof MemcacheServerError || error instanceof MemcacheSocketError, 'an overload, or a closed connection where the kernel dropped the line')
    t.ok(took < SLACK)
  }
  await client.connect().catch(() => {})
  await eventually(() => !client.isConnected(), 'told while idle')
  await client.close()
  await away.close()

  // The line is there before anything else can be.
  const polite = await opened.scripted(async (peer) => {
    peer.send('ERROR Too many open connections\r\n')
    await peer.closed()
  })
  const told = opened.client(polite, { driver })
  const reason = new Promise<MemcacheError>((resolve) => told.once('disconnect', resolve))
  await told.connect()
  t.match(await reason, { code: 'ERR_MEMCACHE_SERVER', message: 'ERROR Too many open connections' })
  await told.close()
  await polite.close()

  // In answer to a request.
  for (const call of [getOne, getThree, (client: Client) => client.set('k', 'v'), statistics]) {
    const server = await opened.scripted(atFirst(dialect, async (peer) => {
      await peer.request()
      peer.send('ERROR Too many open connections\r\n')
      await peer.closed()
    }))
    const asking = opened.client(server, { driver })
    t.match(await failure(call(asking)), { code: 'ERR_MEMCACHE_SERVER', message: 'ERROR Too many open connections' })
    t.equal(await asking.get('k'), 'of k', 'on another connection')
    await asking.close()
    await server.close()
  }

  const shut = await opened.scripted((peer) => peer.fin())
  const hopeless = opened.client(shut, { driver })
  for (let attempt = 0; attempt < 20; attempt += 1) t.type(await failure(hopeless.get('k')), MemcacheSocketError)
  await hopeless.close()
  await shut.close()
})

onEach('a refusal in the middle of a pipeline is one call\'s alone', async (t, dialect) => {
  const server = await opened.scripted(speaking(dialect, (asked) => (asked.keys.some((key) => key.startsWith('bad')) ? { trouble: 'oh' } : echoed(asked))))
  const client = opened.client(server, { driver: dialect.driver })
  const outcomes = await Promise.all([
    outcome(client.get('a')), outcome(client.get('bad')), outcome(client.set('bad', 1)), outcome(client.incr('b')), outcome(client.delete('bad')), outcome(client.get('c')),
  ])
  t.same(outcomes.map(({ value, error }) => value ?? error?.code), ['of a', 'ERR_MEMCACHE_SERVER', 'ERR_MEMCACHE_SERVER', 12, 'ERR_MEMCACHE_SERVER', 'of c'])
  t.equal(server.peers.length, 1, 'the connection goes on')
  const many = await failure(client.getMulti(['a', 'bad', 'b']))
  t.match(many, { code: 'ERR_MEMCACHE_SERVER', command: 'getMulti', message: /oh/, sent: true })
  if (dialect.name !== 'text') t.equal(server.peers.length, 1, 'and it does when one of many keys is refused: something tells where the reply ends')
  t.equal(await client.get('d'), 'of d')
  await client.close()
  await server.close()
})

onEach('a server that knows none of the commands', async (t, dialect) => {
  // An error for each line, as memcached before 1.6 says it to meta; one that speaks no binary says it at the first line feed.
  const server = await opened.scripted(async (peer) => {
    for (;;) {
      const request = await peer.request()
      peer.send('ERROR\r\n'.repeat(dialect.name === 'binary' ? 1 : request.split('\r\n').length - 1))
    }
  })
  const client = opened.client(server, { driver: dialect.driver })
  for (const [name, call] of commandsOf(dialect)) {
    const { error, took } = await outcome(call(client))
    t.match(error, { code: 'ERR_MEMCACHE_CLIENT', command: name, sent: true }, name)
    t.ok(took < SLACK, `${name}: at once`)
  }
  await client.close()
  await server.close()
})

onEach('a real memcached that was told to speak another protocol', async (t, dialect) => {
  const server = await startMemcached(['-B', dialect.name === 'binary' ? 'ascii' : 'binary'])
  const client = opened.client(server, { driver: dialect.driver, timeout: SHORT })
  for (const call of [getOne, getThree, (each: Client) => each.set('k', 'v'), (each: Client) => each.incr('k'), statistics]) {
    const { error, took } = await outcome(call(client))
    t.ok(error instanceof MemcacheSocketError || error instanceof MemcacheClientError, 'it says nothing, or it says ERROR', { error })
    t.ok(took < SHORT + SLACK)
  }
  await client.close()
  await server.stop()
}, { skip: withoutMemcached })

onEach('stalled: every call settles, and the next connection works', async (t, dialect) => {
  const server = await opened.scripted(atFirst(dialect, (peer) => peer.closed()))
  const client = opened.client(server, { driver: dialect.driver, timeout: SHORT })
  const results = await Promise.all(commandsOf(dialect).map(([, call]) => outcome(call(client))))
  for (const { error, took } of results) {
    t.ok(error instanceof MemcacheSocketError)
    t.equal(error?.sent, true)
    t.ok(took < SHORT + SLACK)
  }
  t.type(results[0]?.error, MemcacheTimeoutError, 'the first that is overdue is told so')
  t.equal(await client.get('k', PATIENT), 'of k')
  await client.close()
  await server.close()
})

onEach('stalled: calls of several requests, with the default timeout, end the connection as any other does', async (t, dialect) => {
  const calls: readonly (readonly [string, (client: Client) => Promise<unknown>])[] = [
    ['setMulti', (client) => client.setMulti({ a: 1, b: 2 })],
    ['deleteMulti', (client) => client.deleteMulti(['a', 'b'])],
    ['incr with initial', (client) => client.incr('a', 1, { initial: 5 })],
  ]
  for (const [name, call] of calls) {
    const server = await opened.scripted(atFirst(dialect, (peer) => peer.closed()))
    const client = opened.client(server, { driver: dialect.driver, timeout: SHORT })
    const { error, took } = await outcome(call(client))
    t.ok(error instanceof MemcacheSocketError, name)
    t.equal(error?.sent, true)
    t.ok(took < SHORT + SLACK)
    t.equal(await client.get('k', PATIENT).catch((reason: unknown) => reason), 'of k', `${name}: the next command works`)
    await client.close()
    await server.close()
  }
})

onEach('stalled in the head of a reply, the others behind it', async (t, dialect) => {
  const server = await opened.scripted(atFirst(dialect, async (peer) => {
    const requests = [await peer.request(), await peer.request(), await peer.request()]
    const replies = requests.map((request) => dialect.said(request, echoed(dialect.asked(request))))
    peer.send(replies[0]! + replies[1]!.slice(0, 5))
    await peer.closed()
  }))
  const client = opened.client(server, { driver: dialect.driver, timeout: 1000 })
  const [whole, stalled, behind] = await Promise.all([outcome(client.get('a')), outcome(client.get('b')), outcome(client.get('c'))])
  t.equal(whole?.value, 'of a')
  t.type(stalled?.error, MemcacheTimeoutError)
  for (const each of [stalled, behind]) {
    t.ok(each?.error instanceof MemcacheSocketError)
    t.equal(each?.error?.sent, true)
    t.ok((each?.took ?? Infinity) < 1000 + SLACK)
  }
  t.equal(await client.get('d', PATIENT), 'of d')
  await client.close()
  await server.close()
})

onEach('stalled: callers that are less patient than the client do not keep a dead connection alive', async (t, dialect) => {
  const server = await opened.scripted(atFirst(dialect, (peer) => peer.closed()))
  const client = opened.client(server, { driver: dialect.driver, timeout: SHORT })
  const until = performance.now() + SHORT + SLACK
  let value: unknown
  // Each call gives up long before the client would, and the next one is there before that.
  while (value === undefined && performance.now() < until) value = await client.get('k', { timeout: 30 }).catch(() => undefined)
  t.equal(value, 'of k', 'the connection is given up although somebody new is always waiting')
  await client.close()
  await server.close()
})

onEach('a call settles by its deadline although the server always answers', async (t, dialect) => {
  // An add that finds a counter, an incr that finds none: so says a server whose item expires, or a proxy, for ever.
  const server = await opened.scripted(speaking(dialect, ({ op }) => (op === 'store' ? 'not-stored' : 'not-found')))
  const client = opened.client(server, { driver: dialect.driver })
  const { error, value, took } = await Promise.race([outcome(client.incr('k', 1, { initial: 1, timeout: SHORT })), sleep(SHORT + SLACK).then((): Outcome => ({ value: 'never settled', took: 0 }))])
  t.type(error, MemcacheTimeoutError, String(value))
  t.ok(took < SHORT + SLACK)
  await client.close()
  await server.close()
})

onEach('sent: false means that not a byte arrives, now or later', async (t, dialect) => {
  let open = (): void => {}
  const gate = new Promise<void>((resolve) => (open = resolve))
  const server = await opened.scripted(async (peer) => {
    peer.socket.pause() // reads nothing until the gate opens
    await gate
    peer.socket.resume()
    return speaking(dialect, echoed)(peer)
  })
  const client = opened.client(server, { driver: dialect.driver, timeout: SHORT, maxPendingBytes: 1e9 })
  const value = Buffer.alloc(900_000, 'x')
  const calls = Array.from({ length: 40 }, (_, index) => outcome(client.set(`key-${index}-`, value)))
  const results = await Promise.all(calls)
  t.ok(results.every(({ error, took }) => error instanceof MemcacheSocketError && took < SHORT + SLACK))
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

onEach('aborted and overdue before they are written: not sent', async (t, dialect) => {
  const server = await opened.scripted(speaking(dialect, echoed))
  const client = opened.client(server, { driver: dialect.driver })
  const early = new AbortController()
  const aborted = [
    outcome(client.get('aborted-1', { signal: early.signal })), outcome(client.set('aborted-2', 'v', { signal: early.signal })),
    outcome(client.getMulti(['aborted-3', 'aborted-4'], { signal: early.signal })),
  ]
  early.abort()
  for (const { error } of await Promise.all(aborted)) t.equal((error as Error | undefined)?.name, 'AbortError')
  await client.connect()
  const late = new AbortController()
  const fifth = outcome(client.get('aborted-5', { signal: late.signal }))
  const kept = outcome(client.get('kept'))
  late.abort(new Error('my own reason'))
  t.equal((await fifth).error?.message, 'my own reason')
  t.equal((await kept).value, 'of kept')
  t.notMatch(server.received, 'aborted')
  await t.rejects(client.get('aborted-6', { signal: AbortSignal.abort() }), { name: 'AbortError' })
  t.notMatch(server.received, 'aborted')
  await client.close()
  // Layers and emulated commands make several requests of one call: one that begins after the abort must not be sent.
  const driver = dialect.driver(endpointOf(resolveOptions(undefined, { port: server.port, timeout: 500 }), { onConnect() {}, onDisconnect() {} }))
  const request: Request<'get'> = { op: 'get', key: 'too-late', cas: false }
  await t.rejects(driver.execute(request, { signal: AbortSignal.abort() }), { name: 'AbortError' })
  await driver.disconnect(new MemcacheClosedError('done'))
  t.notMatch(server.received, 'too-late')
  await server.close()
})

onEach('given up while the reply comes: the rest of it is nobody\'s', async (t, dialect) => {
  for (const [name, call] of abortable(dialect)) {
    for (const part of [0, 1, 0.5, -1]) {
      let half = (): void => {}
      const underWay = new Promise<void>((resolve) => (half = resolve))
      let goOn = (): void => {}
      const gate = new Promise<void>((resolve) => (goOn = resolve))
      const server = await opened.scripted(async (peer) => {
        const request = await peer.request()
        const reply = dialect.said(request, echoed(dialect.asked(request)))
        const at = part === 0.5 ? Math.floor(reply.length / 2) : part < 0 ? reply.length + part : part
        if (at > 0) await peer.pieces([reply.slice(0, at)])
        half()
        await gate
        peer.send(reply.slice(at))
        return speaking(dialect, echoed)(peer)
      })
      const client = opened.client(server, { driver: dialect.driver })
      const controller = new AbortController()
      const given = outcome(call(client, controller.signal))
      const behind = [outcome(client.get('x')), outcome(client.getMulti(['y', 'z'])), outcome(client.incr('w'))]
      await underWay
      controller.abort()
      t.equal((await given).error?.name, 'AbortError', `${name}: given up at ${part}`)
      const last = outcome(client.get('last'))
      goOn()
      const values = (await Promise.all([...behind, last])).map(({ value }) => value)
      t.strictSame(values, ['of x', new Map([['y', 'of y'], ['z', 'of z']]), 12, 'of last'], `${name}: the replies behind it are right`)
      t.equal(server.peers.length, 1, 'on the same connection')
      await client.close()
      await server.close()
    }
  }
})

/** Commands that take a signal, and that the well-behaved server answers. */
function abortable({ name }: Dialect): readonly (readonly [string, (client: Client, signal: AbortSignal) => Promise<unknown>])[] {
  return [
    ['get', (client, signal) => client.get('k', { signal })],
    ['getMulti', (client, signal) => client.getMulti(['a', 'b', 'c'], { signal })],
    ['set', (client, signal) => client.set('k', 'v'.repeat(3000), { signal })],
    ['incr', (client, signal) => client.incr('k', 1, { signal })],
    ['stats', (client, signal) => client.stats('', { signal })],
    ...(name === 'meta' ? [['metaGet', (client: Client, signal: AbortSignal) => client.metaGet('k', { signal })] as const] : []),
  ]
}

onEach('abort storms leave nothing behind', async (t, dialect) => {
  const server = await opened.scripted(speaking(dialect, echoed))
  const client = opened.client(server, { driver: dialect.driver })
  const shared = new AbortController()
  for (let round = 0; round < 10; round += 1) {
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

onEach('close and connect, at awkward moments', async (t, dialect) => {
  const server = await opened.scripted(speaking(dialect, echoed))
  const client = opened.client(server, { driver: dialect.driver })
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

  const busy = opened.client(server, { driver: dialect.driver })
  await busy.connect()
  const lost = outcome(busy.get('g'))
  await busy.connect({ reconnect: true })
  t.type((await lost).error, MemcacheClosedError)
  t.equal(await busy.get('h'), 'of h')
  await Promise.all([busy.close(), busy.close(), busy.disconnect()])
  await busy.close()
  await server.close()
})

onEach('close, with calls of every kind pending', async (t, dialect) => {
  const server = await opened.scripted(atFirst(dialect, (peer) => peer.closed()))
  const client = opened.client(server, { driver: dialect.driver })
  await client.connect()
  const pending = commandsOf(dialect).map(([, call]) => outcome(call(client)))
  await eventually(() => server.received.length > 0, 'they are under way')
  await client.close()
  for (const { error } of await Promise.all(pending)) t.match(error, { code: 'ERR_MEMCACHE_CLOSED', sent: true })
  await client.connect()
  t.equal(await client.get('k'), 'of k', 'nothing of them is left')
  await client.close()
  await server.close()
})

onEach('the cause of a lost connection is what happened to it, not what was refused long before', async (t, dialect) => {
  const server = await opened.scripted(atFirst(dialect, async (peer) => {
    peer.send(dialect.said(await peer.request(), { trouble: 'no such thing' }))
    peer.send(dialect.said(await peer.request(), [undefined]))
    await peer.request()
    peer.fin()
  }))
  const client = opened.client(server, { driver: dialect.driver })
  t.equal((await failure(client.incr('k'))).code, 'ERR_MEMCACHE_SERVER')
  t.equal(await client.get('k'), undefined, 'the connection goes on')
  const lost = await failure(client.get('k'))
  t.equal((lost.cause as Error).cause, undefined, 'the refusal was followed by a right reply: it is not why the server closed')
  await client.close()
  await server.close()
})

onEach('SIGSTOP and SIGKILL, on the real memcached', async (t, { driver }) => {
  const server = await startMemcached()
  const client = opened.client(server, { driver, timeout: SHORT })
  t.equal(await client.set('k', 'v', PATIENT), true)
  server.pause()
  const stopped = await Promise.all([outcome(client.get('k')), outcome(client.set('l', 1)), outcome(client.incr('m'))])
  for (const { error, took } of stopped) {
    t.ok(error instanceof MemcacheSocketError)
    t.equal(error?.sent, true)
    t.ok(took < SHORT + SLACK)
  }
  const still = await outcome(client.get('k'))
  t.ok(still.error instanceof MemcacheSocketError && still.took < SHORT + SLACK, 'and so it does on a new connection, which the kernel accepts')
  server.resume()
  t.equal(await recovers(() => client.get('k')), 'v')
  const killed = Promise.all(Array.from({ length: 100 }, () => outcome(client.get('k'))))
  await server.stop('SIGKILL')
  for (const { value, error } of await killed) if (!(value === 'v' || error instanceof MemcacheSocketError)) t.fail('neither a value nor a lost connection', { value, error })
  t.match(await failure(client.get('k')), { code: 'ERR_MEMCACHE_SOCKET', sent: false })
  const again = await startMemcached([], server.port)
  t.equal(await recovers(() => client.set('k', 'w')), true)
  t.equal(await client.get('k', PATIENT), 'w')
  await client.close()
  await again.stop()
}, { skip: withoutMemcached })

onEach('the switches of the embedded server', async (t, { driver }) => {
  const server = await startServer()
  const client = opened.client(server, { driver, timeout: SHORT })
  await client.set('k', 'v', PATIENT)
  server.stall()
  t.type(await failure(client.get('k')), MemcacheTimeoutError)
  server.resume()
  t.equal(await client.get('k', PATIENT), 'v')
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
  t.equal(await client.get('k', PATIENT), 'v')
  server.delay(50)
  t.equal(await client.get('k', PATIENT), 'v')
  server.delay(0)
  let bytes = 1
  for (let whole = false; !whole; bytes += 1) {
    server.closeAfterBytes(bytes)
    const { error, value } = await outcome(client.getMulti(['k', 'l', 'm']))
    whole = error === undefined
    if (whole) t.strictSame(value, new Map([['k', 'v']]), `${bytes} bytes are the whole reply`)
    else if (!(error instanceof MemcacheSocketError && error.sent)) t.fail(`closed after ${bytes} bytes`, { error })
    const next = await recovers(() => client.get('k'))
    if (next !== 'v') t.equal(next, 'v', `after ${bytes} bytes`)
  }
  t.ok(bytes > 15, `closed after each of ${bytes} bytes`)
  await client.close()
  await server.close()
})

t.test('nothing was left unhandled, nothing was warned of', async (t) => {
  await sleep(20)
  t.same(unexpected, [])
})
