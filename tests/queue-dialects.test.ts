import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { startServer, type ServerOptions, type TestServer } from '../lib/testing/index.ts'
import { startQueueProcess } from './support/queue-process.ts'
import { RawConnection, waitFor } from './support/raw-connection.ts'

/** The embedded server as a queue server: what was recorded of kestrel, darner, siberite and memcacheq, and what follows from it. */

/** Long enough for a reply on this machine, if there is one. */
const A_MOMENT = 40
/** The longest that a recorded silence is listened to. */
const A_SILENCE = 60
const AT_ONCE = 24

type Dialect = 'kestrel' | 'darner' | 'siberite' | 'memcacheq'

/** A text, or its pieces and how often each is repeated. */
type Bytes = string | readonly (readonly [piece: string, times: number])[]

interface Step {
  readonly conn?: string
  readonly send?: string
  readonly send_rle?: Bytes
  readonly recv?: string
  readonly recv_rle?: Bytes
  readonly ms?: number
  readonly wait_ms?: number
  readonly closed?: 'fin' | 'reset'
  readonly client_close?: 'fin' | 'rst'
}

interface Recording {
  readonly server: string
  readonly case: string
  readonly steps: readonly Step[]
}

/** What the embedded server does not play, because it is a matter of a disk's speed. */
const NOT_PLAYED = new Set([
  'darner-0.2.0 set.huge-length-announced', // it stands still while it erases all pieces of a value that never came
  'siberite-0.6.4 cmd.flush_all noreply', // the answer took most of a second
])

/** Statistics that depend on the machine, on the time, and on what else was done to the server. */
const VOLATILE = new Set([
  'pid', 'uptime', 'time', 'rusage_user', 'rusage_system', 'connection_structures', 'total_connections', 'bytes', 'bytes_read', 'bytes_written',
  'curr_items', 'total_items', 'cmd_get', 'cmd_set', 'cmd_peek', 'get_hits', 'get_misses', 'get_cmds', 'set_cmds', 'set_hits', 'queue_creates',
])

const recorded = readFileSync(new URL('fixtures/queues.jsonl', import.meta.url), 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Recording)

function text(bytes: Bytes): string {
  return typeof bytes === 'string' ? bytes : bytes.map(([piece, times]) => piece.repeat(times)).join('')
}

/** The same without what is volatile, and without other queues than the recording's own, which its server had from earlier ones. */
function comparable(reply: string, queues: ReadonlySet<string>): string {
  if (!/^(STAT|queue) /.test(reply)) return reply
  const known = (name: string): boolean => queues.has(name)
  return reply
    .replace(/queue '(.*)' \{\r\n[^}]*\}\r\n/g, (section, name: string) => (known(name) ? section : ''))
    .replace(/STAT (\S+) (\S+)\r\n/g, (line, name: string, value: string) => {
      const [, queue] = /^queue_(\S+?)_(?:items|bytes|total_items|logsize|expired_items|mem_items|mem_bytes|age|discarded|waiters|(?:open_|canceled_)?transactions|total_flushes|journal_\w+)$/.exec(name) ?? []
      if (queue !== undefined) return !known(queue) ? '' : name.endsWith('_age') ? `STAT ${name} *\r\n` : line
      if (/^\d+\/\d+$/.test(value)) return known(name) ? line : ''
      return VOLATILE.has(name) ? `STAT ${name} *\r\n` : line
    })
}

