import { Buffer } from 'node:buffer'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import { memjs } from '../drivers/memjs.ts'
import type { Key, Request } from '../lib/commands.ts'
import { endpointOf, resolveOptions } from '../lib/options.ts'
import { Client, MemcacheError, MemcacheKeyError, MemcacheUnsupportedError, MemcacheValueError, type ClientOptions, type Format, type Middleware, type Serializer } from '../lib/index.ts'
import { DIALECTS, echoed, speaking, type Dialect } from './support/dialects.ts'
import { HOSTILE } from './support/hostile-arguments.ts'
import { Opened, outcome, unhandled } from './support/outcomes.ts'
import { SUBJECTS } from './support/replay.ts'
import { binaryRequests } from './support/recorded-binary.ts'
import { packet, packetsIn, REQUEST } from './support/packets.ts'
import type { Peer } from './support/scripted-server.ts'

/**
 * Whatever is passed, and wherever: what arrives at the server are the commands that were meant, each once, and no other. All
 * that a server receives is recorded, and read by the protocol's own rules.
 */

const unexpected = unhandled()
const opened = new Opened()
t.teardown(() => opened.close())

/** A driver, the protocol that it speaks, and how the bytes of requests are read. */
interface Speaker {
  readonly name: string
  readonly driver: Dialect['driver']
  readonly dialect: Dialect
  readonly read: (bytes: string) => Request[] | undefined
}

const SPEAKERS: readonly Speaker[] = [
  ...DIALECTS.map((dialect) => ({ name: dialect.name, driver: dialect.driver, dialect, read: SUBJECTS.find(({ name }) => name === dialect.name)!.requestsOf })),
  // It asks for each key of many by itself.
  { name: 'memjs', driver: memjs, dialect: DIALECTS.find(({ name }) => name === 'binary')!, read: binaryRequests },
]

/** A client, and the requests that have arrived since the last time. @throws for bytes that are no request. */
interface Scene {
  readonly client: Client
  readonly arrived: () => Promise<Request[]>
}

async function scene({ driver, dialect, read }: Speaker, options: ClientOptions = {}): Promise<Scene> {
  const server = await opened.scripted(speaking(dialect, echoed))
  const client = opened.client(server, { driver, ...options })
  const sentinel = opened.client(server, { driver })
  let seen = 0
  const arrived = async (): Promise<Request[]> => {
    await client.version()
    const { received } = server
    const bytes = received.slice(seen)
    seen = received.length
    const requests = read(bytes)
    if (requests === undefined) throw new Error(`this is no request: ${JSON.stringify(bytes.slice(0, 200))}`)
    return requests.filter(({ op }) => op !== 'version')
  }
  await sentinel.close()
  return { client, arrived }
}

const EVIL = 'x\r\nflush_all\r\n'
/** Lines, packets and words that would be commands if they stood by themselves. */
const PAYLOADS: readonly string[] = [
  EVIL, 'x\nflush_all', 'x\rflush_all', 'x flush_all', 'x noreply', ' x', 'x\t', 'x\0', 'x\x7f', 'x\x0b', 'x\u2028', 'x\u2029y', 'x\u0085y', 'x\u010d\u010aflush_all\u010d\u010a', '\u560a', 'x\ud800', '\udc00x',
  '\x80\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0', 'é'.repeat(125), `${'é'.repeat(125)}x`, '😀'.repeat(62), '😀'.repeat(63), 'k'.repeat(250), 'k'.repeat(251), '__proto__', 'constructor', 'hasOwnProperty', 'toString',
] // prettier-ignore

/** Bytes that are not what they say. */
class Liar extends Uint8Array {
  override get length(): number {
    return 1
  }
}
const lying = (bytes: Buffer, own: object): Buffer => Object.defineProperties(bytes, Object.getOwnPropertyDescriptors(own))
const padded = (text: string, length: number): string => text + ' '.repeat(length - text.length)

