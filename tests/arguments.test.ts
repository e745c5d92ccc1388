import { Buffer } from 'node:buffer'
import { connect, createServer, type Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { Client } from '../lib/client.ts'
import type { CountOptions, StoreOptions } from '../lib/call-options.ts'
import { MemcacheError, MemcacheKeyError, MemcacheTimeoutError, MemcacheValueError } from '../lib/errors.ts'
import type { KeyLike } from '../lib/key.ts'
import type { ClientOptions } from '../lib/options.ts'
import { startServer } from '../lib/testing/index.ts'
import { rejection } from '../lib/testing/contract/rejection.ts'
import { circular, HOSTILE, throwing } from './support/hostile-arguments.ts'
import { listening } from './support/servers.ts'

/** What callers may pass, and what they had better not: whatever it is, it never becomes a command. */

/** A client on an embedded server, with everything that it sends recorded on the way. */
async function scene(t: Test, options: ClientOptions = {}): Promise<{ client: Client; sent: () => string }> {
  const server = await startServer()
  let bytes = ''
  const sockets: Socket[] = []
  const proxy = createServer((near) => {
    const far = connect(server.port, server.host)
    sockets.push(near, far)
    near.setEncoding('latin1').on('data', (text: string) => {
      bytes += text
      far.write(text, 'latin1')
    })
    far.pipe(near)
    for (const socket of [near, far]) socket.on('error', () => {}).on('close', () => (near.destroy(), far.destroy()))
  })
  const client = new Client({ host: '127.0.0.1', port: await listening(proxy, 0), ...options })
  t.teardown(async () => {
    await client.close()
    for (const socket of sockets) socket.destroy()
    proxy.close()
    await server.close()
  })
  /** What was sent since the last time. A reply to the command that is sent here comes behind those to all before. */
  const sent = (): string => {
    const all = bytes
    bytes = ''
    return all
  }
  return { client, sent }
}

const KEY = '[^\\x00-\\x20\\x7f]+'
/** The line of a request, whose parts are what they have to be and nothing more. */
const REQUEST = new RegExp(
  [
    `gets? ${KEY}(?: ${KEY})*`, `gats? -?\\d+ ${KEY}`, `touch ${KEY} -?\\d+`, `delete ${KEY}`, `(?:incr|decr) ${KEY} \\d+`, 'flush_all(?: \\d+)?', `stats(?: ${KEY})*`, 'version',
    'verbosity \\d+', `(?:set|add|replace|append|prepend) ${KEY} \\d+ -?\\d+ \\d+`, `cas ${KEY} \\d+ -?\\d+ \\d+ \\d+`,
  ].map((line) => `^${line}$`).join('|'),
)

/** The requests in these bytes, storage commands with their data. Anything that is none throws. */
function requestsIn(bytes: string): string[] {
  const requests: string[] = []
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf('\r\n', start)
    const line = bytes.slice(start, end)
    if (end === -1 || !REQUEST.test(line)) throw new Error(`this is no request: ${JSON.stringify(bytes.slice(start, start + 100))}`)
    let next = end + 2
    if (/^(?:set|add|replace|append|prepend|cas) /.test(line)) {
      next += Number(line.split(' ')[4]) + 2
      if (bytes.slice(next - 2, next) !== '\r\n') throw new Error(`the data has another length: ${JSON.stringify(line)}`)
    }
    requests.push(bytes.slice(start, next))
    start = next
  }
  return requests
}

type Hostile = never