/** Plays one recording to a server of its own; what was different. */
async function replay({ server: played, steps }: Recording): Promise<string[]> {
  const limits = played.includes('maxItems=3') ? { maxOpenTransactions: 100, maxItems: 3 } : {}
  await using server = await startServer({ dialect: played.split('-')[0] as Dialect, ...limits })
  const queues = new Set(steps.flatMap(({ send = '' }) => [...send.matchAll(/^(?:set|gets?|delete|flush) ([^ /\r]+)/gm)].map(([, name = '']) => name)))
  const connections = new Map<string, RawConnection>()
  const sentAt = new Map<string, readonly [time: number, recorded: number, wait: number]>()
  const differences: string[] = []
  let recordedTime = 0
  for (const { conn = '', ...step } of steps) {
    recordedTime += (step.wait_ms ?? 0) + (step.ms ?? 0)
    if (step.wait_ms !== undefined) {
      await sleep(step.wait_ms)
      continue
    }
    if (conn === '') continue // a summary, which the tests below stand for
    const connection = connections.get(conn) ?? new RawConnection(server)
    connections.set(conn, connection)
    const sent = step.send ?? step.send_rle
    const wanted = step.recv ?? step.recv_rle
    if (sent !== undefined) {
      sentAt.set(conn, [performance.now(), recordedTime, Number(/\/t=(\d+)/.exec(text(sent))?.[1] ?? 0)])
      connection.send(text(sent))
    } else if (step.client_close === 'rst') {
      connection.socket.resetAndDestroy()
    } else if (step.client_close === 'fin') {
      connection.socket.end()
    } else if (step.closed !== undefined) {
      if (!(await waitFor(() => connection.ended !== undefined))) differences.push('it was not closed')
    } else if (wanted === '') {
      if (connection.ended === undefined) await sleep(A_SILENCE)
      const received = connection.received
      if (received !== '') differences.push(`${JSON.stringify(received)} came instead of nothing`)
    } else if (wanted !== undefined) {
      const expected = comparable(text(wanted), queues)
      const statistics = expected !== text(wanted)
      const received = comparable(await (statistics ? takeWhole(connection) : connection.take(expected.length)), queues)
      if (received !== expected) differences.push(`${JSON.stringify(received.slice(0, 2000))} came instead of ${JSON.stringify(expected.slice(0, 2000))}`)
      const [time, then, wait] = sentAt.get(conn) ?? [0, 0, 0]
      const timedOut = expected.startsWith('END') && recordedTime - then >= wait
      if (timedOut && performance.now() - time < wait) differences.push(`END came early: t=${wait}`)
    }
  }
  for (const { socket } of connections.values()) socket.destroy()
  return differences
}

/** Statistics, whose length is not known before. */
async function takeWhole(connection: RawConnection): Promise<string> {
  await waitFor(() => connection.received.endsWith('END\r\n'))
  return connection.take(0)
}

t.test('recordings', async (t) => {
  const left = recorded.filter((each) => !NOT_PLAYED.has(nameOf(each))).sort((one, other) => time(other) - time(one))
  t.equal(left.length, recorded.length - NOT_PLAYED.size)
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      t.strictSame(await replay(next), [], nameOf(next))
    }
  }))
})

function nameOf(recording: Recording): string {
  return `${recording.server} ${recording.case}`
}

function time({ steps }: Recording): number {
  return steps.reduce((sum, { wait_ms = 0 }) => sum + wait_ms, 0)
}

/** Behind a reply: the server ends the connection. */
const FIN = '<FIN>'

/** Says one thing after the other on one connection, and compares what comes back. */
async function converse(t: Test, server: TestServer, exchanges: readonly (readonly [request: string, reply: string])[]): Promise<RawConnection> {
  const connection = new RawConnection(server)
  t.teardown(() => connection.socket.destroy())
  for (const [request, reply] of exchanges) {
    connection.send(request)
    const expected = reply.replace(FIN, '')
    const ends = reply.endsWith(FIN)
    if (ends) await waitFor(() => connection.ended !== undefined)
    else if (expected === '') await sleep(A_MOMENT)
    const received = await connection.take(expected.length)
    t.equal(received + (connection.ended === 'end' ? FIN : connection.ended ?? ''), reply, JSON.stringify(request.slice(0, 100)))
  }
  return connection
}

async function receives(t: Test, connection: RawConnection, expected: string, what = JSON.stringify(expected.slice(0, 100))): Promise<void> {
  t.equal(await connection.take(expected.length), expected, what)
}

/** The client is gone, and the server knows it. */
async function lose(server: TestServer, connection: RawConnection): Promise<void> {
  const before = server.connections
  connection.socket.resetAndDestroy()
  await waitFor(() => server.connections < before)
}

