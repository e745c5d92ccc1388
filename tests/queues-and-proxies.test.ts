import { readFileSync } from 'node:fs'
import t from 'tap'
import {
  Client,
  MemcacheClientError,
  MemcacheError,
  MemcacheProtocolError,
  MemcacheServerError,
  MemcacheSocketError,
  MemcacheValueError,
  type ClientOptions,
} from '../lib/index.ts'
import { rejection as failure } from '../lib/testing/contract/rejection.ts'
import { startScripted as start, type Peer, type ScriptedServer } from './support/scripted-server.ts'

/** The ordinary client on queue servers and behind proxies, whose recorded answers are played by a scripted server. */

const opened: { close(): Promise<void> }[] = []
t.teardown(() => Promise.all(opened.map((each) => each.close())))

async function startScripted(script: (peer: Peer) => void | Promise<void>): Promise<ScriptedServer> {
  const server = await start(script)
  opened.push(server)
  return server
}

function clientOf({ port }: ScriptedServer, options: ClientOptions = {}): Client {
  const client = new Client({ port, timeout: 3000, ...options })
  opened.push(client)
  return client
}

/** One answer of a server: bytes, and whether it closes the connection behind them. */
interface Answer {
  readonly bytes: string
  readonly closes?: boolean
  /** How many requests it answers. */
  readonly requests?: number
}

/** Gives these answers one after the other, whichever connection asks; then answers `version` alone. */
function playing(answers: readonly Answer[]): (peer: Peer) => Promise<void> {
  const left = [...answers]
  return async (peer) => {
    for (;;) {
      const { bytes, closes = false, requests = 1 } = left[0] ?? { bytes: 'VERSION the end\r\n' }
      for (let count = 0; count < requests; count += 1) await peer.request()
      left.shift()
      peer.send(bytes)
      if (closes) return peer.fin()
    }
  }
}

t.test('answers that memcached does not give', async (t) => {
  const cases: readonly (readonly [what: string, answer: Answer, call: (client: Client) => Promise<unknown>, result: unknown])[] = [
    ['a queue without its options', { bytes: 'VALUE jobs 0 3\r\nabc\r\nEND\r\n' }, (client) => client.get('jobs/t=500/open'), 'abc'],
    ['a queue without its cursor', { bytes: 'VALUE jobs 0 3\r\nabc\r\nEND\r\n' }, (client) => client.get('jobs.cursor'), 'abc'],
    ['gets without a cas id', { bytes: 'VALUE jobs 0 3\r\nabc\r\nEND\r\n' }, (client) => client.gets('jobs'), { value: 'abc', cas: undefined }],
    ['gets without a cas id, remembered', { bytes: 'VALUE jobs 0 3\r\nabc\r\nEND\r\n' }, (client) => client.gets('jobs/open'), { value: 'abc', cas: undefined }],
    ['an item that is one NUL', { bytes: 'VALUE jobs 0 1\r\n\x00\r\nEND\r\n' }, (client) => client.get('jobs'), '\x00'],
    ['a full queue', { bytes: 'NOT_STORED\r\n' }, (client) => client.set('jobs', 'v'), false],
    ['Flushed all queues.', { bytes: 'Flushed all queues.\r\n' }, (client) => client.flushAll(), true],
    ['END for delete', { bytes: 'END\r\n' }, (client) => client.delete('jobs'), true],
    ['END for close', { bytes: 'END\r\n' }, (client) => client.get('jobs/close'), undefined],
    ["moxi's version", { bytes: 'VERSION ${PRODUCT_VERSION}\r\n' }, (client) => client.version(), '${PRODUCT_VERSION}'],
    [
      "moxi's order", { bytes: 'VALUE c 0 1\r\n3\r\nVALUE a 0 1\r\n1\r\nVALUE b 0 1\r\n2\r\nEND\r\n' },
      (client) => client.getMulti(['a', 'b', 'x', 'c']).then((map) => [...map]), [['a', '1'], ['b', '2'], ['c', '3']],
    ],
  ]
  for (const [what, answer, call, result] of cases) {
    const server = await startScripted(playing([answer]))
    const client = clientOf(server, { cacheCas: true })
    t.strictSame(await call(client), result, what)
    t.equal(await client.version(), 'the end', 'on the same connection')
    t.equal(server.peers.length, 1)
    await client.close()
    await server.close()
  }
  const server = await startScripted(playing([{ bytes: 'VALUE jobs 0 3\r\nabc\r\nEND\r\n' }]))
  const client = clientOf(server, { cacheCas: true })
  await client.gets('jobs')
  t.equal((await failure(client.cas('jobs', 'v'))).code, 'ERR_MEMCACHE_VALUE', 'where there is no cas id, none is made up')
})