/** Buffers and their like, with a value that would be a command behind what they say is their end. */
function liars(length: number): readonly (readonly [string, unknown, string])[] {
  const text = padded(`x\r\n${EVIL}`, length)
  const bytes = (): Buffer => Buffer.from(text)
  return [
    ['a Buffer with a shorter length', lying(bytes(), { length: 1 }), text],
    ['a Buffer with a longer length', lying(bytes(), { length: 2 * length }), text],
    ['a Buffer with a length that changes', lying(bytes(), { get length() { return Math.random() < 0.5 ? length : 1 } }), text],
    ['a Buffer with methods of its own', lying(bytes(), { toString: () => EVIL, copy: () => 0, subarray: () => Buffer.from(EVIL), latin1Slice: () => EVIL, utf8Slice: () => EVIL, byteLength: 1, buffer: Buffer.from(EVIL).buffer }), text],
    ['a subclass', Object.setPrototypeOf(Liar.from(bytes()), Object.create(Buffer.prototype, { length: { get: () => 1 } })) as unknown, text],
    ['a Proxy', new Proxy(bytes(), {}), text],
    ['a Proxy that lies', new Proxy(bytes(), { get: (target, name) => (name === 'length' ? 1 : (Reflect.get(target, name) as unknown)) }), text],
  ]
}

/** Runs a call: it is refused with nothing sent, or just what was meant has arrived. Says whether it was sent. */
async function check(t: Test, { arrived }: Scene, what: string, call: () => Promise<unknown>, meant: (request: Request) => boolean, most = 1): Promise<boolean> {
  const { error } = await outcome(call())
  let requests: Request[] = []
  try {
    requests = await arrived()
  } catch (reason) {
    t.fail(`${what}: ${String(reason)}`)
  }
  const strange = requests.filter((request) => !meant(request))
  if (strange.length > 0 || requests.length > most) t.fail(`${what}: not what was meant`, { requests })
  if (error !== undefined && !(error instanceof MemcacheError)) t.fail(`${what}: ${String(error)}`, { error })
  if (requests.length > 0 && error?.sent === false) t.fail(`${what}: it is said not to be sent`, { requests })
  if (requests.length === 0 && error === undefined) t.fail(`${what}: neither sent nor refused`)
    return requests.length > 0
}

/** The key in wire form. */
function wire(key: string | Buffer, prefix = ''): Key {
  return Buffer.concat([Buffer.from(prefix), Buffer.from(key as string)]).toString('latin1')
}

const KEYED: { readonly [command: string]: readonly [op: Request['op'], call: (client: Client, key: string | Buffer) => Promise<unknown>] } = {
  get: ['get', (client, key) => client.get(key)],
  gats: ['get', (client, key) => client.gats(key, 5)],
  getMulti: ['getMulti', (client, key) => client.getMulti(['other', key])],
  set: ['store', (client, key) => client.set(key, 'v')],
  append: ['store', (client, key) => client.append(key, 'v')],
  cas: ['store', (client, key) => client.cas(key, 'v', { cas: 5n })],
  setMulti: ['store', (client, key) => client.setMulti([['other', 'v'], [key, 'v']])],
  delete: ['delete', (client, key) => client.delete(key)],
  deleteMulti: ['delete', (client, key) => client.deleteMulti(['other', key])],
  touch: ['touch', (client, key) => client.touch(key, 5)],
  incr: ['count', (client, key) => client.incr(key)],
  decr: ['count', (client, key) => client.decr(key, 2n, { initial: 5n })],
}

/** Whether this request is of this operation, about this key and perhaps the one that stands beside it. */
function about(op: Request['op'], key: Key, other: Key): (request: Request) => boolean {
  return (request) => {
    const keys = 'keys' in request ? request.keys : 'key' in request ? [request.key] : []
    return (request.op === op || (op === 'getMulti' && request.op === 'get')) && keys.length > 0 && keys.every((each) => each === key || each === other)
  }
}