async function start(t: Test, dialect: Dialect, options: ServerOptions = {}): Promise<TestServer> {
  const server = await startServer({ dialect, ...options })
  t.teardown(() => server.close())
  return server
}

function set(queue: string, ...values: readonly string[]): string {
  return values.map((value) => `set ${queue} 0 0 ${value.length}\r\n${value}\r\n`).join('')
}

function stored(count: number): string {
  return 'STORED\r\n'.repeat(count)
}

function item(queue: string, value: string): string {
  return `VALUE ${queue} 0 ${value.length}\r\n${value}\r\nEND\r\n`
}

const END = 'END\r\n'

t.test('all of them', async (t) => {
  for (const dialect of ['kestrel', 'darner', 'siberite', 'memcacheq'] as const) {
    const server = await start(t, dialect)
    const values = Array.from({ length: 1000 }, (_, index) => String(index))
    await converse(t, server, [
      [set('many', ...values), stored(1000)],
      ['get many\r\n'.repeat(1001), values.map((value) => item('many', value)).join('') + END],
    ])
    const slow = new RawConnection(server)
    const program = set('slow', 'one', 't\r\nwo') + 'get slow\r\n'.repeat(3)
    for (const byte of program) {
      slow.send(byte)
      await new Promise(setImmediate)
    }
    const answers = stored(2) + item('slow', 'one') + item('slow', 't\r\nwo') + END
    t.equal(await slow.take(answers.length), answers, `${dialect}: byte by byte`)
    slow.socket.destroy()
    if (dialect === 'memcacheq') continue
    const long = 'v'.repeat(3_000_000)
    await converse(t, server, [[set('long', long) + 'get long\r\n', stored(1) + item('long', long)]])
  }
})

t.test('waiting', async (t) => {
  for (const dialect of ['kestrel', 'darner'] as const) {
    const server = await start(t, dialect)
    const waiters = [1, 2, 3].map(() => new RawConnection(server))
    t.teardown(() => { for (const { socket } of waiters) socket.destroy() })
    for (const waiter of waiters) {
      waiter.send('get q/t=60000/open\r\nversion\r\n')
      await sleep(A_MOMENT / 2)
    }
    const producer = await converse(t, server, [[set('q', 'a', 'b'), stored(2)]])
    const version = `VERSION ${dialect === 'darner' ? '0.2.0' : '2.4.8-SNAPSHOT'}\r\n`
    await receives(t, waiters[0]!, item('q', 'a') + version, `${dialect}: who waits longest is first`)
    await receives(t, waiters[1]!, item('q', 'b') + version)
    t.equal(waiters[2]!.received, '', 'and the command behind waits as well')
    t.ok(await waiters[1]!.ask('get q/abort\r\n', END))
    await receives(t, waiters[2]!, item('q', 'b') + version, 'what is given back wakes a waiter')
    await lose(server, waiters[0]!)
    t.ok(await producer.ask('get q/t=60000\r\n', item('q', 'a')), 'what a lost connection gives back, too')
  }
  const kestrel = await start(t, 'kestrel')
  const waiter = await converse(t, kestrel, [['get q/t=60000\r\n', '']])
  await converse(t, kestrel, [['delete q\r\n', 'DELETED\r\n']])
  await receives(t, waiter, END, 'of a queue that is gone')
  const server = await start(t, 'darner')
  await Promise.all(Array.from({ length: 40 }, async (_, index) => {
    const client = new RawConnection(server)
    const before = performance.now()
    await client.ask(`get none/t=${20 + index}\r\n`, END)
    const took = performance.now() - before
    t.ok(took >= 20 + index, `t=${20 + index} took ${took}`)
    client.socket.destroy()
  }))
  const warnings: string[] = []
  const warn = ({ name }: Error): void => { warnings.push(name) }
  process.on('warning', warn)
  const patient = await converse(t, server, [['get none/t=4294967295\r\n', '']])
  t.same(warnings, [], 'a time that no timer of Node knows')
  process.off('warning', warn)
  await lose(server, patient)
})

