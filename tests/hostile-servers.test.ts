import { Buffer } from 'node:buffer'
import t from 'tap'
import { DIALECTS, echoed, speaking, type Dialect } from './support/dialects.ts'
import { SLACK } from './support/outcomes.ts'
import { OPCODES, packet, uint32, type PacketParts } from './support/packets.ts'
import { startScripted, type Peer, type ScriptedServer } from './support/scripted-server.ts'
import { scripts } from './support/script-process.ts'

/**
 * Servers that want a client's memory, its time, or the trust of its callers. The client is in a process of its own, whose
 * largest size is measured; each call settles by its deadline with an error of ours, and the next one, which finds a server
 * that behaves, works. What is in faults.test.ts is not repeated here.
 */

t.setTimeout(180_000)

const { run } = scripts(t)
/** Milliseconds: where a client can only wait in vain, and where it sees that something is wrong, however slow the machine is. */
const [SHORT, PATIENT] = [400, 20_000]
const MiB = 2 ** 20
/** What the process may grow by, whatever it is sent: a value of 64 MiB is accepted, and is there twice while it is decoded. */
const MOST = 400 * MiB

type Call = 'get' | 'getMulti' | 'stats' | 'incr' | 'idle'

interface Enemy {
  readonly name: string
  readonly call: Call
  /** What it does with the first connection, once the request is there. */
  readonly act: (peer: Peer, request: string) => Promise<void> | void
  /** The code of the error; nothing where a value is all right, too. */
  readonly code?: string
}

/** Sends this again and again until the client is gone. */
async function flood(peer: Peer, piece: string | Buffer, most = Infinity): Promise<void> {
  for (let sent = 0; !peer.gone && sent < most; sent += piece.length) {
    if (!peer.socket.write(piece, 'latin1')) await Promise.race([new Promise((resolve) => peer.socket.once('drain', resolve)), peer.closed()])
  }
  await peer.closed()
}

/** A byte every few milliseconds: the server is never silent for long, and never ready. */
async function drip(peer: Peer, bytes: string): Promise<void> {
  for (let at = 0; at < bytes.length && !peer.gone; at += 1) {
    peer.send(bytes[at] as string)
    await new Promise((resolve) => setTimeout(resolve, 15))
  }
}

const reply = (opcode: number, parts: Omit<PacketParts, 'opcode'>): string => packet({ opcode, opaque: 1, ...parts })

/** The head of the reply to the first `get` of a connection, which announces so many bytes. */
function head({ name }: Dialect, length: string): string {
  if (name === 'text') return `VALUE k 0 ${length}\r\n`
  if (name === 'meta') return `VA ${length} O1 f0\r\n`
  return reply(OPCODES.get, { extras: uint32(0), bodyLength: (Number(length) + 4) >>> 0 })
}

const PROTOCOL = 'ERR_MEMCACHE_PROTOCOL'
const LATE = 'ERR_MEMCACHE_TIMEOUT'

function enemies(dialect: Dialect): Enemy[] {
  const { name, said } = dialect
  const packets = name === 'binary'
  const miss = (request: string): string => said(request, [undefined])
  const lengths = packets ? ['67108865', '2147483647', '2147483648', '4294967291'] : ['67108865', '2147483648', '4294967296', '100000000000', '-1', '+1', '1e3', '0x10', '', '9'.repeat(10_000)]
  const statistics = (each: string, value: string): string => (packets ? reply(OPCODES.stat, { key: each, value }) : `STAT ${each} ${value}\r\n`)
  const digits = '9'.repeat(MiB)
  return [
    ...lengths.map((length): Enemy => ({ name: `a length of ${length.slice(0, 20)}`, call: 'get', code: PROTOCOL, act: (peer) => flood(peer, head(dialect, length) + 'x'.repeat(1000), 1) })),
    { name: 'a value that is never sent', call: 'get', code: LATE, act: (peer) => peer.send(head(dialect, '60000000')) },
    { name: 'a value that is dripped', call: 'get', code: LATE, act: (peer) => drip(peer, head(dialect, '60000000') + 'x'.repeat(1000)) },
    { name: 'a head that is dripped', call: 'get', code: LATE, act: (peer) => drip(peer, packets ? head(dialect, '1').slice(0, 23) : `SERVER_ERROR ${'x'.repeat(1000)}`) },
    { name: 'a value as long as may be', call: 'get', act: (peer) => flood(peer, Buffer.concat([Buffer.from(head(dialect, '67108864'), 'latin1'), Buffer.alloc(64 * MiB), Buffer.from(name === 'text' ? '\r\nEND\r\n' : packets ? '' : '\r\n')]), 1) },
    { name: 'an answer again and again, to one request', call: 'get', act: async (peer, request) => flood(peer, miss(request).repeat(1000)) },
    { name: 'rubbish while nobody waits', call: 'idle', act: (peer, request) => (peer.send(said(request, echoed(dialect.asked(request)))), flood(peer, Buffer.alloc(MiB, 'x'))) },
    { name: 'replies while nobody waits', call: 'idle', act: (peer, request) => (peer.send(said(request, echoed(dialect.asked(request)))), flood(peer, said(request, echoed(dialect.asked(request))).repeat(10_000))) },
    { name: 'megabytes of rubbish', call: 'get', code: PROTOCOL, act: (peer) => flood(peer, Buffer.alloc(MiB, 'x')) },
    { name: 'an endless line of digits', call: 'incr', code: PROTOCOL, act: (peer) => flood(peer, digits) },
    { name: 'long statistics without end', call: 'stats', code: PROTOCOL, act: async (peer) => {
      for (let index = 0; index < 4000 && !peer.gone; index += 1) {
        if (!peer.socket.write(statistics(`s${index}`, 'x'.repeat(60_000)), 'latin1')) await Promise.race([new Promise((resolve) => peer.socket.once('drain', resolve)), peer.closed()])
      }
    } },
    { name: 'one statistic without end', call: 'stats', code: PROTOCOL, act: (peer) => flood(peer, statistics('s', 'x'.repeat(1000)).repeat(100)) },
    { name: 'values of keys that were not asked for', call: 'getMulti', code: PROTOCOL, act: (peer) => flood(peer, packets ? reply(OPCODES.getkq, { extras: uint32(0), key: 'zz', value: '1' }) : name === 'text' ? 'VALUE zz 0 1\r\n1\r\n' : 'VA 1 O1.7 f0\r\n1\r\n') },
    ...(packets
      ? [
          { name: 'statistics in one packet', call: 'stats', code: PROTOCOL, act: (peer) => flood(peer, reply(OPCODES.stat, { key: 'detailed', value: 'STAT name value\r\n'.repeat(3_000_000) }), 1) },
          ...[{ keyLength: 0xffff }, { extrasLength: 0xff }, { bodyLength: 0 }, { bodyLength: 1, extras: uint32(0) }, { keyLength: 1, bodyLength: 4, extras: uint32(0) }].map((wrong, place): Enemy => (
            { name: `lengths that contradict each other, ${place}`, call: 'get', code: PROTOCOL, act: (peer) => flood(peer, reply(OPCODES.get, wrong) + 'x'.repeat(100), 1) })),
        ] satisfies Enemy[]
      : [
          { name: 'a number of a million digits', call: 'incr', code: PROTOCOL, act: (peer) => peer.send(name === 'text' ? `${digits}\r\n` : `VA ${digits} O1\r\n`) },
          { name: 'flags of a million digits', call: 'get', code: PROTOCOL, act: (peer) => peer.send(name === 'text' ? `VALUE k ${digits} 1\r\n1\r\nEND\r\n` : `VA 1 O1 f${digits}\r\n1\r\n`) },
        ] satisfies Enemy[]),
  ]
}