t.test('refusals as others spell them', async (t) => {
  const lines: readonly (readonly [string, typeof MemcacheClientError | typeof MemcacheServerError])[] = [
    ['ERROR', MemcacheClientError], ['ERROR ', MemcacheClientError], ['ERROR Unknown command', MemcacheClientError], ['ERROR queue: name is too long', MemcacheClientError],
    ['CLIENT_ERROR', MemcacheClientError], ['CLIENT_ERROR close current item first', MemcacheClientError], ['CLIENT_ERROR Invalid command', MemcacheClientError],
    ['SERVER_ERROR', MemcacheServerError], ['SERVER_ERROR Connection refused', MemcacheServerError], ['SERVER_ERROR backend failure', MemcacheServerError],
    ['SERVER_ERROR proxy write to downstream 127.0.0.1', MemcacheServerError], ['SERVER_ERROR unknown', MemcacheServerError],
  ]
  const calls: readonly (readonly [string, (client: Client) => Promise<unknown>])[] = [
    ['get', (client) => client.get('k')], ['gets', (client) => client.gets('k')], ['gat', (client) => client.gat('k', 1)], ['getMulti', (client) => client.getMulti(['k', 'l'])],
    ['set', (client) => client.set('k', 'v')], ['add', (client) => client.add('k', 'v')], ['delete', (client) => client.delete('k')], ['incr', (client) => client.incr('k')],
    ['touch', (client) => client.touch('k', 1)], ['flushAll', (client) => client.flushAll()], ['stats', (client) => client.stats()], ['version', (client) => client.version()],
    ['verbosity', (client) => client.verbosity(1)],
  ]
  for (const [line, ErrorClass] of lines) {
    for (const closes of [false, true]) {
      for (const [command, call] of calls) {
        const server = await start(playing([{ bytes: `${line}\r\n`, closes }]))
        const client = new Client({ port: server.port, timeout: 3000 })
        const error = await failure(call(client))
        const what = `${command}: "${line}"${closes ? ', then FIN' : ''}`
        if (!(error instanceof ErrorClass) || error.command !== command || error.sent !== true || error.server !== `127.0.0.1:${server.port}`) t.fail(what, { error })
        else t.pass(what)
        // The end of the connection may be seen only by the next command, which is told so.
        const next = await client.version().catch((reason: unknown) => reason)
        if (closes && next instanceof MemcacheSocketError) t.equal((next.cause as Error | undefined)?.cause instanceof ErrorClass || next.sent, true)
        else if (next !== 'the end') t.fail(`${what}: the next command`, { next })
        if (next !== 'the end' && (await client.version()) !== 'the end') t.fail(`${what}: the command after that`)
        await client.close()
        await server.close()
      }
    }
  }
})

t.test('a refusal and FIN: what was pipelined behind it is told why', async (t) => {
  for (const line of ['ERROR ', 'CLIENT_ERROR close current item first', 'SERVER_ERROR Connection refused']) {
    const server = await startScripted(playing([{ bytes: `${line}\r\n`, closes: true, requests: 3 }]))
    const client = clientOf(server)
    const [first, second, third] = await Promise.all([failure(client.get('a')), failure(client.get('b')), failure(client.set('c', 1))])
    t.equal(first.message.trimEnd().startsWith(line.trimEnd()), true)
    for (const [error, command] of [[second, 'get'], [third, 'set']] as const) {
      t.type(error, MemcacheSocketError)
      t.match(error, { command, sent: true, cause: { message: first.message } }, `${line} is the cause of what befell ${command}`)
    }
    t.equal(await client.version(), 'the end')
    await client.close()
  }
})