t.test('faults', async (t) => {
  for (const dialect of ['kestrel', 'darner', 'siberite'] as const) {
    const server = await start(t, dialect)
    const reader = await converse(t, server, [[set('q', 'a', 'b'), stored(2)], ['get q/open\r\n', item('q', 'a')]])
    server.dropConnections()
    await reader.closed
    await converse(t, server, [['get q/open\r\n', item('q', 'a')], ['get q/close/open\r\n', item('q', 'b')], ['get q/close\r\n', END]])
    t.equal(server.connections > 0, true)

    server.stall()
    const stalled = new RawConnection(server)
    stalled.send(set('q', 'c') + 'get q/open\r\n')
    await sleep(A_MOMENT)
    t.equal(stalled.received, '', `${dialect}: stalled`)
    server.resume()
    await receives(t, stalled, stored(1) + item('q', 'c'))
    stalled.socket.destroy()

    server.garble('VALUE x\r\n')
    await converse(t, server, [['get q/peek\r\n', 'VALUE x\r\n'], ['get q/peek\r\n', item('q', 'c')]])
    server.closeAfterBytes(3)
    await converse(t, server, [['get q\r\n', `VAL${FIN}`]])
    await converse(t, server, [['get q\r\n', END]])
    await converse(t, server, [[set('q', 'd'), stored(1)]])
    server.clear()
    await converse(t, server, [['get q\r\n', END]])
  }
})

t.test('faults while it waits', async (t) => {
  for (const dialect of ['kestrel', 'darner'] as const) {
    const server = await start(t, dialect)
    const dropped = await converse(t, server, [['get q/t=60000\r\n', '']])
    server.dropConnections({ reset: true })
    await dropped.closed
    await converse(t, server, [[set('q', 'a') + 'get q\r\n', stored(1) + item('q', 'a')]])

    const stalled = await converse(t, server, [['get q/t=60000/open\r\n', '']])
    server.stall()
    const producer = await converse(t, server, [[set('q', 'b'), '']])
    server.resume()
    await receives(t, stalled, item('q', 'b'), dialect)
    await receives(t, producer, stored(1))

    const garbled = await converse(t, server, [['get q/t=60000\r\n', '']])
    server.garble('SERVER_ERROR\r\n')
    producer.send(set('q', 'c'))
    await receives(t, garbled, 'SERVER_ERROR\r\n', 'the reply that came first')
    server.delay(100)
    const before = performance.now()
    const delayed = await converse(t, server, [['get q/t=10\r\n', END]])
    t.ok(performance.now() - before >= 100)
    server.delay(0)
    delayed.socket.destroy()
  }
})

t.test('a shutdown', async (t) => {
  for (const [dialect, reply] of [['kestrel', END], ['darner', '']] as const) {
    const server = await start(t, dialect)
    const waiter = await converse(t, server, [['get q/t=60000/open\r\n', '']])
    await server.close()
    await waiter.closed
    t.equal(waiter.received, reply, dialect)
  }
  const server = await start(t, 'kestrel')
  await converse(t, server, [['shutdown\r\n', FIN]])
  t.ok(await waitFor(() => server.connections === 0))
  t.equal(await new RawConnection(server).closed, 'ECONNREFUSED')
})