for (const speaker of SPEAKERS) {
  const { name, driver } = speaker

  t.test(`${name}: keys and prefixes`, async (t) => {
    for (const keyPrefix of ['', 'é:']) {
      const place = await scene(speaker, { keyPrefix })
      let sent = 0
      for (const [command, [op, call]] of Object.entries(KEYED)) {
        for (const payload of PAYLOADS) {
          for (const key of [payload, Buffer.from(payload), Buffer.from(payload, 'latin1')]) {
            const went = await check(t, place, `${command} ${JSON.stringify(payload)}`, () => call(place.client, key), about(op, wire(key, keyPrefix), wire('other', keyPrefix)), 2)
            if (went) sent += 1
            const bytes = wire(key, keyPrefix)
            const good = /^[^\x00-\x20\x7f]{1,250}$/.test(bytes) && (typeof key !== 'string' || key.isWellFormed())
            if (went !== good) t.fail(`${command} ${JSON.stringify(payload)}: ${went ? 'sent' : 'refused'}`)
          }
        }
      }
      t.ok(sent > 100, `${sent} keys were good ones`)
    }
    for (const keyPrefix of PAYLOADS.filter((each) => /[\x00-\x20\x7f]|[\ud800-\udfff]x|x[\ud800-\udfff]/.test(each))) {
      t.throws(() => new Client({ driver, keyPrefix }), MemcacheKeyError, JSON.stringify(keyPrefix))
    }
  })

  t.test(`${name}: keys of any bytes, where they are allowed`, async (t) => {
    if (name === 'text') return void t.throws(() => new Client({ driver, binaryKeys: true }), MemcacheUnsupportedError)
    const place = await scene(speaker, { binaryKeys: true })
    for (const payload of PAYLOADS) {
      for (const [command, [op, call]] of Object.entries(KEYED)) {
        await check(t, place, `${command} ${JSON.stringify(payload)}`, () => call(place.client, payload), about(op, wire(payload), 'other'), 2)
      }
    }
    t.pass()
  })

  t.test(`${name}: Buffers that lie, as key and as value`, async (t) => {
    const place = await scene(speaker, {})
    for (const length of [100, 10_000]) {
      for (const [what, buffer, text] of liars(length)) {
        const meant = (request: Request): boolean => request.op === 'store' && request.key === 'k' && request.item.value.toString('latin1') === text
        for (const [command, call] of Object.entries({
          set: () => place.client.set('k', buffer), append: () => place.client.append('k', buffer as Buffer), setMulti: () => place.client.setMulti([['k', buffer]]), cas: () => place.client.cas('k', buffer, { cas: 1n }),
        })) {
          await check(t, place, `${what} of ${length} as a value of ${command}`, call, meant)
        }
        await check(t, place, `${what} of ${length} as a key`, () => place.client.get(buffer as Buffer), about('get', text, ''))
      }
    }
    t.pass()
  })

  t.test(`${name}: numbers, times, sections and whatever else is no key`, async (t) => {
    const place = await scene(speaker)
    const { client } = place
    type Position = readonly [string, Request['op'], (hostile: never) => Promise<unknown>]
    const positions: readonly Position[] = [
      ['a ttl of set', 'store', (ttl) => client.set('k', 'v', { ttl })], ['a ttl of touch', 'touch', (ttl) => client.touch('k', ttl)], ['a ttl of gat', 'get', (ttl) => client.gat('k', ttl)],
      ['a delta', 'count', (delta) => client.incr('k', delta)], ['an initial', 'count', (initial) => client.incr('k', 1n, { initial })], ['a cas id', 'store', (cas) => client.cas('k', 'v', { cas })],
      ['a section', 'stats', (section) => client.stats(section)], ['a delay', 'flush', (delay) => client.flushAll(delay)],
      ['minCompressLength', 'store', (minCompressLength) => client.set('k', 'v', { minCompressLength })],
      ...(name === 'text' || name === 'meta' ? [['a level', 'verbosity', (level: never) => client.verbosity(level)] as const] : []),
    ]
    const hostile: readonly (readonly [string, unknown])[] = [...HOSTILE.filter(([what]) => what !== 'undefined undefined'), ...PAYLOADS.map((payload) => [JSON.stringify(payload), payload] as const)].filter(([what]) => !what.includes('noreply')) // a word as any other behind stats
    for (const [what, op, call] of positions) {
      for (const [named, value] of hostile) await check(t, place, `${what}: ${named}`, () => call(value as never), (request) => request.op === op && (!('key' in request) || request.key === 'k'))
    }
    t.pass()
  })

  t.test(`${name}: values and flags`, async (t) => {
    const place = await scene(speaker)
    for (const value of [EVIL, `v\r\n${EVIL}`, 'END\r\n', '\r\n', 'x\u2028\r\n'.repeat(1000), 'v'.repeat(2047) + EVIL, { [EVIL]: EVIL }, [EVIL]]) {
      await check(t, place, 'a value', () => place.client.set('k', value), (request) => request.op === 'store' && request.key === 'k')
    }
    for (const flag of ['0 0 5\r\nflush_all', NaN, -1, 2 ** 32, 1.5, null, { valueOf: () => 1 }, 5n]) {
      const format: Format = { name: 'mine', compressors: [], encode: () => ({ value: Buffer.from('v'), flags: flag as number }), decode: () => undefined }
      const own = await scene(speaker, { serializer: format })
      t.notOk(await check(t, own, `flags ${String(flag)}`, () => own.client.set('k', {}), () => false))
    }
    let flag: unknown = 256
    const late: Serializer = { get flag() { return flag as number }, serialize: () => Buffer.from('v'), deserialize: () => undefined }
    const changing = await scene(speaker, { serializer: late })
    flag = `0 0 1\r\nv\r\n${EVIL}`
    t.notOk(await check(t, changing, 'a flag that has changed', () => changing.client.set('k', {}), () => false))
    for (const value of [EVIL, { length: 1 }, [1], new Uint16Array(3), new DataView(new ArrayBuffer(1)), new Proxy(Buffer.from(EVIL), {}), null, 5]) {
      const serializer: Serializer = { flag: 256, serialize: () => value as Buffer, deserialize: () => undefined }
      const own = await scene(speaker, { serializer })
      t.notOk(await check(t, own, 'bytes that are none', () => own.client.set('k', {}), () => false))
    }
  })

  t.test(`${name}: requests that a layer has changed`, async (t) => {
    let change: (request: Request) => unknown = (request) => request
    const layer: Middleware = (next) => (request, call) => next((request.op === 'version' ? request : change(request as Request)) as typeof request, call)
    const place = await scene(speaker, { layers: [layer] })
    const { client } = place
    for (const payload of [...PAYLOADS, 5, null, Symbol('k'), ['k'], Buffer.from('k')]) {
      change = (request) => ('keys' in request ? { ...request, keys: [payload] } : { ...request, key: payload })
      for (const [command, [op, call]] of Object.entries(KEYED)) {
        await check(t, place, `a layer makes ${String(payload)} the key of ${command}`, () => call(client, 'k'), about(op, String(payload), ''), 2)
      }
    }
    const wrong: readonly (readonly [string, (item: object) => object])[] = ['0\r\nflush_all\r\n', NaN, -5, 2 ** 32, null, { toString: () => EVIL }, 1.5].flatMap((value) => [
      ['flags', (item) => ({ item: { ...item, flags: value } })], ['expires', () => ({ expires: value })], ['delta', () => ({ delta: value })], ['touch', () => ({ touch: value })],
      ['section', () => ({ section: value })], ['delay', () => ({ delay: value })], ['mode', () => ({ mode: value })], ['value', (item) => ({ item: { ...item, value } })],
    ])
    const calls = { set: () => client.set('k', 'v'), touch: () => client.touch('k', 5), incr: () => client.incr('k'), gat: () => client.gat('k', 5), stats: () => client.stats('items'), flushAll: () => client.flushAll(5) }
    for (const [field, changed] of wrong) {
      const has = (request: Request): boolean => field in request || ('item' in request && field in request.item)
      change = (request) => (has(request) ? { ...request, ...changed('item' in request ? request.item : {}) } : request)
      for (const [command, call] of Object.entries(calls)) await check(t, place, `a layer changes ${field} of ${command}`, call, (request) => !('key' in request) || request.key === 'k')
    }
    change = (request) => ('key' in request ? { ...request, key: `tenant:${request.key}` } : request)
    t.ok(await check(t, place, 'what is right is sent', () => client.get('k'), about('get', 'tenant:k', '')))
    change = (request) => ({ ...request, key: 'a b' })
    t.type((await outcome(client.get('k'))).error, MemcacheKeyError)
    change = (request) => ({ ...request, item: { value: 'v', flags: 0 } })
    t.type((await outcome(client.set('k', 'v'))).error, MemcacheValueError)
  })

  t.test(`${name}: names of prototypes are names`, async (t) => {
    const place = await scene(speaker)
    const { client } = place
    const names = ['__proto__', 'constructor', 'hasOwnProperty', 'toString', 'valueOf', 'length']
    const found = await client.getMulti(names)
    t.strictSame([...found], names.map((each) => [each, `of ${each}`]))
    const own = JSON.parse(`{${names.map((each) => `"${each}": "v"`).join()}}`) as { [key: string]: string }
    t.strictSame([...(await client.setMulti(own)).keys()].sort(), [...names].sort(), 'of an object')
    t.strictSame([...(await client.setMulti(new Map(names.map((each) => [each, 'v'])))).keys()], names, 'of a Map')
    t.strictSame([...(await client.deleteMulti(names)).keys()], names)
    for (const each of names) t.equal(await client.get(each), `of ${each}`)
    t.equal(({} as { polluted?: unknown }).polluted, undefined)
    t.strictSame(Object.keys(Object.prototype), [])
  })

  t.test(`${name}: what is written to Object.prototype is no option`, async (t) => {
    const place = await scene(speaker)
    const { client } = place
    const polluting: { readonly [name: string]: unknown } = {
      timeout: 1, signal: AbortSignal.abort(), ttl: 60, initial: 5, minCompressLength: 1, keyPrefix: 'evil:', host: 'evil.invalid', port: 1, path: '/evil', layers: [() => () => Promise.reject(new Error('evil'))],
      driver: () => { throw new Error('evil') }, errorAsMiss: true, unref: true, blockFor: 5, username: 'evil', tls: true,
    }
    const pollution = Object.prototype as { [name: string]: unknown }
    const used: string[] = []
    for (const [option, value] of Object.entries(polluting)) {
      pollution[option] = value
      try {
        const made = resolveOptions(undefined, { port: 5 })
        if (endpointOf(made, { onConnect() {}, onDisconnect() {} }).name !== '127.0.0.1:5' || made.layers.length > 0 || made.errorAsMiss || made.unref) used.push(option)
        const { value: stored, error } = await outcome(client.set('k', 'v', { timeout: undefined }))
        const plainly = await outcome(client.get('k'))
        const [request] = await place.arrived()
        const refused = error instanceof MemcacheValueError && error.message.includes(`"${option}"`)
        if (!refused && (stored !== true || request?.op !== 'store' || request.expires !== 0)) used.push(option)
        if (plainly.value !== 'of k') used.push(`${option}, without options`)
      } finally {
        delete pollution[option]
      }
    }
    t.strictSame(used, [])
  })
}