t.test('FIN in place of an answer', async (t) => {
  const calls: readonly (readonly [string, (client: Client) => Promise<unknown>])[] = [
    ['gat', (client) => client.gat('k', 1)], ['gats', (client) => client.gats('k', 1)], ['stats', (client) => client.stats()], ['flushAll', (client) => client.flushAll()],
    ['verbosity', (client) => client.verbosity(1)], ['touch', (client) => client.touch('k', -1)], ['getMulti', (client) => client.getMulti(['a', 'b'])], ['set', (client) => client.set('k', 'v', { ttl: -1 })],
  ]
  for (const [command, call] of calls) {
    const server = await startScripted(playing([{ bytes: '', closes: true }]))
    const client = clientOf(server)
    const error = await failure(call(client))
    t.type(error, MemcacheSocketError)
    t.notOk(error instanceof MemcacheProtocolError)
    t.match(error, { command, sent: true, message: /closed the connection/ })
    t.ok(error.message.includes(`"${command}"`), `the message names ${command}: ${error.message}`)
    t.equal(await client.version(), 'the end', 'the client goes on')
    t.equal(server.peers.length, 2, 'and has not repeated the command')
    await client.close()
  }
  // twemproxy closes at the first command that it does not know; what was asked before in the same turn has no reply either.
  const server = await startScripted(playing([{ bytes: '', closes: true, requests: 3 }]))
  const client = clientOf(server)
  for (const error of await Promise.all([failure(client.set('k', 1)), failure(client.flushAll()), failure(client.get('k'))])) {
    t.match(error, { code: 'ERR_MEMCACHE_SOCKET', sent: true })
  }
  t.equal(await client.version(), 'the end')
})

t.test('a proxy that fails some keys of a multi-key get', async (t) => {
  const bodies = [
    'SERVER_ERROR backend failure\r\nSERVER_ERROR backend failure\r\nSERVER_ERROR backend failure\r\n', // and no END, as recorded
    'VALUE a 0 1\r\n1\r\nSERVER_ERROR backend failure\r\nVALUE c 0 1\r\n3\r\nEND\r\n',
    'SERVER_ERROR backend failure\r\nEND\r\n',
    'VALUE a 0 1\r\n1\r\nCLIENT_ERROR key too long\r\nVALUE c 0 1\r\n3\r\nEND\r\n',
    'VALUE a 0 1\r\n1\r\nSERVER_ERROR timeout\r\n', // mcrouter: in place of END
  ]
  for (const bytes of bodies) {
    const server = await startScripted(playing([{ bytes, requests: 2 }, { bytes: 'VALUE x 0 5\r\nright\r\nEND\r\n' }]))
    const client = clientOf(server)
    const [multi, behind] = await Promise.all([failure(client.getMulti(['a', 'b', 'c'])), failure(client.get('z'))])
    t.ok(multi instanceof MemcacheServerError || multi instanceof MemcacheClientError, multi.message)
    t.equal(multi.command, 'getMulti')
    t.type(behind, MemcacheSocketError, 'nobody gets what may be left of that reply')
    t.equal(await client.get('x'), 'right', JSON.stringify(bytes.slice(0, 50)))
    t.equal(server.peers.length, 2)
    await client.close()
  }
  const server = await startScripted(playing([{ bytes: 'SERVER_ERROR Connection refused\r\n', closes: true }]))
  const client = clientOf(server)
  t.type(await failure(client.getMulti(['a', 'b'])), MemcacheServerError, 'twemproxy: one line for all, then FIN')
  t.equal(await client.version(), 'the end')
})

t.test('a line that leaks out of somebody else\'s noreply', async (t) => {
  const server = await startScripted(async (peer) => {
    if (peer.index > 0) return playing([{ bytes: 'VALUE k 0 5\r\nright\r\nEND\r\n' }])(peer)
    await peer.request()
    peer.send('VERSION 1\r\nSERVER_ERROR backend failure\r\n')
    await peer.closed()
  })
  const client = clientOf(server)
  const gone = new Promise<MemcacheError>((resolve) => client.once('disconnect', resolve))
  t.equal(await client.version(), '1')
  t.type(await gone, MemcacheServerError)
  t.equal(await client.get('k'), 'right')
})

// What follows plays whole recordings.

type Runs = readonly (readonly [string, number])[]

interface Step {
  readonly conn?: string
  readonly send?: string
  readonly send_rle?: Runs
  readonly recv?: string | null
  readonly recv_rle?: Runs
  readonly closed?: string
  readonly client_close?: string
}

interface Recording {
  readonly server: string
  readonly case: string
  readonly steps: readonly Step[]
}

interface Turn {
  readonly calls: readonly Call[]
  readonly answer: Answer
}

interface Call {
  readonly command: string
  readonly run: (client: Client) => Promise<unknown>
  /** What the next whole answer in these bytes is, and how long; read in the simplest way there is. */
  readonly read: (bytes: string) => { readonly length: number; readonly result: unknown }
}

