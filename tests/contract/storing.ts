import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import type { Feature } from './contract.ts'
import { rejection } from './rejection.ts'

/** Everything that writes or removes items. */
export function storing(feature: Feature): void {
  feature('add stores where nothing is, replace where something is', ['add', 'replace', 'get', 'delete'], async (t, { client, key }) => {
    const k = key()
    t.equal(await client.replace(k, 'none'), false)
    t.equal(await client.get(k), undefined)
    t.equal(await client.add(k, 'first'), true)
    t.equal(await client.add(k, 'second'), false)
    t.equal(await client.get(k), 'first')
    t.equal(await client.replace(k, 'third'), true)
    t.equal(await client.get(k), 'third')
    await client.delete(k)
    t.equal(await client.replace(k, 'fourth'), false)
  })

  feature('append and prepend put bytes around what is there', ['append', 'prepend', 'get', 'set'], async (t, { client, key }) => {
    const [text, bytes, number] = [key('text'), key('bytes'), key('number')]
    t.equal(await client.append(text, 'x'), false)
    t.equal(await client.prepend(text, 'x'), false)
    t.equal(await client.get(text), undefined)
    await client.set(text, 'mitte')
    t.equal(await client.append(text, ' ende ✓'), true)
    t.equal(await client.prepend(text, Buffer.from('anfang ')), true)
    t.equal(await client.get(text), 'anfang mitte ende ✓')
    await client.set(bytes, Buffer.from([1]))
    t.equal(await client.append(bytes, Buffer.from([255])), true)
    t.strictSame(await client.get(bytes), Buffer.from([1, 255]), 'the flags stay')
    await client.set(number, 4)
    t.equal(await client.append(number, 2), true)
    t.equal(await client.prepend(number, 1n), true)
    t.equal(await client.get(number), 142)
    t.equal(await client.append(text, ''), true)
    t.equal(await client.get(text), 'anfang mitte ende ✓')
  })

  feature('append and prepend are not compressed, and take no objects', ['append', 'prepend', 'get', 'set'], async (t, { make, key }) => {
    const client = make({ minCompressLength: 1 })
    const k = key()
    const long = 'ab'.repeat(5000)
    await client.set(k, '.', { minCompressLength: 0 })
    t.equal(await client.append(k, long, { minCompressLength: 1 }), true)
    t.equal(await client.prepend(k, long), true)
    t.equal(await client.get(k), `${long}.${long}`)
    for (const value of [{}, [1], null, true, 1.5]) {
      t.match(await rejection(client.append(k, value as unknown as string)), { name: 'MemcacheValueError', command: 'append', sent: false })
      t.match(await rejection(client.prepend(k, value as unknown as string)), { name: 'MemcacheValueError', command: 'prepend', sent: false })
    }
  })

  feature('cas stores only over the version that it is given', ['cas', 'gets', 'set', 'get', 'delete'], async (t, { client, key }) => {
    const k = key()
    await client.set(k, 'one')
    const { cas } = (await client.gets(k)) ?? {}
    t.equal(await client.cas(k, 'two', { cas }), true)
    t.equal(await client.cas(k, 'three', { cas }), false, 'the version has changed')
    t.equal(await client.get(k), 'two')
    const later = await client.gets(k)
    t.equal(await client.cas(k, { four: 4 }, { cas: later?.cas, ttl: 60 }), true)
    t.strictSame(await client.get(k), { four: 4 })
    await client.delete(k)
    t.equal(await client.cas(k, 'five', { cas }), false, 'the item is gone')
    t.equal(await client.get(k), undefined)
    t.equal(await client.cas(k, 'six', { cas: 2n ** 64n - 1n }), false)
    t.equal(await client.cas(k, 'seven', { cas: 0n }), false, 'a cas id of 0 is no wildcard')
    t.equal(await client.get(k), undefined)
  })

  feature('cas without an id rejects, and is never a set', ['cas', 'get', 'set'], async (t, { client, key }) => {
    const k = key()
    t.match(await rejection(client.cas(k, 'v')), { name: 'MemcacheValueError', command: 'cas', sent: false })
    t.equal(await client.get(k), undefined)
    await client.set(k, 'kept')
    t.match(await rejection(client.cas(k, 'v', { ttl: 60 })), { name: 'MemcacheValueError' })
    t.equal(await client.get(k), 'kept')
  })

  feature('setMulti takes pairs, a Map or an object, and says what is stored', ['setMulti', 'getMulti'], async (t, { client, key }) => {
    const [a, b, c] = [key('a'), key('b'), key('c')]
    t.strictSame([...(await client.setMulti([[a, 1], [b, 'two'], [Buffer.from(c), null]]))], [[a, true], [b, true], [c, true]])
    t.strictSame(await client.getMulti([a, b, c]), new Map<string, unknown>([[a, 1], [b, 'two'], [c, null]]))
    t.strictSame(await client.setMulti(new Map([[a, { x: 1 }]])), new Map([[a, true]]))
    t.strictSame(await client.setMulti({ [b]: [2], [c]: true }), new Map([[b, true], [c, true]]))
    t.strictSame(await client.getMulti([a, b, c]), new Map<string, unknown>([[a, { x: 1 }], [b, [2]], [c, true]]))
    t.strictSame(await client.setMulti([]), new Map())
    t.strictSame(await client.setMulti([[a, 'first'], [a, 'last']]), new Map([[a, true]]))
    t.strictSame(await client.getMulti([a]), new Map([[a, 'last']]), 'a pair that comes later wins')
  })

  feature('what is called behind a setMulti is done behind all of it', ['setMulti', 'get', 'delete', 'deleteMulti'], async (t, { client, key }) => {
    const base = key('order')
    const entries = Array.from({ length: 2000 }, (_, index): [string, number] => [`${base}:${index}`, index])
    const stored = client.setMulti(entries)
    const last = client.get(`${base}:1999`)
    const gone = client.delete(`${base}:1998`)
    t.equal((await stored).size, 2000)
    t.equal(await last, 1999)
    t.equal(await gone, true)
    t.equal(await client.get(`${base}:1998`), undefined)
  })

  feature('delete and deleteMulti say what was there', ['delete', 'deleteMulti', 'set', 'getMulti'], async (t, { client, key }) => {
    const [a, b, missing] = [key('a'), key('b'), key('missing')]
    await client.set(a, 1)
    t.equal(await client.delete(a), true)
    t.equal(await client.delete(a), false)
    await client.set(a, 1)
    await client.set(b, 1)
    t.strictSame([...(await client.deleteMulti([b, missing, a, b]))], [[b, true], [missing, false], [a, true]])
    t.strictSame(await client.getMulti([a, b]), new Map())
    t.strictSame(await client.deleteMulti([]), new Map())
  })

  feature('setMulti fits itself into maxPending and maxPendingBytes', ['setMulti', 'deleteMulti', 'getMulti'], async (t, { make, key }) => {
    const base = key('tight')
    const entries = Array.from({ length: 600 }, (_, index): [string, string] => [`${base}:${index}`, String(index).padStart(100, '.')])
    for (const options of [{ maxPending: 50 }, { maxPendingBytes: 20_000 }, { maxPending: 550 }]) {
      const client = make(options)
      const stored = await client.setMulti(entries, { timeout: 20_000 })
      t.strictSame([...stored], entries.map(([name]) => [name, true]), JSON.stringify(options))
      const removed = await client.deleteMulti(entries.map(([name]) => name), { timeout: 20_000 })
      t.strictSame([...removed], entries.map(([name]) => [name, true]))
    }
    const client = make({ maxPendingBytes: 500 })
    const error = await rejection(client.setMulti([[`${base}:small`, 'v'], [`${base}:large`, 'v'.repeat(1000)]]))
    t.match(error, { name: 'MemcacheOverloadError', command: 'setMulti' }, 'one that never fits is refused')
  })

  feature('values up to the limit are stored, larger ones refused before they are sent', ['set', 'get', 'getMulti', 'append'], async (t, { client, make, key }) => {
    const [k, other] = [key(), key('other')]
    const largest = randomBytes(1_000_000)
    t.equal(await client.set(k, largest), true)
    t.ok(largest.equals((await client.get<Buffer>(k)) ?? Buffer.alloc(0)))
    await client.set(other, 'small')
    const both = await client.getMulti<Buffer | string>([k, other])
    t.ok(largest.equals(both.get(k) as Buffer))
    t.equal(both.get(other), 'small')
    const text = 'é'.repeat(500_000)
    t.equal(await client.set(k, text), true)
    t.ok((await client.get(k)) === text, 'a megabyte of text')
    t.match(await rejection(client.set(k, Buffer.alloc(1_000_001))), { name: 'MemcacheValueError', sent: false })
    t.match(await rejection(client.set(k, `${text}.`)), { name: 'MemcacheValueError', sent: false }, 'in bytes, not characters')
    t.equal(await client.set(k, Buffer.alloc(1_000_001), { minCompressLength: 1 }), true, 'as it is stored: compressed')
    t.equal((await client.get<Buffer>(k))?.length, 1_000_001)
    const narrow = make({ maxValueLength: 5 })
    t.equal(await narrow.set(k, '12345'), true)
    t.match(await rejection(narrow.set(k, '123456')), { name: 'MemcacheValueError' })
    t.match(await rejection(narrow.append(k, '123456')), { name: 'MemcacheValueError' })
    t.equal(await narrow.get(k), '12345')
  })

  feature('what the server finds too large is a MemcacheServerError, and the connection lives', ['set', 'get'], async (t, { make, key }) => {
    const client = make({ maxValueLength: 4_000_000, timeout: 20_000 })
    const k = key()
    const [refused, kept] = await Promise.all([rejection(client.set(k, randomBytes(3_000_000))), client.set(`${k}:next`, 1)])
    t.match(refused, { name: 'MemcacheServerError', command: 'set', sent: true })
    t.equal(kept, true)
    t.equal(await client.get(`${k}:next`), 1)
  })
}