t.test('text: names of queues, and what is said about them', async (t) => {
  const place = await scene(SPEAKERS.find(({ name }) => name === 'text')!)
  const { client } = place
  for (const payload of [...PAYLOADS, 'jobs/open', 'jobs/abort', '/']) {
    for (const [what, call] of Object.entries({
      put: () => client.queue(payload, { codec: 'string' }).put('v'), get: () => client.queue(payload).get(), flush: () => client.queue(payload).flush(), delete: () => client.queue(payload).delete(),
    })) {
      await check(t, place, `${what} ${JSON.stringify(payload)}`, async () => call(), (request) => 'key' in request && request.key === wire(payload))
    }
  }
  const jobs = client.queue('jobs', { codec: 'string' })
  for (const [what, value] of HOSTILE.filter(([named]) => !/^undefined/.test(named))) {
    await check(t, place, `blockFor ${what}`, async () => jobs.get({ blockFor: value as number, timeout: 5000 }), ({ op }) => op === 'get').catch(() => {})
    await check(t, place, `a value ${what}`, () => jobs.put(value as string), (request) => request.op === 'store' && request.key === 'jobs')
    await check(t, place, `a ttl ${what}`, () => jobs.put('v', { ttl: value as number }), (request) => request.op === 'store' && request.key === 'jobs')
  }
})