const recordings = ['queues', 'proxies'].flatMap((name) =>
  readFileSync(new URL(`fixtures/${name}.jsonl`, import.meta.url), 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Recording))

const REFUSAL = /^(ERROR|CLIENT_ERROR|SERVER_ERROR)/

/** A line, or what it refuses with. */
function readLine(results: { readonly [line: string]: unknown }): Call['read'] {
  return (bytes) => {
    const line = bytes.slice(0, bytes.indexOf('\r\n'))
    return { length: line.length + 2, result: REFUSAL.test(line) ? { refusal: line } : line in results ? results[line] : { other: line } }
  }
}

function readValues(bytes: string): { length: number; result: unknown } {
  const values: [string, string][] = []
  let at = 0
  for (;;) {
    const line = bytes.slice(at, bytes.indexOf('\r\n', at))
    at += line.length + 2
    if (line === 'END') return { length: at, result: values }
    if (!line.startsWith('VALUE ')) return { length: at, result: { refusal: line } }
    const [, key = '', , length] = line.split(' ')
    values.push([key, bytes.slice(at, at + Number(length))])
    at += Number(length) + 2
  }
}

/** Values as bytes that are comparable with those in a recording. */
function plain(value: unknown): unknown {
  return Buffer.isBuffer(value) ? value.toString('latin1') : typeof value === 'string' ? Buffer.from(value).toString('latin1') : String(value)
}

function callOf(line: string, data: string | undefined): Call | undefined {
  const [verb = '', ...words] = line.split(' ')
  const key = Buffer.from(words[0] ?? '', 'latin1')
  if (words.some((word) => word === '' || word === 'noreply') || /[\x00-\x1f\x7f]/.test(line) || words.some((word) => word.length > 250)) return undefined
  if (data !== undefined) {
    if (!/^(set|add|replace|append|prepend)$/.test(verb) || words.length !== 4 || words[2]!.startsWith('-')) return undefined
    const read = readLine({ STORED: true, NOT_STORED: false })
    const ttl = Number(words[2])
    return { command: verb, run: (client) => client[verb as 'set'](key, Buffer.from(data, 'latin1'), { ttl: ttl > 1000 ? 0 : ttl }), read }
  }
  const one = words.length === 1
  switch (verb) {
    case 'get':
      if (one) {
        const first = (bytes: string): ReturnType<typeof readValues> => {
          const { length, result } = readValues(bytes)
          return { length, result: Array.isArray(result) ? (result as [string, string][])[0]?.[1] : result }
        }
        return { command: 'get', run: (client) => client.get(key).then((value) => (value === undefined ? undefined : plain(value))), read: first }
      }
      if (words.length === 0 || new Set(words).size < words.length) return undefined
      return { command: 'getMulti', run: (client) => client.getMulti(words).then((map) => [...map].map(([name, value]) => [name, plain(value)]).sort()), read: (bytes) => {
        const { length, result } = readValues(bytes)
        return { length, result: Array.isArray(result) ? result.sort() : result }
      } }
    case 'delete':
      return one ? { command: 'delete', run: (client) => client.delete(key), read: readLine({ DELETED: true, NOT_FOUND: false, END: true }) } : undefined
    case 'version':
      return words.length === 0 ? { command: 'version', run: (client) => client.version().then((version) => ({ other: `VERSION ${version}` })), read: readLine({}) } : undefined
    case 'flush_all':
      return words.length === 0 ? { command: 'flushAll', run: (client) => client.flushAll(), read: readLine({ OK: true, 'Flushed all queues.': true }) } : undefined
    case 'incr':
    case 'decr':
      if (words.length !== 2 || !/^\d{1,20}$/.test(words[1]!)) return undefined
      return { command: verb, run: (client) => client[verb](key, BigInt(words[1]!)).then((count) => (count === undefined ? undefined : { other: String(count) })), read: readLine({ NOT_FOUND: undefined }) }
    case 'touch':
      return words.length === 2 && /^\d+$/.test(words[1]!) ? { command: 'touch', run: (client) => client.touch(key, Number(words[1])), read: readLine({ TOUCHED: true, NOT_FOUND: false }) } : undefined
    default:
      return undefined
  }
}

