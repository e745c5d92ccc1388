import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { startServer } from '../lib/testing/index.ts'
import type { AddressInfo, Socket } from 'node:net'
import type { ServerOptions } from '../lib/testing/index.ts'

interface Step {
  readonly request: string
  readonly response: string
  readonly conn?: string
  readonly waitBeforeMs?: number
  readonly writes?: readonly number[]
  readonly silent?: boolean
  readonly closed?: boolean
}

interface Recording extends Step {
  readonly protocol: string
  readonly case: string
  readonly closed: boolean
  readonly steps?: readonly Step[]
  readonly server?: string
  readonly volatile?: readonly string[]
}

const recordings: Recording[] = readFileSync(new URL('fixtures/memcached.jsonl', import.meta.url), 'utf8')
  .trim().split('\n').map((line) => JSON.parse(line) as Recording)

/** The second at which the recorded requests with an absolute exptime were made; no clock runs in a replay. */
const RECORDED_AT = 1_795_367_688_000

/**
 * memcached's arguments, as options of the embedded server. `-Y` named a file with two of these users, `-S` a database
 * with the third. Of the connections that `-c` allows, memcached has used some itself.
 */
const OPTIONS: Record<string, ServerOptions> = {
  '': {},
  '-A': { shutdownEnabled: true },
  '-C': { casEnabled: false },
  '-F': { flushEnabled: false },
  '-W': { watchEnabled: false },
  '-X': { dumpEnabled: false },
  '-B binary': { protocol: 'binary' },
  '-S': { protocol: 'binary', auth: { testuser: 'testpass' } },
  '-c 24': { maxConnections: 12 },
  '-I 1024 -o slab_chunk_max=1024': { itemSizeMax: 1024, slabChunkMax: 1024 },
  '-M -m 2 -n 500000': { evictions: false, memoryLimit: 2 * 1024 * 1024, chunkSize: 500000 },
  '-o track_sizes': { trackSizes: true },
  '-o idle_timeout=1': { idleTimeout: 1 },
  '-Y /path/of/the/recording': { auth: { bob: 's3cret', alice: 'p w' } }
}

/**
 * What differs from run to run, by the names the recordings use. What the clock decides is the same at every replay,
 * and so is the version: what is not named here is compared as it is.
 */
const MASKS: Record<string, readonly [pattern: RegExp, mask: string]> = {
  'STAT values': [/^STAT (?:\d+(?=:(?:listen_)?addr |:state |:secs_since_last_cmd ))?(\S+) .*$/gm, 'STAT $1 *'],
  'la, exp timestamps': [/\b(la|exp)=\d+/g, '$1=*'],
  la: [/\bla=\d+/g, 'la=*'],
  'expiry timestamp': [/; \d+ s\]/g, '; * s]']
}

/** The same in binary: the values of packets that the opcode and the status, if there is one, tell. */
const PACKET_MASKS: Record<string, readonly [opcode: number, status: number]> = {
  'STAT values': [0x10, 0],
  challenge: [0x21, 0x21]
}

function masked(response: string, names: readonly string[] = []): string {
  if (names.length === 0) return response
  if (response.startsWith('\x81')) return maskedPackets(response, names)
  return names.reduce((text, name) => {
    const mask = MASKS[name]
    return mask === undefined ? text : text.replace(mask[0], mask[1])
  }, response)
}

function maskedPackets(response: string, names: readonly string[]): string {
  const bytes = Buffer.from(response, 'latin1')
  let text = ''
  for (let start = 0, end = 0; start < bytes.length; start = end) {
    if (start + 24 > bytes.length) return text + response.slice(start)
    const valueStart = start + 24 + bytes[start + 4]! + bytes.readUInt16BE(start + 2)
    end = start + 24 + bytes.readUInt32BE(start + 8)
    const hidden = valueStart < end && names.some((name) => PACKET_MASKS[name]?.every((mark, index) => mark === [bytes[start + 1], bytes.readUInt16BE(start + 6)][index]))
    if (hidden) bytes.fill(0, start + 8, start + 12)
    text += hidden ? `${bytes.toString('latin1', start, valueStart)}*` : bytes.toString('latin1', start, end)
  }
  return text
}