/** A server that asks for credentials, and lets everybody in who says some: it answers two requests, and then what `echoed` does. */
function asking(dialect: Dialect): (peer: Peer) => Promise<void> {
  return async (peer) => {
    for (let count = 0; count < 2; count += 1) {
      const request = await peer.request()
      const [{ opcode = 0, opaque = 0 } = {}] = (dialect.name === 'binary' && packetsIn(request)) || []
      if (dialect.name === 'binary') peer.send(packet({ opcode, opaque, value: opcode === 0x20 ? 'PLAIN' : 'Authenticated' }))
      else peer.send(request === 'version\r\n' ? 'CLIENT_ERROR unauthenticated\r\n' : 'STORED\r\n')
    }
    await speaking(dialect, echoed)(peer)
  }
}

/** All that one authentication is on the wire. */
function authentication({ name }: Dialect, username: string, password: string): string {
  const request = (opcode: number, key: string, value: string): string => packet({ magic: REQUEST, opcode, key, value: Buffer.from(value).toString('latin1') })
  if (name === 'binary') return request(0x20, '', '') + request(0x21, 'PLAIN', `\0${username}\0${password}`)
  const words = Buffer.from(`${username} ${password}`).toString('latin1')
  return `version\r\nset auth 0 0 ${words.length}\r\n${words}\r\n`
}

