import { Buffer } from 'node:buffer'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import type { Compressor } from '../../lib/compression.ts'
import { MemcacheError } from '../../lib/errors.ts'
import { intercept, type Middleware } from '../../lib/middleware.ts'
import type { Serializer } from '../../lib/serialization.ts'
import { freePort } from '../support/servers.ts'
import type { Command, Feature } from './contract.ts'
import { CALLS } from './contract.ts'
import { rejection } from './rejection.ts'

/** Dates and all that JSON has, by a serializer of the user's own. */
const dated: Serializer = {
  flag: 1024,
  serialize: (value) => Buffer.from(JSON.stringify(value, function (this: Record<string, unknown>, name, plain: unknown) {
    const raw = this[name]
    return raw instanceof Date ? { $date: raw.getTime() } : plain
  })),
  deserialize: (bytes) => JSON.parse(bytes.toString(), (_, value: { $date?: number } | null) => (typeof value?.$date === 'number' ? new Date(value.$date) : value)) as unknown,
}

const deflate: Compressor = {
  flag: 2048,
  compress: (bytes) => deflateRawSync(bytes),
  decompress: (bytes, maxOutputLength) => inflateRawSync(bytes, { maxOutputLength }),
}

/** What each command gives instead of a fault. */
const MISSES: { readonly [command in Command]: unknown } = {
  get: undefined, gets: undefined, gat: undefined, gats: undefined, getMulti: new Map(), getsMulti: new Map(),
  set: false, add: false, replace: false, append: false, prepend: false, cas: false, touch: false, delete: false,
  setMulti: new Map([['unsupported', false]]), deleteMulti: new Map([['unsupported', false]]),
  incr: undefined, decr: undefined, flushAll: false, stats: new Map(), version: '', verbosity: false,
}

/** Turns every bit of every value around, as an encryption would. */
function inverting(seen: string[], name: string): Middleware {
  const invert = (bytes: Buffer): Buffer => Buffer.from(bytes.map((byte) => byte ^ 0xff))
  return intercept({
    get: (request, next, call) => {
      seen.push(`${name} get ${request.key}`)
      return next(request, call).then((item) => item && { ...item, value: invert(item.value) })
    },
    store: (request, next, call) => {
      seen.push(`${name} ${request.mode} ${request.key} ${request.item.value.toString('latin1')} ${request.item.flags}`)
      return next({ ...request, item: { ...request.item, value: invert(request.item.value) } }, call)
    },
  })
}