/** Runs one call for each hostile argument: it is refused before a byte is sent, or what is sent is one request that is well formed. */
async function attack(t: Test, what: string, call: (client: Client, hostile: Hostile) => Promise<unknown>, refusal: abstract new (...args: never[]) => MemcacheError, options: { own?: readonly (readonly [string, unknown])[] } = {}): Promise<string[]> {
  const { client, sent } = await scene(t)
  await client.set('k', 5)
  sent()
  const accepted: string[] = []
  const wrong: string[] = []
  for (const [name, hostile] of [...HOSTILE, ...(options.own ?? [])]) {
    let promise: Promise<unknown>
    try {
      promise = call(client, hostile as Hostile)
    } catch (error) {
      wrong.push(`${name}: thrown, not rejected: ${String(error)}`)
      continue
    }
    const outcome = await promise.then((value) => ({ value }), (error: unknown) => ({ error }))
    if (!client.isConnected()) wrong.push(`${name}: the connection has ended`)
    await client.version()
    let requests: string[] = []
    try {
      requests = requestsIn(sent()).filter((request) => request !== 'version\r\n')
    } catch (error) {
      wrong.push(`${name}: ${String(error)}`)
    }
    if ('value' in outcome) accepted.push(name)
    else if ((outcome.error as MemcacheError | undefined)?.message === 'generator') continue // the caller's own error, as it is
    else if (!(outcome.error instanceof refusal)) {
      const { error } = outcome
      // What the server refuses for reasons of its own was well formed, and a timeout that is short may pass.
      const answered = error instanceof MemcacheError && error.code === 'ERR_MEMCACHE_CLIENT' && requests.length > 0
      const late = what === 'timeout' && error instanceof MemcacheTimeoutError
      if (!answered && !late) wrong.push(`${name}: rejected with ${(error as Error)?.name ?? 'nothing'}: ${String((error as Error)?.message).slice(0, 80)}`)
    } else if (requests.length > 0 && (outcome.error as MemcacheError).sent === false) wrong.push(`${name}: refused, but ${requests.join().slice(0, 60)} was sent`)
    else if (typeof (outcome.error as MemcacheError).command !== 'string') wrong.push(`${name}: the error has no command`)
  }
  t.strictSame(wrong, [], what)
  return accepted
}

const KEYS: { readonly [command: string]: (client: Client, key: KeyLike) => Promise<unknown> } = {
  get: (client, key) => client.get(key),
  getMulti: (client, key) => client.getMulti(['k', key]),
  gets: (client, key) => client.gets(key),
  getsMulti: (client, key) => client.getsMulti([key]),
  gat: (client, key) => client.gat(key, 60),
  gats: (client, key) => client.gats(key, 60),
  touch: (client, key) => client.touch(key, 60),
  set: (client, key) => client.set(key, 'v'),
  add: (client, key) => client.add(key, 'v'),
  replace: (client, key) => client.replace(key, 'v'),
  append: (client, key) => client.append(key, 'v'),
  prepend: (client, key) => client.prepend(key, 'v'),
  cas: (client, key) => client.cas(key, 'v', { cas: 1n }),
  setMulti: (client, key) => client.setMulti([['k', 1], [key, 'v']]),
  delete: (client, key) => client.delete(key),
  deleteMulti: (client, key) => client.deleteMulti(['k', key]),
  incr: (client, key) => client.incr(key, 1, { initial: 1 }),
  decr: (client, key) => client.decr(key),
}

/** By name, the hostile arguments that are keys after all. */
const GOOD_KEYS = HOSTILE.filter(([name, value]) => (typeof value === 'string' && value !== '' && Buffer.byteLength(value) <= 250 && value.isWellFormed() && !/[\x00-\x20\x7f]/.test(value)) || name === 'a Buffer' || name === 'a Buffer of bytes').map(([name]) => name)