/** One client connection: what came on it, and whether the server closed it. */
class Client {
  closed = false
  #socket: Socket
  #received = ''

  constructor(port: number) {
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    this.#socket.setEncoding('latin1')
    this.#socket.on('data', (data: string) => { this.#received += data })
    this.#socket.on('end', () => { this.closed = true })
    this.#socket.on('error', () => { this.closed = true })
  }

  async send(request: string, writes: readonly number[] = [request.length]): Promise<void> {
    let offset = 0
    for (const length of writes) {
      if (offset > 0) await sleep(2)
      this.#socket.write(request.slice(offset, offset + length), 'latin1')
      offset += length
    }
  }

  /** Waits until what came is, masked, as expected, and whether the connection is closed is as expected. */
  async receive({ response, closed = false }: Step, mask: (text: string) => string): Promise<string> {
    const deadline = Date.now() + 3000
    const wanted = mask(response)
    while ((mask(this.#received) !== wanted || this.closed !== closed) && Date.now() < deadline) await nextTurn()
    if (response === '' && !closed) await sleep(15)
    const received = mask(this.#received)
    this.#received = ''
    return received
  }

  /** What still comes when the client has nothing more to say. */
  async finish(): Promise<string> {
    this.#socket.end()
    const deadline = Date.now() + 3000
    while (!this.closed && Date.now() < deadline) await nextTurn()
    this.#socket.destroy()
    return this.#received
  }
}

/** Plays a recording; tells what came back at each step and after the last one, and what should have. */
async function replay(recording: Recording, port: number, wait: (milliseconds: number) => Promise<unknown>): Promise<{ found: unknown; wanted: unknown }> {
  const clients = new Map<string, Client>()
  const found: unknown[] = []
  const wanted: unknown[] = []
  const steps = recording.steps ?? [recording]
  for (const [index, recorded] of steps.entries()) {
    const last = index === steps.length - 1
    const step = { ...recorded, closed: recorded.closed ?? (last && recording.closed) }
    const client = clients.get(step.conn ?? '') ?? new Client(port)
    clients.set(step.conn ?? '', client)
    if (step.waitBeforeMs !== undefined) await wait(step.waitBeforeMs)
    await client.send(step.request, step.writes)
    const mask = (text: string): string => masked(text, recording.volatile)
    found.push({ response: await client.receive(step, mask), closed: client.closed })
    wanted.push({ response: mask(step.response), closed: step.closed })
  }
  for (const client of clients.values()) {
    found.push(await client.finish())
    wanted.push('')
  }
  return { found, wanted }
}

for (const [protocol, count] of [['text', 243], ['meta', 183], ['binary', 102]] as const) {
  t.test(`the recorded ${protocol} exchanges, at the embedded server`, async (t) => {
    const cases = recordings.filter((recording) => recording.protocol === protocol)
    t.equal(cases.length, count)
    for (const recording of cases) {
      const options = OPTIONS[recording.server ?? '']
      if (options === undefined) {
        t.fail(`no options stand for ${recording.server}`)
        continue
      }
      let now = RECORDED_AT
      await using server = await startServer({ ...options, now: () => now })
      const { found, wanted } = await replay(recording, server.port, async (milliseconds) => { now += milliseconds })
      t.same(found, wanted, recording.case)
    }
  })
}

t.test('a masked comparison can still fail', async (t) => {
  const stats = recordings.find((recording) => recording.case === 'stats slabs')
  if (stats === undefined) throw new Error('the recording is gone')
  const { response, volatile } = stats
  t.equal(masked(response.replace('used_chunks 1', 'used_chunks 7'), volatile), masked(response, volatile), 'values are masked')
  t.not(masked(response.replace('used_chunks', 'chunks_used'), volatile), masked(response, volatile), 'names are not')
  t.not(masked(response.replace('1:chunk_size', '2:chunk_size'), volatile), masked(response, volatile), 'nor are class ids')
  t.not(masked(response.replace('STORED', 'OK'), volatile), masked(response, volatile), 'nor are other lines')
  await using server = await startServer()
  const { found, wanted } = await replay({ ...stats, steps: [{ request: 'stats slabs\r\n', response: '' }] }, server.port, sleep)
  t.notSame(found, wanted, 'a reply that was not expected is noticed')
})

const memcached = spawnSync('memcached', ['-V'], { encoding: 'utf8' })
const noMemcached = memcached.stdout?.includes('1.6.18') ? false : 'memcached 1.6.18 is not on PATH: nothing was compared with it'

/** A memcached of its own, ended when it goes out of use. */
async function startMemcached(args: readonly string[]): Promise<AsyncDisposable & { readonly port: number }> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  const user = process.getuid?.() === 0 ? ['-u', 'root'] : []
  const child = spawn('memcached', [...user, '-l', '127.0.0.1', '-p', String(port), '-t', '1', ...args], { stdio: 'ignore' })
  for (let attempt = 0; attempt < 400; attempt++) {
    const socket = connect({ port, host: '127.0.0.1' })
    const open = await Promise.race([once(socket, 'connect').then(() => true, () => false)])
    socket.destroy()
    if (open) break
    await sleep(5)
  }
  return {
    port,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    }
  }
}

t.test('a sample of the recordings, at memcached itself', { skip: noMemcached }, async (t) => {
  const playable = recordings.filter(({ protocol, server = '', volatile = [] }) =>
    // Recorded exptimes are in the past by now; a remaining time may be one less; a user file is not at hand.
    (protocol === 'text' || protocol === 'meta') && !server.startsWith('-Y') && !volatile.some((name) => /request|BUSY|\bt\b|\bl\b|la|exp/.test(name)))
  for (const recording of playable.filter((_, index) => index % 16 === 0)) {
    await using server = await startMemcached((recording.server ?? '').split(' ').filter((word) => word !== ''))
    const { found, wanted } = await replay(recording, server.port, sleep)
    t.same(found, wanted, recording.case)
  }
})

/**
 * All that comes back for these writes, with times masked, and whether the server closed before the client did. If it
 * is known that the server `closes`, that is waited for.
 */
async function play(port: number, writes: readonly string[], closes = false): Promise<{ response: string; closed: boolean }> {
  const client = new Client(port)
  for (const write of writes) {
    await client.send(write)
    await sleep(8)
  }
  for (let waited = 0; closes && !client.closed && waited < 500; waited += 5) await sleep(5)
  const { closed } = client
  const response = await client.finish()
  return { response: response.replace(/ ([tl])\d{2,}/g, ' $1*').replace(/ (la|exp)=-?\d+/g, ' $1=*'), closed }
}

t.test('the names of all statistics, at memcached and at the embedded server', { skip: noMemcached }, async (t) => {
  const names = async (port: number, section: string): Promise<string[]> => {
    const { response } = await play(port, ['set a 0 0 1\r\n1\r\nset b 1 0 100\r\n', `${'x'.repeat(100)}\r\nget a\r\n`, `stats${section}\r\n`])
    return response.split('\r\n').map((line) => line.replace(/^(STAT )(?:\d+:(?=[als]))?(\S+) .*/, '$1$2'))
  }
  await using real = await startMemcached(['-o', 'track_sizes'])
  await using embedded = await startServer({ trackSizes: true })
  for (const section of ['', ' settings', ' items', ' slabs', ' sizes', ' conns', ' extstore', ' detail dump', ' bogus']) {
    t.same(await names(embedded.port, section), await names(real.port, section), `stats${section}`)
  }
})

// Random programs: mostly sensible lines about few keys, with every part now and then replaced by something odd.
const LONG_KEY = 'k'.repeat(250)
const key = fc.constantFrom('a', 'b', 'n', 'n', 'a', 'p:x', LONG_KEY, `${LONG_KEY}k`, 'a\x01', '\xe9\xff', '')
const number = fc.constantFrom(
  '0', '1', '2', '5', '10', '18446744073709551615', '18446744073709551616', '-1', '+3', '007', 'x', '1.5', '', '4294967296', '4294967301',
  '-18446744073709551615', '100000', '2592000', '2592001', '2147483648', '-9223372036854775809', '5x', '5\t6', '\t7', 'noreply'
)
const exptime = fc.constantFrom('0', '0', '0', '100000', '-1', '2592001', '2147483648', 'x', '', '2000000000')
const value = fc.constantFrom(
  '', '1', '9', '10', '99', '18446744073709551615', '18446744073709551616', '-5', '+7', ' 10', '007', '5 6', 'abc', '1\r\n2', 'flush_all',
  'get a', 'x'.repeat(40), '18446744073709551615 -', '7\t', '\x007', '7\x00', '-0', '-18446744073709551615', '\r\n'
)
const noreply = fc.constantFrom('', '', '', ' noreply', ' noreply', ' noreply x', ' noReply', ' ')
const rarely = <T>(usual: fc.Arbitrary<T>, odd: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  fc.oneof({ weight: 8, arbitrary: usual }, { weight: 1, arbitrary: odd })
/** The length of a value, or a wrong one. */
const lengthOf = fc.oneof(
  { weight: 10, arbitrary: fc.constant((text: string) => String(text.length)) },
  { weight: 1, arbitrary: fc.constantFrom((text: string) => String(text.length + 1), (text: string) => String(text.length - 1), () => 'x', () => '-1', () => '') }
)

const storage = fc.tuple(
  fc.constantFrom('set', 'set', 'set', 'add', 'replace', 'append', 'prepend', 'cas'), key, rarely(fc.constantFrom('0', '5'), number),
  exptime, value, lengthOf, rarely(fc.constantFrom('1', '2', '3', '4'), number), noreply
).map(([mode, key, flags, exptime, value, length, cas, noreply]) =>
  `${mode} ${key} ${flags} ${exptime} ${length(value)}${mode === 'cas' ? ` ${cas}` : ''}${noreply}\r\n${value}\r\n`)

const classic = fc.oneof(
  fc.tuple(fc.constantFrom('get', 'gets', 'bget'), fc.array(key, { maxLength: 4 })).map(([name, keys]) => `${name} ${keys.join(' ')}\r\n`),
  fc.tuple(fc.constantFrom('gat', 'gats'), exptime, fc.array(key, { maxLength: 3 })).map(([name, time, keys]) => `${name} ${time} ${keys.join(' ')}\r\n`),
  fc.tuple(fc.constantFrom('incr', 'decr'), key, number, noreply).map(([name, key, delta, noreply]) => `${name} ${key} ${delta}${noreply}\r\n`),
  fc.tuple(key, exptime, noreply).map(([key, time, noreply]) => `touch ${key} ${time}${noreply}\r\n`),
  fc.tuple(key, fc.constantFrom('', ' 0', ' 5', ' 00', ' b'), noreply).map(([key, time, noreply]) => `delete ${key}${time}${noreply}\r\n`),
  fc.tuple(fc.constantFrom('', ' 0', ' -1', ' 1000', ' x', ' 1.5', ' 2592001'), noreply).map(([delay, noreply]) => `flush_all${delay}${noreply}\r\n`)
)

const administration = fc.tuple(
  fc.constantFrom(
    'verbosity', 'cache_memlimit', 'lru mode', 'lru temp_ttl', 'lru', 'lru tune 10 20', 'slabs reassign', 'slabs automove', 'slabs', 'extstore',
    'extstore item_size', 'extstore max_frag', 'extstore drop_unread', 'extstore free_memchunks', 'slabs automove ratio', 'lru_crawler sleep',
    'lru_crawler tocrawl', 'stats detail', 'stats x', 'refresh_certs', 'shutdown', 'version', 'watch bogus'
  ),
  fc.array(number, { maxLength: 3 }), noreply
).map(([name, args, noreply]) => `${[name, ...args].join(' ')}${noreply}\r\n`)

const oddities = fc.constantFrom(
  '\r\n', '\n', ' \r\n', 'x\r\n', 'bogus\r\n', 'bogus HTTP/1.1\r\n', 'gbogus HTTP/1.1\r\n', 'GET / HTTP/1.0\r\n', 'mget x HTTP/1\r\n',
  'mx HTTP/1.1\r\n', 'get a\x00b c\r\n', 'set a\x00 0 0 1\r\n1\r\n', 'get a\r\r\n', 'version\n', 'mn\n', 'quit\r\n', 'get   a   n \r\n', ' get a\r\n',
  `get ${'a '.repeat(30)}\r\n`, `get ${'a '.repeat(30)}${LONG_KEY}k\r\n`, 'stats detail on\r\n', 'stats sizes_enable\r\n', 'stats sizes\r\n',
  'stats reset\r\n', `delete ${'d'.repeat(2100)}\r\n`, `set ${'a '.repeat(40)}\r\n`, `version ${'a '.repeat(40)}noreply\r\n`, `${'y'.repeat(3000)}\r\n`
)

const metaKey = rarely(key, fc.constantFrom('Zm9v', 'YQ==', 'bg==', 'Zm9', 'IA0KAP8=', '====', 'Zm=v', 'Zm9v!'))
const metaFlags = fc.array(fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom('v', 's', 't', 'f', 'c', 'k', 'h', 'q', 'u', 'b', 'I', 'Oabc') },
  { weight: 4, arbitrary: fc.tuple(fc.constantFrom('T', 'N', 'R'), exptime).map((parts) => parts.join('')) },
  { weight: 3, arbitrary: fc.tuple(fc.constantFrom('C', 'D', 'J', 'F'), fc.constantFrom('0', '1', '2', '3', '5', 'x')).map((parts) => parts.join('')) },
  { weight: 2, arbitrary: fc.constantFrom('MI', 'MD', 'M+', 'M-', 'ME', 'MA', 'MP', 'MR', 'MS', 'Mx', 'M', 'MII') },
  { weight: 1, arbitrary: fc.constantFrom('z', '!', '\xe9', `O${'y'.repeat(32)}`, `O${'y'.repeat(31)}`, 'P', 'L1', 'S5', 'E5', 'O', 'T', 'vv') }
), { maxLength: 5 }).map((words) => words.map((word) => ` ${word}`).join(''))
const meta = fc.oneof(
  fc.tuple(fc.constantFrom('mg', 'mg', 'md', 'ma', 'ma', 'me', 'mn'), metaKey, metaFlags).map(([name, key, flags]) => `${name} ${key}${flags}\r\n`),
  fc.tuple(metaKey, value, lengthOf, metaFlags).map(([key, value, length, flags]) => `ms ${key} ${length(value)}${flags}\r\n${value}\r\n`),
  fc.tuple(key, fc.integer({ min: 12, max: 22 })).map(([key, count]) => `mg ${key} ${[...'vstfckhluqOPLIbczzzzzzz'].slice(0, count).join(' ')}\r\n`)
)

const command = fc.oneof(
  { weight: 5, arbitrary: storage }, { weight: 5, arbitrary: meta }, { weight: 4, arbitrary: classic },
  { weight: 1, arbitrary: administration }, { weight: 1, arbitrary: oddities }
)
const program = fc.array(fc.array(command, { minLength: 1, maxLength: 30 }).map((lines) => lines.join('')), { minLength: 1, maxLength: 3 })

t.test('random programs, at memcached and at the embedded server', { skip: noMemcached }, async (t) => {
  const numRuns = Number(process.env['ERMC_FUZZ_RUNS'] ?? 60)
  await fc.assert(fc.asyncProperty(program, async (writes) => {
    // Two writes may reach memcached as one, which can change its answer: then the next attempt decides.
    for (let attempt = 1; ; attempt++) {
      await using real = await startMemcached([])
      await using embedded = await startServer()
      const found = await play(embedded.port, writes)
      const wanted = await play(real.port, writes, found.closed)
      if (wanted.response === found.response && wanted.closed === found.closed) return
      if (attempt === 3) throw new Error(`memcached: ${JSON.stringify(wanted)}\nembedded: ${JSON.stringify(found)}`)
    }
  }), { numRuns, includeErrorInReport: true })
  t.pass(`${numRuns} programs were answered alike`)
})
