import { Buffer } from 'node:buffer'
import { deepEqual, equal } from 'node:assert/strict'
import { clause, type Clause } from './clause.ts'
import { rejects } from './rejection.ts'

const REFUSED_KEY = { name: 'MemcacheKeyError', sent: false }

/** What can be a key, and what an option makes of it. */
export const keys: readonly Clause[] = [
  clause('keys are Buffers, UTF-8, and up to 250 bytes long', ['memory', 'get', 'getMulti', 'set', 'delete', 'incr', 'touch'], async ({ client, key }) => {
    const base = key()
    const long = base + 'k'.repeat(250 - base.length)
    const longUtf8 = base + 'é'.repeat(Math.floor((250 - base.length) / 2))
    const bytes = Buffer.concat([Buffer.from(base), Buffer.from([0x80, 0xff, 0xfe, 0xc3])])
    const names = [`${base}:☃`, `${base}:😀`, `${base}:ünï`, long, longUtf8, bytes, Buffer.from(`${base}:text`)]
    for (const [index, name] of names.entries()) {
      equal(await client.set(name, index), true)
      equal(await client.get(name), index)
      equal(await client.incr(name), index + 1)
      equal(await client.touch(name, 60), true)
    }
    const labels = names.map((name) => (typeof name === 'string' ? name : name === bytes ? bytes.toString('latin1') : name.toString()))
    deepEqual([...(await client.getMulti(names))], labels.map((label, index) => [label, index + 1]))
    equal(await client.get(`${base}:text`), names.length, 'the Buffer and the text are one key')
    for (const name of names) equal(await client.delete(name), true)
    for (const name of names) equal(await client.get(name), undefined)
  }),

  clause('1000 keys of 250 bytes are asked for in one call', ['memory', 'setMulti', 'getMulti'], async ({ client, key }) => {
    const base = key()
    const names = Array.from({ length: 1000 }, (_, index) => `${base}:${index}:`.padEnd(250, 'x'))
    await client.setMulti([[names[0] as string, 'first'], [names[999] as string, 'last']])
    deepEqual([...(await client.getMulti(names))], [[names[0], 'first'], [names[999], 'last']])
  }),

  clause('names of prototypes are keys like others', ['memory', 'own server', 'setMulti', 'getMulti', 'deleteMulti', 'get'], async ({ client }) => {
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', 'prototype']
    const entries = names.map((name): [string, string] => [name, `value of ${name}`])
    await client.deleteMulti(names)
    deepEqual(await client.getMulti(names), new Map(), 'none is there by itself')
    for (const name of names) equal(await client.get(name), undefined)
    deepEqual(await client.setMulti(entries), new Map(names.map((name) => [name, true])))
    deepEqual([...(await client.getMulti(names))], entries)
    for (const [name, value] of entries) equal(await client.get(name), value)
    deepEqual(await client.deleteMulti(names), new Map(names.map((name) => [name, true])))
  }),

  clause('a key that is too long or none is refused, and nothing else suffers', ['memory', 'get', 'set', 'getMulti'], async ({ client, key }) => {
    const k = key()
    const [stored, , , , , read] = await Promise.all([
      client.set(k, 1),
      rejects(client.get('k'.repeat(251)), { ...REFUSED_KEY, command: 'get' }),
      rejects(client.set('é'.repeat(126), 1), { ...REFUSED_KEY, command: 'set' }),
      rejects(client.get(''), REFUSED_KEY),
      rejects(client.getMulti([k, 'k'.repeat(251)]), { ...REFUSED_KEY, command: 'getMulti' }),
      client.get(k),
    ])
    deepEqual([stored, read], [true, 1])
  }),

  clause('with binaryKeys a key is any bytes', ['memory', 'binaryKeys', 'set', 'get', 'gets', 'getMulti', 'add', 'cas', 'incr', 'append', 'touch', 'delete', 'setMulti', 'deleteMulti'], async ({ make, key }) => {
    const client = make({ binaryKeys: true })
    const base = key()
    const all = Buffer.from(Array.from({ length: 128 }, (_, byte) => byte * 2)) // every second byte: a key of all of them would be too long
    const names = [`${base} two words`, `${base}\r\nflush_all\r\n`, `${base}\0`, `${base}\0\0`, ` ${base} `, `${base}\x7f☃ `, Buffer.concat([Buffer.from(base), all])]
    for (const [index, name] of names.entries()) {
      equal(await client.get(name), undefined, 'nobody has it')
      equal(await client.add(name, index), true)
      equal(await client.get(name), index)
      equal(await client.cas(name, index + 1, { cas: (await client.gets(name))?.cas }), true)
      equal(await client.incr(name), index + 2)
      equal(await client.append(name, '0'), true)
      equal(await client.touch(name, 60), true)
    }
    deepEqual([...(await client.getMulti(names)).values()], names.map((_, index) => (index + 2) * 10))
    deepEqual([...(await client.setMulti(names.map((name) => [name, 'v']))).values()], names.map(() => true))
    deepEqual([...(await client.deleteMulti(names)).values()], names.map(() => true))
    equal(await client.delete(names[0] as string), false)
    equal(await client.set(`${base}:plain`, 1), true)
    equal(await make().get(`${base}:plain`), 1, 'a key without blanks is the same with and without the option')
    await rejects(make().get(`${base} two words`), REFUSED_KEY)
  }),

  clause('keyPrefix stands before every key sent, and before none returned', ['memory', 'set', 'get', 'getMulti', 'getsMulti', 'setMulti', 'deleteMulti', 'incr', 'touch'], async ({ client, make, key }) => {
    const [prefix, a, b] = [`${key('prefix-é')}/`, key('a'), key('b')]
    const prefixed = make({ keyPrefix: prefix })
    equal(await prefixed.set(a, 'A'), true)
    equal(await client.get(prefix + a), 'A')
    equal(await client.get(a), undefined)
    deepEqual(await prefixed.setMulti({ [b]: 1 }), new Map([[b, true]]))
    equal(await prefixed.incr(b), 2)
    equal(await prefixed.touch(b, 60), true)
    deepEqual([...(await prefixed.getMulti([b, a]))], [[b, 2], [a, 'A']])
    deepEqual([...(await prefixed.getsMulti([a])).keys()], [a])
    deepEqual(await prefixed.deleteMulti([a, b]), new Map([[a, true], [b, true]]))
    deepEqual(await client.getMulti([prefix + a, prefix + b]), new Map())
  }),

  clause('maxKeyLength is in bytes and counts the prefix', ['memory', 'set', 'get'], async ({ make, key }) => {
    const prefix = key('é:')
    const client = make({ maxKeyLength: Buffer.byteLength(prefix) + 9, keyPrefix: prefix })
    equal(await client.set('123456789', 1), true)
    equal(await client.get('123456789'), 1)
    equal(await client.set('ü'.repeat(4), 2), true)
    equal(await client.get('ü'.repeat(4)), 2)
    await rejects(client.set('1234567890', 1), { ...REFUSED_KEY, command: 'set' })
    await rejects(client.get('ü'.repeat(5)), REFUSED_KEY)
    await rejects(client.get(Buffer.alloc(10, 'x')), REFUSED_KEY)
  }),
]