void t.test('keys', async (t) => {
  t.ok(GOOD_KEYS.length > 12)
  for (const [command, call] of Object.entries(KEYS)) {
    void t.test(command, async (t) => {
      const accepted = await attack(t, `a key of ${command}`, call, MemcacheKeyError)
      t.strictSame(accepted, GOOD_KEYS)
    })
  }

  void t.test('a key that is accepted is sent byte for byte, and is a key of its own', async (t) => {
    const { client, sent } = await scene(t)
    const good = HOSTILE.filter(([name]) => GOOD_KEYS.includes(name)).map(([, key]) => key as KeyLike)
    for (const [index, key] of good.entries()) await client.set(key, index)
    sent()
    for (const [index, key] of good.entries()) {
      t.equal(await client.get(key), key.toString() === 'ok' ? good.findLastIndex((each) => each.toString() === 'ok') : index)
      t.equal(sent(), `get ${Buffer.from(key as string).toString('latin1')}\r\n`)
      t.equal(client.checkKey(key), Buffer.from(key as string).toString('latin1'))
    }
  })

  void t.test('checkKey throws what a command rejects with', async (t) => {
    const { client, sent } = await scene(t, { keyPrefix: 'p:' })
    for (const [name, key] of HOSTILE) {
      if (GOOD_KEYS.includes(name)) continue
      t.throws(() => client.checkKey(key as string), { name: 'MemcacheKeyError', code: 'ERR_MEMCACHE_KEY', sent: false }, name)
    }
    t.throws(() => client.checkKey('k'.repeat(249)), MemcacheKeyError, 'with its prefix')
    t.equal(client.checkKey('é'), 'p:Ã©')
    t.equal(sent(), '')
  })

  void t.test('any string and any bytes are a key or a MemcacheKeyError', async (t) => {
    const { client } = await scene(t)
    const key = fc.oneof(fc.string({ unit: 'binary', maxLength: 8 }), fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)), maxLength: 4 }), fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes)))
    let number = 0
    await fc.assert(fc.asyncProperty(key, async (key) => {
      number += 1
      try {
        await client.set(key, number)
      } catch (error) {
        return error instanceof MemcacheKeyError
      }
      return (await client.get(key)) === number
    }), { numRuns: 500 })
    t.equal(await client.version(), '1.6.18')
  })
})

void t.test('values', async (t) => {
  const stores: { readonly [command: string]: (client: Client, value: unknown) => Promise<unknown> } = {
    set: async (client, value) => {
      const stored = await client.set('k', value)
      const read = await client.get('k')
      const exact = Buffer.isBuffer(value) ? value.equals(read as Buffer) : typeof value === 'object' ? JSON.stringify(read) === JSON.stringify(value) : Object.is(read, value)
      if (!exact) throw new Error(`read back as ${String(read)}`)
      return stored
    },
    add: (client, value) => client.add('new', value),
    replace: (client, value) => client.replace('k', value),
    append: (client, value) => client.append('k', value as string),
    prepend: (client, value) => client.prepend('k', value as string),
    cas: (client, value) => client.cas('k', value, { cas: 1n }),
    setMulti: (client, value) => client.setMulti([['one', 1], ['two', value]]),
  }
  for (const [command, call] of Object.entries(stores)) void t.test(command, async (t) => void (await attack(t, `a value of ${command}`, call, MemcacheValueError)))

  void t.test('nothing of a setMulti is sent when one of its values cannot be', async (t) => {
    const { client, sent } = await scene(t)
    for (const bad of [undefined, NaN, new Date(0), Buffer.alloc(1_000_001)]) {
      t.match(await rejection(client.setMulti([['a', 1], ['b', bad], ['c', 2]])), { name: 'MemcacheValueError', command: 'setMulti', sent: false })
    }
    t.match(await rejection(client.setMulti([['a', 1], ['b b', 1]])), { name: 'MemcacheKeyError', command: 'setMulti', sent: false })
    t.match(await rejection(client.deleteMulti(['a', 'b b'])), { name: 'MemcacheKeyError', command: 'deleteMulti', sent: false })
    t.match(await rejection(client.getMulti(['a', ''])), { name: 'MemcacheKeyError', command: 'getMulti', sent: false })
    await client.version()
    t.equal(sent(), 'version\r\n')
  })
})