t.test('credentials: one authentication and nothing else, or refused, and never repeated', async (t) => {
  for (const { name, driver, dialect, read } of SPEAKERS) {
    const unsaid = dialect.name === 'binary' ? /[\0\r\n]|\p{Surrogate}/u : /[\0\r\n ]|\p{Surrogate}/u
    let sent = 0
    for (const option of ['username', 'password']) {
      for (const payload of [...PAYLOADS, EVIL.repeat(1000), 'x'.repeat(100_000)]) {
        const what = `${name}: ${option} ${JSON.stringify(payload.slice(0, 20)).replace(/[^ -~]/g, '?')}`
        const server = await opened.scripted(asking(dialect))
        const said = { username: 'user', password: 'secret', [option]: payload }
        const make = (): Client => opened.client(server, { driver, ...said })
        if (unsaid.test(payload)) {
          const error = t.throws(make, MemcacheValueError, `${what}: refused`) as Error
          for (const hidden of [payload, 'secret']) if (inspect(error).includes(hidden) && hidden.trim().length > 1) t.fail(`${what}: repeated`, { error })
          continue
        }
        const client = make()
        t.equal(await client.get('k'), 'of k', `${what}: it is let in`)
        const expected = authentication(dialect, said.username, said.password)
        const { received } = server
        t.ok(received.startsWith(expected), `${what}: authenticated`)
        t.match(read(received.slice(expected.length))?.filter(({ op }) => op !== 'version'), [{ op: 'get', key: 'k' }], `${what}: and nothing else`)
        await client.close()
        sent += 1
      }
    }
    t.ok(sent > 20, `${name}: ${sent} were good ones`)
  }
})

t.test('names of hosts and sockets, and URLs', async (t) => {
  for (const payload of [EVIL, 'x\n', 'x\r', 'x\0', '\x1b[31m', 'x\x7f']) {
    t.throws(() => new Client({ host: payload }), MemcacheValueError)
    t.throws(() => new Client({ path: payload }), MemcacheValueError)
    t.throws(() => new Client(`unix:/${payload}`), MemcacheValueError)
  }
  for (const url of ['memcached://a b', 'memcached://a\0b', `memcached://h:11211/${encodeURIComponent(EVIL)}`, 'memcached://h/?x=\r\n']) {
    t.throws(() => new Client(url), MemcacheValueError, url)
  }
})

t.test('nothing was left unhandled, nothing was warned of', async (t) => t.same(unexpected, []))