t.test('kestrel', async (t) => {
  let now = 1_700_000_000_000
  const server = await start(t, 'kestrel', { now: () => now, maxOpenTransactions: 3, maxItemSize: 10 })
  await converse(t, server, [
    ['set q 0 10 1\r\na\r\nset q 0 0 1\r\nb\r\nset q 0 1700000020 1\r\nc\r\n', stored(3)],
    ['flush_expired q\r\n', '0\r\n'],
    ['get q/peek\r\n', item('q', 'a')],
  ])
  now += 10_001
  await converse(t, server, [
    ['flush_expired q\r\n', '1\r\n'],
    ['get q\r\n', item('q', 'b')],
    ['get q/peek\r\n', item('q', 'c')],
  ])
  now += 10_000
  await converse(t, server, [['flush_all_expired\r\n', '1\r\n'], ['get q\r\n', END]])

  await converse(t, server, [
    ['get e+a\r\nget e+b\r\n', END + END],
    [set('e', 'x') + set('e+a', 'y'), stored(2)],
    ['delete e+b\r\n', 'DELETED\r\n'],
    ['dump_stats e nosuch\r\n', [
      "queue 'e' {", '  items=1', '  bytes=1', '  total_items=1', '  logsize=0', '  expired_items=0', '  mem_items=1', '  mem_bytes=1', `  age=${now}`,
      '  discarded=0', '  waiters=0', '  open_transactions=0', '  transactions=0', '  canceled_transactions=0', '  total_flushes=0',
      '  journal_rewrites=0', '  journal_rotations=0', '  children=e+a', '}', 'END', '',
    ].join('\r\n')],
    ['get e+a\r\nget e+a\r\nget e+b\r\nget e\r\n', item('e+a', 'x') + item('e+a', 'y') + END + item('e', 'x')],
  ])

  await converse(t, server, [
    [set('l', 'x'.repeat(10)), stored(1)],
    [set('l', 'x'.repeat(11)), 'NOT_STORED\r\n'],
    ['get\r\ngets\r\nflush\r\ndelete\r\nmonitor q\r\nconfirm q\r\nflush_expired\r\n', 'CLIENT_ERROR\r\n'.repeat(7)],
    ['set l x 0 1\r\na\r\n', 'CLIENT_ERROR\r\n'],
    ['confirm l 0\r\nconfirm l 1\r\n', 'ERROR\r\nERROR\r\n'],
    ['GetS L/Open/PEEK/t=1/x\r\n', END],
  ])
  for (const line of ['   ', 'get /', 'get q/t=', 'get q/t=2147483648', 'get q.x', 'flush q~', 'monitor q x', 'monitor q 1 x', 'confirm q x', 'set q 0 x 1', 'add q 0 0']) {
    await converse(t, server, [[`${line}\r\n`, FIN]])
  }
  for (const line of ['', ' get q', 'get  q', 'get /open', 'get q/open/abort', 'get q/close/peek', 'dump_config', 'append q 0 0 1\r\nx']) {
    await converse(t, server, [[`${line}\r\n`, `CLIENT_ERROR\r\n${FIN}`]])
  }
})

t.test('kestrel: monitor and status', async (t) => {
  const server = await start(t, 'kestrel', { maxOpenTransactions: 3 })
  const watcher = await converse(t, server, [[set('q', 'a') + 'monitor q 60\r\nversion\r\n', stored(1) + item('q', 'a')]])
  await converse(t, server, [[set('q', 'b'), stored(1)]])
  await receives(t, watcher, item('q', 'b'))
  await converse(t, server, [[set('q', 'c', 'd'), stored(2)]])
  await receives(t, watcher, `${item('q', 'c')}${END}VERSION 2.4.8-SNAPSHOT\r\n`, 'no more than may be open')
  for (const [request, reply] of [
    ['monitor q 60\r\n', END], ['confirm q 2\r\n', END], ['monitor q 0\r\n', END], ['get q/open\r\n', item('q', 'd')], ['get q/open\r\n', END], ['get q\r\n', `ERROR\r\n${FIN}`],
  ] as const) {
    watcher.send(request)
    await receives(t, watcher, reply.replace(FIN, ''), request)
  }
  await watcher.closed
  const watchers = [await converse(t, server, [['monitor w 60\r\n', '']]), await converse(t, server, [['monitor w 60\r\n', '']])] as const
  await converse(t, server, [[set('w', 'a', 'b', 'c'), stored(3)]])
  await receives(t, watchers[0], item('w', 'a') + item('w', 'c'))
  await receives(t, watchers[1], item('w', 'b'), 'in turn')
  const before = performance.now()
  await converse(t, server, [['get q\r\nget q\r\nget q\r\n', item('q', 'd') + item('q', 'c') + END], ['monitor q 1\r\n', END]])
  t.ok(performance.now() - before >= 1000, 'it ends with its time')

  const refused = `SERVER_ERROR\r\n${FIN}`
  await converse(t, server, [['status WriteAvoid\r\nstatus\r\n', `${END}WRITEAVOID\r\n`], [`${set('q', 'a')}get q\r\n`, stored(1) + item('q', 'a')], ['status readonly\r\n', END]])
  for (const line of ['set q 0 0 1\r\na', 'delete q', 'flush q', 'flush_all', 'flush_expired q', 'flush_all_expired']) await converse(t, server, [[`${line}\r\n`, refused]])
  await converse(t, server, [['get q\r\n', END]])
  await converse(t, server, [['status quiescent\r\n', END]])
  for (const line of ['get q', 'get q/peek', 'get q/t=10/close/open', 'monitor q 1', 'set q 0 0 1\r\na']) await converse(t, server, [[`${line}\r\n`, refused]])
  await converse(t, server, [['get q/close\r\nget q/abort\r\nreload\r\nstatus up\r\n', `${END}${END}Reloaded config.\r\n${END}`], ['get q\r\n', END]])
})