void t.test('times to live', async (t) => {
  const positions: { readonly [what: string]: (client: Client, ttl: Hostile) => Promise<unknown> } = {
    gat: (client, ttl) => client.gat('k', ttl),
    gats: (client, ttl) => client.gats('k', ttl),
    touch: (client, ttl) => client.touch('k', ttl),
    set: (client, ttl) => client.set('k', 5, { ttl }),
    cas: (client, ttl) => client.cas('k', 5, { ttl, cas: 1n }),
    append: (client, ttl) => client.append('k', '1', { ttl }),
    setMulti: (client, ttl) => client.setMulti({ k: 5 }, { ttl }),
    incr: (client, ttl) => client.incr('k', 1, { ttl, initial: 5 }),
  }
  const good = ['number 0', 'number 0', 'number 5', 'number -1', 'number -9007199254740992', 'a Date']
  for (const [command, call] of Object.entries(positions)) {
    void t.test(command, async (t) => {
      const accepted = await attack(t, `a ttl of ${command}`, call, MemcacheValueError)
      const optional = ['gat', 'gats', 'touch'].includes(command) ? [] : ['undefined undefined']
      t.strictSame(accepted.sort(), [...good, ...optional].sort())
    })
  }
})

void t.test('numbers', async (t) => {
  const numbers = ['number 5', 'number 2147483648', 'number 0', 'number 0', 'number -1', 'bigint 5', 'bigint -1']
  const positions: readonly (readonly [string, (client: Client, value: Hostile) => Promise<unknown>, readonly string[]])[] = [
    ['the delta of incr', (client, delta) => client.incr('k', delta), [...numbers, 'undefined undefined']],
    ['the delta of decr', (client, delta) => client.decr('k', delta), [...numbers, 'undefined undefined']],
    ['initial', (client, initial) => client.incr('k', 1n, { initial }), ['number 5', 'number 2147483648', 'number 0', 'number 0', 'bigint 5', 'undefined undefined']],
    ['a cas id', (client, cas) => client.cas('k', 1, { cas }), ['bigint 5']],
    ['the delay of flushAll', (client, delay) => client.flushAll(delay), ['number 5', 'number 0', 'number 0', 'undefined undefined']],
    ['the level of verbosity', (client, level) => client.verbosity(level), ['number 5', 'number 0', 'number 0']],
    ['minCompressLength', (client, minCompressLength) => client.set('k', 5, { minCompressLength }), ['number 5', 'number 0', 'number 0', 'number 2147483648', 'number 9007199254740992', 'number 1e+21', 'undefined undefined']],
    ['timeout', (client, timeout) => client.version({ timeout }), ['number 5', 'undefined undefined']],
    ['a section of stats', (client, section) => client.stats(section), ['""', 'undefined undefined']],
  ]
  for (const [what, call, good] of positions) {
    void t.test(what, async (t) => {
      const accepted = await attack(t, what, call, MemcacheValueError)
      // A fraction of a millisecond is a time, if a short one; 5 ms may be too short for a busy machine.
      const known = accepted.filter((name) => !(what === 'timeout' && name === 'number 0.5'))
      t.strictSame(known.filter((name) => !good.includes(name)), [], 'nothing else is accepted')
      if (what !== 'timeout') t.strictSame([...new Set(known)].sort(), [...new Set(good)].sort())
    })
  }

  void t.test('-0 is 0', async (t) => {
    const { client, sent } = await scene(t)
    await Promise.all([client.set('k', 5, { ttl: -0 }), client.touch('k', -0), client.incr('k', -0), client.flushAll(-0), client.verbosity(-0)])
    t.equal(sent(), 'set k 2 0 1\r\n5\r\ntouch k 0\r\nincr k 0\r\nflush_all\r\nverbosity 0\r\n')
  })
})