const SCRIPT = `
import { existsSync, readFileSync } from 'node:fs'
const [driver, cases] = [drivers[process.argv[2]], JSON.parse(process.argv[3])]
const calls = {
  get: (client) => client.get('k'), getMulti: (client) => client.getMulti(['k', 'l', 'm']), stats: (client) => client.stats(), incr: (client) => client.incr('k'),
  idle: (client) => client.get('k').then(() => until(() => !client.isConnected())),
}
// The peak that Linux keeps for getrusage has that of the parent in it.
const peak = () => existsSync('/proc/self/status') ? Number(/VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))[1]) : process.resourceUsage().maxRSS
const before = peak()
const results = []
for (const { name, call, port, timeout } of cases) {
  const client = new Client({ port, driver, timeout: 10_000, connectTimeout: 10_000 })
  await client.connect()
  const short = new Client({ port, driver, timeout, connectTimeout: 10_000 })
  await short.connect()
  const began = performance.now()
  const { code, sent } = (await quiet(calls[call](short))) ?? {}
  const took = performance.now() - began
  let good
  for (let again = 0; good !== 'of good' && again < 5; again += 1) good = await quiet(short.get('good', { timeout: 10_000 }))
  results.push({ name, code, sent, took, good: String(good), beside: await client.get('good') })
  await Promise.all([client.close(), short.close()])
}
console.log(JSON.stringify({ results, grown: (peak() - before) * 1024 }))
`

interface Told {
  readonly results: readonly { readonly name: string; readonly code?: string; readonly sent?: boolean; readonly took: number; readonly good: string; readonly beside: string }[]
  readonly grown: number
}

for (const driver of ['text', 'meta', 'binary', 'memjs'] as const) {
  t.test(driver, async (t) => {
    const dialect = DIALECTS.find(({ name }) => name === (driver === 'memjs' ? 'binary' : driver)) as Dialect
    // memjs asks for each key by itself.
    const all = enemies(dialect).filter(({ call }) => driver !== 'memjs' || call !== 'getMulti')
    const servers: ScriptedServer[] = []
    for (const { act } of all) {
      // The second connection is the one that is attacked: the first one stands beside it, and must not notice.
      const server = await startScripted(async (peer) => (peer.index === 1 ? act(peer, await peer.request()) : speaking(dialect, echoed)(peer)))
      servers.push(server)
      t.teardown(() => server.close())
    }
    const timeouts = all.map(({ code }) => (code === PROTOCOL ? PATIENT : SHORT))
    const cases = all.map(({ name, call }, place) => ({ name, call, port: servers[place]?.port, timeout: timeouts[place] }))
    const { code, stdout, stderr } = await run(SCRIPT, [driver, JSON.stringify(cases)])
    t.equal(stderr, '')
    t.equal(code, 0)
    const { results, grown } = JSON.parse(stdout) as Told
    for (const [place, { name, code: found, sent, took, good, beside }] of results.entries()) {
      const expected = all[place]?.code
      if (expected !== undefined) t.strictSame([found, sent], [expected, true], name)
      t.ok(took < (timeouts[place] ?? 0) + SLACK, `${name}: ${Math.round(took)} ms`)
      t.equal(good, 'of good', `${name}: the next command works`)
      t.equal(beside, 'of good', `${name}: another client of the same process does, too`)
    }
    t.equal(results.length, all.length)
    t.ok(grown < MOST, `the process has grown by ${Math.round(grown / MiB)} MiB at most`)
  })
}