t.test('darner', async (t) => {
  const server = await start(t, 'darner')
  const readers = []
  await converse(t, server, [[set('q', 'a', 'b', 'c', 'd'), stored(4)]])
  for (const value of ['a', 'b', 'c']) readers.push(await converse(t, server, [['get q/open\r\n', item('q', value)]]))
  for (const reader of [readers[2], readers[0], readers[1]]) t.ok(await reader!.ask('get q/abort\r\n', END))
  await converse(t, server, [['get q\r\n'.repeat(4), ['a', 'b', 'c', 'd'].map((value) => item('q', value)).join('')]])

  await converse(t, server, [
    ['set q 0 0 0\r\n\r\nget q\r\n', stored(1) + item('q', '\0')],
    ['set q/sync 5 6 1\r\na\r\nget q/t=0/peek \r\n', stored(1) + item('q', 'a')],
    ['get q/open/close\r\nget q/close/peek\r\n', item('q', 'a') + END],
    ['flush nosuch\r\ndelete nosuch\r\n', `${END}DELETED\r\n`],
    ['get a~b\r\n', END],
  ])
  for (const line of ['get q/t=4294967296', 'set q 4294967296 0 1', 'set q 0 0 4294967296', 'set q  0 0 1', 'get', 'get q\t', 'version\r', 'VERSION', 'get q/t=']) {
    await converse(t, server, [[`${line}\r\n`, `ERROR \r\n${FIN}`]])
  }

  const announced = await start(t, 'darner')
  await converse(t, announced, [['set q 0 0 1\r\nabc\r\n', `CLIENT_ERROR bad data chunk\r\n${FIN}`]])
  const statistics = await converse(t, announced, [])
  statistics.send('stats\r\n')
  t.match(await takeWhole(statistics), 'STAT queue_q_items 0\r\nSTAT queue_q_waiters 0\r\nSTAT queue_q_open_transactions 0\r\nEND\r\n', 'there is a queue all the same')

  const other = await start(t, 'darner')
  await converse(t, other, [['flush_all\r\n', 'Flushed all queues.\r\n']])
  const bystander = await converse(t, other, [['version\r\n', 'VERSION 0.2.0\r\n']])
  const blocked = await converse(t, other, [['get r/t=60000\r\n', '']])
  await converse(t, other, [[`${set('q', 'a')}flush_all\r\n`, stored(1) + FIN]])
  t.same([await bystander.closed, await blocked.closed], ['end', 'end'], 'the process has died')
  await converse(t, other, [[`get q\r\n${set('r', 'b')}get r\r\n`, END + stored(1) + item('r', 'b')]])
})

t.test('darner: waiters whose client is gone', async (t) => {
  const server = await start(t, 'darner')
  for (const [request, left] of [['get q/t=60000\r\n', END], ['get q/t=60000/open\r\n', item('q', 'a')], ['get q/t=60000/peek\r\n', item('q', 'a')], ['get q/t=1\r\n', item('q', 'a')]] as const) {
    const lost = await converse(t, server, [[request, request.includes('t=1\r') ? END : '']])
    await lose(server, lost)
    await converse(t, server, [[`${set('q', 'a')}get q\r\n`, stored(1) + left]])
    server.clear()
  }
})