void t.test('options of calls', async (t) => {
  const positions: { readonly [what: string]: (client: Client, hostile: Hostile) => Promise<unknown> } = {
    'options of get': (client, options) => client.get('k', options),
    'options of getMulti': (client, options) => client.getMulti(['k'], options),
    'options of set': (client, options) => client.set('k', 5, options),
    'options of setMulti': (client, options) => client.setMulti({ k: 5 }, options),
    'options of incr': (client, options) => client.incr('k', 1n, options),
    'options of version': (client, options) => client.version(options),
    'a signal': (client, signal) => client.get('k', { signal }),
  }
  const own = [['an EventTarget', new EventTarget()], ['half a signal', { addEventListener() {} }], ['an object with aborted', { aborted: false }], ['an unknown name', { ttl: 5, expires: 60 }], ['CRLF as a name', { 'a\r\nb': 1 }]] as const
  for (const [what, call] of Object.entries(positions)) void t.test(what, async (t) => void (await attack(t, what, call, MemcacheValueError, { own })))

  void t.test('a name that the command does not know is refused, and named', async (t) => {
    const { client, sent } = await scene(t)
    const wrong: readonly (readonly [string, Promise<unknown>])[] = [
      ['expires', client.set('k', 1, { expires: 60 } as StoreOptions)], ['TTL', client.add('k', 1, { TTL: 60 } as StoreOptions)], ['cas', client.set('k', 1, { cas: 1n } as StoreOptions)],
      ['ttl', client.get('k', { ttl: 60 } as object)], ['initial', client.set('k', 1, { initial: 1 } as StoreOptions)], ['delta', client.incr('k', 1, { delta: 1 } as CountOptions)],
      ['minCompressLength', client.incr('k', 1, { minCompressLength: 1 } as CountOptions)], ['ttl', client.touch('k', 1, { ttl: 60 } as object)], ['keyPrefix', client.getMulti(['k'], { keyPrefix: 'x' } as object)],
      ['__proto__x', client.get('k', { __proto__x: 1 } as object)], ['toString', client.get('k', { toString: 1 } as object)],
    ]
    for (const [name, call] of wrong) {
      const error = await rejection(call)
      t.ok(error instanceof MemcacheValueError && error.message.includes(`"${name}"`), error.message)
    }
    for (const timeout of [0, -1, NaN, Infinity, 2 ** 31, '5', null, 5n]) t.match(await rejection(client.get('k', { timeout: timeout as number })), { name: 'MemcacheValueError', message: /timeout/ }, String(timeout))
    t.equal(sent(), '')
    t.equal(await client.get('k', { timeout: 2 ** 31 - 1, signal: undefined }), undefined)
    t.equal(await client.get('k', {}), undefined)
  })
})

void t.test('lists', async (t) => {
  const known = (error: unknown): boolean => error instanceof MemcacheKeyError || error instanceof MemcacheValueError
  class Refused extends MemcacheError {
    static override [Symbol.hasInstance](value: unknown): boolean {
      return known(value)
    }
  }
  // Whether it is a list of keys, if an odd one, does not matter.
  const empty = ['[]', 'no Buffer', 'new String']
  void t.test('getMulti', async (t) => t.strictSame((await attack(t, 'keys', (client, keys) => client.getMulti(keys), Refused)).filter((name) => !empty.includes(name)), ['["ok"]', '["ab"]']))
  void t.test('getsMulti', async (t) => t.strictSame((await attack(t, 'keys', (client, keys) => client.getsMulti(keys), Refused)).filter((name) => !empty.includes(name)), ['["ok"]', '["ab"]']))
  void t.test('deleteMulti', async (t) => t.strictSame((await attack(t, 'keys', (client, keys) => client.deleteMulti(keys), Refused)).filter((name) => !empty.includes(name)), ['["ok"]', '["ab"]']))
  void t.test('setMulti', async (t) => {
    const accepted = await attack(t, 'entries', (client, entries) => client.setMulti(entries), Refused)
    t.strictSame(accepted.filter((name) => ['["ab"]', '[null]', '[5]', '["ok"]', '[[]]'].includes(name)), [], 'an entry is a pair')
    t.ok(accepted.includes('a Map') && accepted.includes('[[...]]') && accepted.includes('{}'))
  })
  void t.test('an entry of setMulti', async (t) => void (await attack(t, 'an entry', (client, entry) => client.setMulti([entry]), Refused)))

  void t.test('two keys of one name are refused, as the result could not tell them apart', async (t) => {
    const { client } = await scene(t)
    const [text, bytes] = ['ÿ', Buffer.from([0xff])]
    await client.set(text, 1)
    await client.set(bytes, 2)
    t.strictSame([await client.get(text), await client.get(bytes)], [1, 2])
    t.match(await rejection(client.getMulti([text, bytes])), { name: 'MemcacheKeyError', sent: false })
    t.match(await rejection(client.deleteMulti([bytes, text])), { name: 'MemcacheKeyError' })
    t.match(await rejection(client.setMulti([[bytes, 1], [text, 1]])), { name: 'MemcacheKeyError' })
  })
})