/** What a client's options do to its commands. */
export function clientOptions(feature: Feature): void {
  feature('keyPrefix stands before every key sent, and before none returned', ['set', 'get', 'getMulti', 'getsMulti', 'setMulti', 'deleteMulti', 'incr', 'touch'], async (t, { client, make, key }) => {
    const [prefix, a, b] = [`${key('prefix-é')}/`, key('a'), key('b')]
    const prefixed = make({ keyPrefix: prefix })
    t.equal(await prefixed.set(a, 'A'), true)
    t.equal(await client.get(prefix + a), 'A')
    t.equal(await client.get(a), undefined)
    t.strictSame(await prefixed.setMulti({ [b]: 1 }), new Map([[b, true]]))
    t.equal(await prefixed.incr(b), 2)
    t.equal(await prefixed.touch(b, 60), true)
    t.strictSame([...(await prefixed.getMulti([b, a]))], [[b, 2], [a, 'A']])
    t.strictSame([...(await prefixed.getsMulti([a])).keys()], [a])
    t.strictSame(await prefixed.deleteMulti([a, b]), new Map([[a, true], [b, true]]))
    t.strictSame(await client.getMulti([prefix + a, prefix + b]), new Map())
  })

  feature('maxKeyLength is in bytes and counts the prefix', ['set', 'get'], async (t, { make }) => {
    const client = make({ maxKeyLength: 12, keyPrefix: 'é:' })
    t.equal(await client.set('123456789', 1), true)
    t.equal(await client.get('123456789'), 1)
    t.match(await rejection(client.set('1234567890', 1)), { name: 'MemcacheKeyError', command: 'set', sent: false })
    t.equal(await client.set('ü'.repeat(4), 1), true)
    t.match(await rejection(client.get('ü'.repeat(5))), { name: 'MemcacheKeyError' })
    t.match(await rejection(client.get(Buffer.alloc(10, 'x'))), { name: 'MemcacheKeyError' })
    const full = make({ keyPrefix: 'p'.repeat(249) })
    t.equal(await full.set('k', 1), true)
    t.match(await rejection(full.set('kk', 1)), { name: 'MemcacheKeyError' })
  })

  feature('cacheCas remembers the id of gets until it is reset', ['gets', 'gats', 'getsMulti', 'cas', 'set', 'get'], async (t, { make, key }) => {
    const client = make({ cacheCas: true })
    const k = key()
    t.match(await rejection(client.cas(k, 'v')), { name: 'MemcacheValueError', sent: false })
    await client.set(k, 1)
    t.match(await rejection(client.cas(k, 'v')), { name: 'MemcacheValueError' }, 'set has no id to remember')
    await client.get(k)
    t.match(await rejection(client.cas(k, 'v')), { name: 'MemcacheValueError' }, 'nor has get')
    await client.gets(k)
    t.equal(await client.cas(k, 2), true)
    t.equal(await client.cas(k, 3), false, 'the id stays, and is the old one')
    t.equal(await client.get(k), 2)
    await client.gets(Buffer.from(k))
    t.equal(await client.cas(k, 4), true, 'seen anew')
    client.resetCas()
    t.match(await rejection(client.cas(k, 5)), { name: 'MemcacheValueError' })
    await client.gats(k, 0)
    t.equal(await client.cas(k, 6), true, 'gats remembers')
    await client.getsMulti([k])
    t.equal(await client.cas(k, 7), true, 'getsMulti remembers')
    client.resetClient()
    t.match(await rejection(client.cas(k, 8)), { name: 'MemcacheValueError' })
    const version = await client.gets(k)
    await client.set(k, 9)
    t.equal(await client.cas(k, 10, { cas: (await make().gets(k))?.cas }), true, 'an id of one\'s own goes before')
    t.equal(await client.cas(k, 11, { cas: version?.cas }), false)
  })

  feature('errorAsMiss makes misses of the faults of a connection', ['get'], async (t, { make, supported }) => {
    const client = make({ errorAsMiss: true, host: '127.0.0.1', port: await freePort(), path: undefined })
    for (const command of supported) t.strictSame(await CALLS[command](client), MISSES[command], command)
    t.ok((await rejection(client.connect())) instanceof MemcacheError, 'connect() is no command')
  })

  feature('errorAsMiss makes misses of refusals, and none of bad arguments', ['set', 'get', 'incr', 'cas', 'getMulti', 'append'], async (t, { make, key }) => {
    const client = make({ errorAsMiss: true, maxValueLength: 4_000_000, timeout: 20_000 })
    const k = key()
    t.equal(await client.set(k, Buffer.alloc(3_000_000)), false)
    t.equal(await client.set(k, 'text'), true)
    t.equal(await client.incr(k), undefined)
    t.equal(await client.get(k), 'text')
    t.match(await rejection(client.get('a b')), { name: 'MemcacheKeyError' })
    t.match(await rejection(client.getMulti([''])), { name: 'MemcacheKeyError' })
    t.match(await rejection(client.set(k, undefined)), { name: 'MemcacheValueError' })
    t.match(await rejection(client.set(k, 1, { ttl: NaN })), { name: 'MemcacheValueError' })
    t.match(await rejection(client.incr(k, 0.5)), { name: 'MemcacheValueError' })
    t.match(await rejection(client.cas(k, 1)), { name: 'MemcacheValueError' })
    t.match(await rejection(client.append(k, {} as string)), { name: 'MemcacheValueError' })
    t.equal(await client.get(k), 'text')
  })

  feature('errorAsMiss leaves a setMulti of any size whole', ['setMulti'], async (t, { make, key }) => {
    const client = make({ errorAsMiss: true, maxPending: 10 })
    const base = key()
    const stored = await client.setMulti(Array.from({ length: 100 }, (_, index): [string, number] => [`${base}:${index}`, index]))
    t.equal([...stored.values()].filter((yes) => yes).length, 100)
  })

  feature('the user\'s layers see every command as bytes, the first outermost', ['set', 'get', 'add', 'append'], async (t, { client, make, key }) => {
    const seen: string[] = []
    const layered = make({ layers: [inverting(seen, 'outer'), inverting(seen, 'inner')], keyPrefix: 'é', minCompressLength: 100 })
    const k = key()
    t.equal(await layered.set(k, 7), true)
    t.equal(await layered.get(k), 7)
    t.strictSame(seen.splice(0), [`outer set Ã©${k} 7 2`, `inner set Ã©${k} \xc8 2`, `outer get Ã©${k}`, `inner get Ã©${k}`])
    t.equal(await client.get(`é${k}`), 7, 'twice around is as before')
    await layered.set(k, 'x'.repeat(1000))
    t.ok((seen[0] ?? '').length < 200 && seen[0]?.endsWith(' 8'), 'compressed')
  })

  feature('a layer can change what is stored, and what is read', ['set', 'get', 'getMulti'], async (t, { client, make, key }) => {
    const layered = make({ layers: [inverting([], 'one')] })
    const k = key()
    t.equal(await layered.set(k, Buffer.from([0, 1, 255])), true)
    t.strictSame(await client.get(k), Buffer.from([255, 254, 0]))
    t.strictSame(await layered.get(k), Buffer.from([0, 1, 255]))
    const refusing = make({ layers: [() => () => Promise.reject(new RangeError('the layer\'s own'))] })
    t.match(await rejection(refusing.get(k)), { name: 'RangeError', message: 'the layer\'s own' })
    t.strictSame(await layered.getMulti([k]), new Map([[k, Buffer.from([255, 254, 0])]]), 'it has no handler for many keys')
  })

  feature('a serializer of the user\'s own', ['set', 'get', 'getMulti', 'gets'], async (t, { client, make, key }) => {
    const own = make({ serializer: dated })
    const k = key()
    const value = { at: new Date(1_700_000_000_000), list: [new Date(0)] }
    t.equal(await own.set(k, value), true)
    t.strictSame(await own.get(k), value)
    t.strictSame(await own.getMulti([k]), new Map([[k, value]]))
    t.ok(Buffer.isBuffer(await client.get(k)), 'unknown flags are a Buffer to others')
    for (const plain of ['text', 5, 5n, Buffer.from('b')]) {
      await own.set(k, plain)
      t.strictSame(await client.get(k), plain, 'strings, integers and Buffers are not its business')
    }
  })

  feature('a serializer of the user\'s own, compressed', ['set', 'get', 'gets'], async (t, { make, key }) => {
    const k = key()
    const value = { at: new Date(0), text: 'la '.repeat(1000) }
    for (const compressor of [undefined, deflate]) {
      const own = make({ serializer: dated, compressor, minCompressLength: 1 })
      t.equal(await own.set(k, value), true)
      t.strictSame(await own.get(k), value)
      t.strictSame((await own.gets(k))?.value, value)
    }
  })

  feature('a compressor of the user\'s own', ['set', 'get', 'getMulti'], async (t, { client, make, key }) => {
    const own = make({ compressor: deflate, minCompressLength: 10 })
    const k = key()
    for (const value of ['la '.repeat(1000), { text: 'la '.repeat(1000) }, Buffer.alloc(5000), 10n ** 1000n]) {
      await own.set(k, value)
      t.strictSame(await own.get(k), value)
      t.ok(Buffer.isBuffer(await client.get(k)), 'flags that mean nothing here: its bytes')
      t.ok(((await client.get<Buffer>(k))?.length ?? 1e9) < 1000)
    }
  })
}