t.test('siberite', async (t) => {
  const server = await start(t, 'siberite')
  await converse(t, server, [
    [set('q', 'a', 'b', 'c'), stored(3)],
    ['get q.one/open\r\nget q.one/abort\r\nget q.one/open\r\n', item('q', 'a') + END + item('q', 'a')],
    ['get q.one/peek\r\nget q.one/close/open\r\nget q.one/close\r\n', item('q', 'b') + item('q', 'b') + END],
    ['get q\r\nget q.two\r\nget q.two/peek\r\n', item('q', 'a') + item('q', 'b') + item('q', 'c')],
    ['get q.one\r\nget q.one\r\n', item('q', 'c') + END],
    ['flush q.one\r\nget q.one\r\n', END + item('q', 'b')],
    ['delete q.one\r\nget q.one\r\nget q.\r\n', END + item('q', 'b') + item('q', 'b')],
    ['delete q\r\nget q.two\r\nget q\r\n', END + END + END],
    [set('q', 'd', 'e') + 'get q.two\r\nget q.two/open\r\n', stored(2) + item('q', 'd') + item('q', 'e')],
  ])
  const statistics = await converse(t, server, [['get q.two/peek\r\n', END]])
  statistics.send('stats\r\n')
  t.match(await takeWhole(statistics), [
    'STAT queue_q_items 2', 'STAT queue_q_open_transactions 0', 'STAT queue_q.two_items 0', 'STAT queue_q.two_open_transactions 1', 'END', '',
  ].join('\r\n'))
  await converse(t, server, [
    [set('one+two', 'x') + 'get one\r\nget two\r\n', stored(1) + item('one', 'x') + item('two', 'x')],
    ['set e 0 0 0\r\n\r\nset e 0 0 1\r\na\r\nget e/peek\r\nget e/open\r\nget e/close\r\nget e\r\n', stored(2) + END + END + END + item('e', 'a')],
    ['  GET e/t=5/  \r\n', END],
  ])
  await converse(t, server, [
    [set('g', 'a', 'b') + 'get g.c\r\nget g/open\r\nget g/abort\r\nget g.c\r\n', stored(2) + item('g', 'a') + item('g', 'a') + END + item('g', 'b')],
    [set('g', 'c', 'd') + 'get g\r\nget g\r\nget g\r\nget g.c\r\n', stored(2) + item('g', 'a') + item('g', 'b') + item('g', 'c') + item('g', 'd')],
  ])
  const reader = await converse(t, server, [[set('f', 'a', 'b') + 'get f/open\r\n', stored(2) + item('f', 'a')]])
  await converse(t, server, [['delete f\r\n', END]])
  await lose(server, reader)
  await converse(t, server, [['get f\r\n', END]])
  for (const [line, reply] of [
    ['get q.a-b', 'ERROR cgroup: name is not alphanumeric'], ['flush q+r', 'ERROR queue: name is not alphanumeric'], [`get ${'n'.repeat(101)}`, 'ERROR queue: name is too long'],
    ['get q/peek/t=x', 'CLIENT_ERROR Invalid command'], ['set q 0 0 x', 'CLIENT_ERROR Invalid <bytes> number'], ['set q 0 0 1 x y', 'CLIENT_ERROR Invalid command'],
    ['set q+. 0 0 1\r\na', 'ERROR queue: name is not alphanumeric'],
  ]) await converse(t, server, [[`${line}\r\n`, `${reply}\r\n${FIN}`]])
  for (const line of ['get', 'delete', 'flush', 'set q 0 0 -1\r\n', 'set q 0 0 -2']) {
    const bystander = await converse(t, server, [['version\r\n', 'VERSION siberite-0.6.4\r\n']])
    await converse(t, server, [[`${line}\r\n`, FIN]])
    t.equal(await bystander.closed, 'end', `${line} ends the process`)
  }
})