void t.test('a Buffer or a Date whose methods lie is what it is', async (t) => {
  const { client, sent } = await scene(t)
  const buffer = Object.assign(Buffer.from('ok'), { toString: () => 'a\u010d\u010aflush_all\u010d\u010a', copy: () => 5 })
  const date = Object.assign(new Date(), { getTime: () => '0 1\r\nflush_all\r\n', valueOf: () => 1 })
  await client.set('kept', 'x')
  const calls = { get: () => client.get(buffer), set: () => client.set(buffer, 'v'), value: () => client.set('k', buffer), append: () => client.append('kept', buffer), ttl: () => client.set('k', 1, { ttl: date as unknown as Date }), gat: () => client.gat('kept', date as unknown as Date) }
  for (const [what, call] of Object.entries(calls)) {
    await client.set('kept', 'x')
    sent()
    const outcome = await call().catch((error: unknown) => error)
    if (outcome instanceof Error) t.match(outcome, { name: /^Memcache(Key|Value)Error$/ }, what)
    await client.get('kept')
    t.doesNotThrow(() => requestsIn(sent()), what)
    t.equal(client.isConnected(), true)
  }
})

void t.test('what looks like a Buffer and is none, and a key that is missing, are named', async (t) => {
  const { client, sent } = await scene(t)
  for (const { name } of [Uint16Array, Float64Array, Int8Array, Uint8ClampedArray, DataView]) {
    const view = name === 'DataView' ? new DataView(new ArrayBuffer(8)) : new (Reflect.get(globalThis, name) as new (size: number) => object)(8)
    const like = Object.setPrototypeOf(view, Buffer.prototype) as Buffer
    const calls = [client.set('k', like), client.append('k', like), client.setMulti([['k', like]])]
    for (const call of calls) t.match(await call.catch((error: unknown) => error), { name: 'MemcacheValueError', sent: false }, name)
  }
  for (const call of [client.get(undefined as never), client.set(undefined as never, 'v'), client.delete(undefined as never)]) {
    t.match(await call.catch((error: unknown) => error), { name: 'MemcacheKeyError', message: /not a undefined/ })
  }
  t.equal(sent(), '')
})

void t.test('commands never throw, however they are called', async (t) => {
  const { client } = await scene(t)
  const names = ['get', 'getMulti', 'gets', 'getsMulti', 'gat', 'gats', 'touch', 'set', 'add', 'replace', 'append', 'prepend', 'cas', 'setMulti', 'delete', 'deleteMulti', 'incr', 'decr', 'flushAll', 'stats', 'version', 'verbosity'] as const
  const commands = client as unknown as { readonly [name: string]: (...args: readonly unknown[]) => Promise<unknown> }
  for (const name of names) {
    for (const args of [[], [undefined], [null, null, null], [Symbol('x'), Symbol('y'), Symbol('z')], ['a b', undefined, 5], [circular, circular, circular], [throwing, throwing, throwing]]) {
      const promise = commands[name]?.(...args)
      t.ok(promise instanceof Promise)
      const outcome = await promise?.catch((error: unknown) => error)
      if (outcome instanceof Error && !(outcome instanceof MemcacheError)) t.fail(`${name}: ${outcome.name}: ${outcome.message}`)
    }
  }
  await nextTurn()
  t.equal(await client.version(), '1.6.18')
})