/** The calls that make these bytes; `undefined` where ours is no client that would send them. */
function callsOf(bytes: string): Call[] | undefined {
  const calls: Call[] = []
  for (let rest = bytes; rest !== '';) {
    const end = rest.indexOf('\r\n')
    if (end === -1) return undefined
    const line = rest.slice(0, end)
    rest = rest.slice(end + 2)
    const length = /^(?:set|add|replace|append|prepend) \S+ \d+ \d+ (\d+)$/.exec(line)?.[1]
    const data = length === undefined ? undefined : rest.slice(0, Number(length))
    if (data !== undefined) {
      if (rest.slice(data.length, data.length + 2) !== '\r\n' || data.length > 1_000_000) return undefined
      rest = rest.slice(data.length + 2)
    }
    const call = callOf(line, data)
    if (call === undefined) return undefined
    calls.push(call)
  }
  return calls
}

/** A recording as turns of our client, as far as it is one that our client could have had: one connection, no silence. */
function turnsOf({ steps }: Recording): Turn[] {
  const unroll = (text: string | null | undefined, runs: Runs | undefined): string => text ?? runs?.map(([piece, times]) => piece.repeat(times)).join('') ?? ''
  const turns: Turn[] = []
  let conn: string | undefined
  for (const [index, step] of steps.entries()) {
    if (step.client_close !== undefined || (step.conn !== undefined && step.conn !== (conn ??= step.conn))) break
    if (step.send === undefined && step.send_rle === undefined) continue
    const calls = callsOf(unroll(step.send, step.send_rle))
    const answer = steps.slice(index + 1).find((each) => 'recv' in each || 'recv_rle' in each || 'send' in each)
    if (calls === undefined || calls.length === 0 || answer === undefined || 'send' in answer) break
    const bytes = unroll(answer.recv, answer.recv_rle)
    const closes = steps[steps.indexOf(answer) + 1]?.closed !== undefined
    if (bytes === '' && !closes) break
    turns.push({ calls, answer: { bytes, closes, requests: calls.length } })
  }
  return turns
}

t.test('whole recordings', { timeout: 60_000 }, async (t) => {
  const played = new Map<string, number>()
  const once = new Set<string>()
  for (const recording of recordings) {
    const turns = turnsOf(recording)
    const what = JSON.stringify(turns)
    if (turns.length === 0 || once.has(what)) continue
    once.add(what)
    const name = `${recording.server}: ${recording.case}`
    const server = await start(playing(turns.map(({ answer }) => answer)))
    const client = new Client({ port: server.port, timeout: 3000 })
    for (const { calls, answer } of turns) {
      let { bytes } = answer
      let lost = false
      const results = await Promise.all(calls.map((call) => call.run(client).catch((error: MemcacheError) => error)))
      for (const [place, { command, read }] of calls.entries()) {
        const result = results[place]
        const where = `${name}: ${command}`
        if (bytes === '' || lost) {
          if (!(result instanceof MemcacheSocketError && result.command === command && result.sent && /closed|no answer/.test(result.message))) t.fail(`${where}: no answer`, { result })
          continue
        }
        const expected = read(bytes)
        bytes = bytes.slice(expected.length)
        const refused = (expected.result as { refusal?: string } | undefined)?.refusal
        if (refused === undefined) {
          // What was stored with flags of another client is not for ours to decode.
          if (result instanceof MemcacheValueError && /^VALUE \S+ [1-9]/.test(answer.bytes)) continue
          if (JSON.stringify(result) !== JSON.stringify(expected.result)) t.strictSame(result, expected.result, where)
          continue
        }
        const ErrorClass = refused.startsWith('SERVER_ERROR') ? MemcacheServerError : MemcacheClientError
        if (!(result instanceof ErrorClass && result.command === command)) t.fail(`${where}: ${refused}`, { result })
        lost ||= command === 'getMulti' || (ErrorClass === MemcacheClientError && /^(set|add|replace|append|prepend)$/.test(command)) || / too long|bad command line/.test(refused)
      }
      // The client has to see the end of the connection before it can be expected not to use it.
      if (answer.closes === true) for (let turn = 0; client.isConnected() && turn < 1000; turn += 1) await new Promise((resolve) => setImmediate(resolve))
    }
    const last = await client.version().catch((error: unknown) => error)
    if (last !== 'the end') t.fail(`${name}: the client goes on`, { last })
    const kind = recording.server.split(/[-/]/)[0]!
    played.set(kind, (played.get(kind) ?? 0) + 1)
    await client.close()
    await server.close()
  }
  for (const kind of ['kestrel', 'darner', 'siberite', 'memcacheq', 'twemproxy', 'memcached', 'moxi']) {
    t.ok((played.get(kind) ?? 0) > 5, `${played.get(kind)} recordings of ${kind}`)
  }
})