t.test('memcacheq', async (t) => {
  const server = await start(t, 'memcacheq')
  const largest = 'x'.repeat(1024 - 8 - 2 - 9 - 2)
  await converse(t, server, [
    ['set q 4294967295 0 1\r\na\r\nset r 7 0 1\r\nb\r\nget r q s\r\n', `${stored(2)}VALUE r 7 1\r\nb\r\nVALUE q -1 1\r\na\r\nEND\r\n`],
    [set('q', largest), stored(1)],
    [set('q', `${largest}x`), 'SERVER_ERROR out of memory storing object\r\n'],
    ['get q\r\nget q\r\n', item('q', largest) + END],
    ['stats queue\r\n', `STAT q 2/2\r\nSTAT r 1/1\r\n${END}`],
    ['delete q\r\ndelete q\r\n', 'DELETED\r\nNOT_FOUND\r\n'],
    ['get\r\nset q 0 0\r\ndelete a b c\r\nversion x\r\nquit x\r\nverbosity\r\nstats x\r\n', 'ERROR\r\n'.repeat(7)],
    [`get ${'k'.repeat(251)} q\r\nset ${'k'.repeat(251)} 0 0 1\r\n`, 'CLIENT_ERROR bad command line format\r\n'.repeat(2)],
    ['set q 0 0 1\r\nabc\r\n', 'CLIENT_ERROR bad data chunk\r\nERROR\r\n'],
    ['verbosity 1\r\nstats reset\r\nquit\r\n', `OK\r\nRESET\r\n${FIN}`],
  ])
  const larger = await start(t, 'memcacheq', { maxItemSize: 65536 })
  await converse(t, larger, [[set('q', 'x'.repeat(60000)), stored(1)]])
})

t.test('a journal', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'ermc-journal-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  await t.rejects(startServer({ dialect: 'darner', journal: join(directory, 'no', 'such') }), { code: 'ENOENT' })
  for (const dialect of ['kestrel', 'darner', 'siberite', 'memcacheq'] as const) {
    const journal = join(directory, dialect)
    {
      await using server = await startServer({ dialect, journal })
      await converse(t, server, [
        [set('q', 'a', 'b\r\n- q 1\n', 'c', 'd') + set('gone', 'x'), stored(5)],
        ['get q\r\n', item('q', 'a')],
      ])
      if (dialect !== 'memcacheq') {
        await converse(t, server, [['get q/open\r\nget q/close/open\r\n', item('q', 'b\r\n- q 1\n') + item('q', 'c')]])
        await converse(t, server, [['flush gone\r\n', END]])
      } else {
        await converse(t, server, [['get q\r\nget gone\r\n', item('q', 'b\r\n- q 1\n') + item('gone', 'x')]])
      }
      await t.rejects(startServer({ dialect, journal, port: server.port }), { code: 'EADDRINUSE' })
    }
    writeFileSync(journal, '+ q 7 0 0 Infinity 100\nwhat a killed process has not written to its end', { flag: 'a' })
    {
      await using server = await startServer({ dialect, journal })
      await converse(t, server, [
        ['get q\r\n', item('q', 'c')],
        [set('q', 'e'), stored(1)],
        ['get q\r\nget q\r\nget q\r\nget gone\r\n', item('q', 'd') + item('q', 'e') + END + END],
        [set('r', 'f'), stored(1)],
      ])
      server.clear()
    }
    t.equal(readFileSync(journal, 'latin1').endsWith('! r\n'), true)
    await using server = await startServer({ dialect, journal })
    await converse(t, server, [['get q\r\nget r\r\n', END + END]])
    t.equal(readFileSync(journal, 'latin1'), '', 'what is gone is not kept')
  }
})

t.test('what a server keeps whose process is killed', async (t) => {
  await using server = await startQueueProcess({ dialect: 'darner' })
  const one = new RawConnection(server)
  t.ok(await one.ask(set('q', 'a', 'b', 'c') + 'get q\r\nget q/open\r\n', stored(3) + item('q', 'a') + item('q', 'b')))
  await server.kill()
  await one.closed
  await server.restart()
  const other = new RawConnection(server)
  t.ok(await other.ask('get q/open\r\nget q/close/open\r\nget q/close/open\r\n', item('q', 'b') + item('q', 'c') + END))
  await server.restart()
  await other.closed
  const last = new RawConnection(server)
  t.ok(await last.ask('get q\r\n', END))
  last.socket.destroy()
})