void t.test('the constructor', async (t) => {
  const WRONG: { readonly [option: string]: readonly unknown[] } = {
    host: ['', 5, null, {}, 'a\0b', ['h']], port: [0, -1, 65536, 1.5, NaN, '11211', null, Infinity], path: ['', 5, null, 'a\0b'],
    connectTimeout: [0, -1, NaN, Infinity, '5', 2 ** 31, null], timeout: [0, -1, NaN, Infinity, '5', 2 ** 31, null],
    maxKeyLength: [0, -1, 1.5, '250', NaN, null], maxValueLength: [-1, 1.5, NaN, '5', Infinity, null], minCompressLength: [-1, 1.5, NaN, true, null],
    maxPending: [0, -1, 1.5, NaN, Infinity, null], maxPendingBytes: [0, -1, NaN, '5', null], disableNagle: [0, 'true', null], keepAlive: [1, null], unref: [1, 'true', null], cacheCas: ['yes', null], errorAsMiss: [1, null],
    driver: ['text', {}, null], serializer: ['json', () => {}, null, {}, { flag: 32 }], compressor: ['lz4', () => {}, null, {}, { flag: 8 }], layers: [{}, () => {}, 'x', null, ['x'], [null]],
  }
  for (const [option, values] of Object.entries(WRONG)) {
    for (const value of values) {
      t.throws(() => new Client({ [option]: value } as ClientOptions), { name: 'MemcacheValueError', code: 'ERR_MEMCACHE_VALUE', message: new RegExp(option) }, `${option}: ${String(value)}`)
      t.throws(() => new Client('memcached://localhost', { [option]: value } as ClientOptions), { name: 'MemcacheValueError' }, `${option}: ${String(value)}`)
    }
    t.doesNotThrow(() => new Client({ [option]: undefined } as ClientOptions), `${option} may be undefined`)
  }
  for (const prefix of ['a b', 'a\r\n', '\0', '\ud800', 'k'.repeat(250), 5, null]) t.throws(() => new Client({ keyPrefix: prefix as string }), { name: /^Memcache(Key|Value)Error$/ }, `keyPrefix: ${String(prefix)}`)
  t.throws(() => new Client({ keyPrefix: 'abc', maxKeyLength: 3 }), MemcacheKeyError)
  for (const option of ['servers', 'maxKeylength', '', 'toString', 'constructor', 'hasOwnProperty']) {
    t.throws(() => new Client({ [option]: 1 } as ClientOptions), { name: 'MemcacheValueError', message: new RegExp(`"${option}"`) }, `no option ${option}`)
  }
  t.throws(() => new Client(JSON.parse('{"__proto__": 1}') as ClientOptions), MemcacheValueError)
  for (const first of [null, 5, true, Symbol('s'), () => {}]) t.throws(() => new Client(first as ClientOptions), MemcacheValueError, String(first))
  t.throws(() => new Client('memcached://h', null as unknown as ClientOptions), MemcacheValueError)
  t.doesNotThrow(() => new Client())

  void t.test('flags of a serializer or compressor have to be flags', async (t) => {
    const serializer = { serialize: () => Buffer.alloc(0), deserialize: () => 0 }
    const compressor = { compress: (bytes: Buffer) => bytes, decompress: (bytes: Buffer) => bytes }
    for (const flag of [undefined, NaN, -1, 1.5, 2 ** 32, '1 0 0\r\nflush_all', '32', null, 5n]) {
      t.throws(() => new Client({ serializer: { ...serializer, flag: flag as number } }), { name: 'MemcacheValueError' }, `serializer: ${String(flag)}`)
      t.throws(() => new Client({ compressor: { ...compressor, flag: flag as number } }), { name: 'MemcacheValueError' }, `compressor: ${String(flag)}`)
    }
    for (const flag of [32, 256, 2 ** 31]) t.doesNotThrow(() => new Client({ serializer: { ...serializer, flag }, compressor: { ...compressor, flag: 2 ** 30 } }))
  })
})

void t.test('URLs', async (t) => {
  /** The name of a server as its errors have it. */
  const named = async (...args: [string, ClientOptions?]): Promise<string | undefined> => {
    const client = new Client(...args)
    await client.close()
    return (await rejection(client.get('k'))).server
  }
  const right: readonly (readonly [string, string])[] = [
    ['memcached://localhost', 'localhost:11211'], ['memcached://localhost/', 'localhost:11211'], ['memcached://10.0.0.1:22122', '10.0.0.1:22122'], ['memcached://[::1]:5', '[::1]:5'], ['memcached://[::1]', '[::1]:11211'],
    ['memcached://cache.example.org:1', 'cache.example.org:1'], ['unix:/run/memcached.sock', '/run/memcached.sock'], ['unix:///run/memcached.sock', '/run/memcached.sock'], ['unix:relative.sock', 'relative.sock'],
  ]
  for (const [url, name] of right) t.equal(await named(url), name, url)
  t.equal(await named('memcached://a:1', { port: 2 }), 'a:2', 'options win')
  t.equal(await named('memcached://a:1', { host: 'b', port: undefined }), 'b:1', 'an undefined one says nothing')
  t.equal(await named('memcached://a:1', { path: '/s' }), '/s')
  for (const url of ['', 'localhost', 'localhost:11211', 'http://localhost', 'memcached:', 'memcached://', 'memcached://:11211', 'memcached://h:0', 'memcached://h:65536', 'memcached://h:x', 'memcached://h/db', 'memcached://h?timeout=5', 'memcached://h#x', 'memcached://a b', 'unix:', 'unix:a\0b', 'MEMCACHED', 'redis://h']) {
    t.throws(() => new Client(url), { name: 'MemcacheValueError' }, JSON.stringify(url))
  }
  t.equal(await named('memcacheds://ada:secret@h:5'), 'h:5')
  t.equal(await named('unix://ada:secret@/run/s@1'), '/run/s@1')
  for (const url of [
    'memcached://ada@h', 'memcached://:secret@h', 'memcached://ada:secret@h:99999', 'memcached://ada:secret%00@h', 'memcached://ada:secret%@h', 'memcached://ada:secret%ff@h',
    'memcached://ada:secret@', 'memcached://ada:secret@h/db', 'ada:secret@h', 'unix://ada:secret@', 'unix://ada:sec/ret@/s', 'unix://ada:secret@h/s', 'unix://h/s',
  ]) {
    t.throws(() => new Client(url), { name: 'MemcacheValueError', message: /^(?!.*(?:ada|secret|ret@))/ }, url)
  }
})

void t.test('an object that is meant as something else is no options', async (t) => {
  for (const options of [new URL('memcached://h:5'), [], new Map(), new Date()]) t.throws(() => new Client(options as ClientOptions), { name: 'MemcacheValueError' })
  const { client } = await scene(t)
  for (const options of [new Date(), new Map(), []]) {
    t.match(await rejection(client.set('k', 1, options as StoreOptions)), { name: 'MemcacheValueError', command: 'set', sent: false })
  }
})

void t.test('an initial count that could not be given back is refused before it is stored', async (t) => {
  const { client, sent } = await scene(t)
  t.match(await rejection(client.incr('k', 1, { initial: 2n ** 53n })), { name: 'MemcacheValueError', sent: false })
  t.equal(sent(), '')
  t.equal(await client.incr('k', 1n, { initial: 2n ** 53n }), 2n ** 53n)
})
