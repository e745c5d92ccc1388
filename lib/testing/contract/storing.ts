import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { deepEqual, equal, ok } from 'node:assert/strict'
import { clause, type Clause } from './clause.ts'
import { rejects } from './rejection.ts'

/** Everything that writes or removes items. */
export const storing: readonly Clause[] = [
  clause('add stores where nothing is, replace where something is', ['memory', 'add', 'replace', 'get', 'delete'], async ({ client, key }) => {
    const k = key()
    equal(await client.replace(k, 'none'), false)
    equal(await client.get(k), undefined)
    equal(await client.add(k, 'first'), true)
    equal(await client.add(k, 'second'), false)
    equal(await client.get(k), 'first')
    equal(await client.replace(k, 'third'), true)
    equal(await client.get(k), 'third')
    await client.delete(k)
    equal(await client.replace(k, 'fourth'), false)
    equal(await client.get(k), undefined)
  }),

  clause('append and prepend put bytes around what is there', ['memory', 'append', 'prepend', 'get', 'set'], async ({ client, key }) => {
    const k = key()
    equal(await client.append(k, 'x'), false)
    equal(await client.prepend(k, 'x'), false)
    equal(await client.get(k), undefined)
    await client.set(k, 'mitte')
    equal(await client.append(k, ' ende ✓'), true)
    equal(await client.prepend(k, Buffer.from('anfang\r\n')), true)
    equal(await client.get(k), 'anfang\r\nmitte ende ✓')
    equal(await client.append(k, ''), true)
    equal(await client.prepend(k, ''), true)
    equal(await client.get(k), 'anfang\r\nmitte ende ✓')
  }),

  clause('append and prepend leave the flags as they are', ['memory', 'append', 'prepend', 'get', 'set'], async ({ client, key }) => {
    const [bytes, number] = [key('bytes'), key('number')]
    await client.set(bytes, Buffer.from([1]))
    equal(await client.append(bytes, 'text'), true)
    deepEqual(await client.get(bytes), Buffer.from('\x01text'))
    await client.set(number, 4)
    equal(await client.append(number, Buffer.from('2')), true)
    equal(await client.prepend(number, 1n), true)
    equal(await client.get(number), 142)
  }),

  clause('append and prepend are not compressed', ['memory', 'append', 'prepend', 'get', 'set'], async ({ make, key }) => {
    const client = make({ minCompressLength: 1 })
    const k = key()
    const long = 'ab'.repeat(5000)
    await client.set(k, '.', { minCompressLength: 0 })
    equal(await client.append(k, long, { minCompressLength: 1 }), true)
    equal(await client.prepend(k, long), true)
    equal(await client.get(k), `${long}.${long}`)
  }),

  clause('append and prepend past the server\'s limit store nothing', ['memory', 'server', 'append', 'prepend', 'get', 'set'], async ({ client, key }) => {
    const k = key()
    const long = Buffer.alloc(600_000, 'x')
    await client.set(k, long)
    equal(await client.append(k, long), false)
    equal(await client.prepend(k, long), false)
    ok(long.equals((await client.get<Buffer>(k)) ?? Buffer.alloc(0)))
  }),

  clause('setMulti takes pairs, a Map or an object, and says what is stored', ['memory', 'setMulti', 'getMulti'], async ({ client, key }) => {
    const [a, b, c] = [key('a'), key('b'), key('c')]
    deepEqual([...(await client.setMulti([[a, 1], [b, 'two'], [Buffer.from(c), null]]))], [[a, true], [b, true], [c, true]])
    deepEqual(await client.getMulti([a, b, c]), new Map<string, unknown>([[a, 1], [b, 'two'], [c, null]]))
    deepEqual(await client.setMulti(new Map([[a, { x: 1 }]])), new Map([[a, true]]))
    deepEqual(await client.setMulti({ [b]: [2], [c]: true }), new Map([[b, true], [c, true]]))
    deepEqual(await client.getMulti([a, b, c]), new Map<string, unknown>([[a, { x: 1 }], [b, [2]], [c, true]]))
    deepEqual(await client.setMulti([]), new Map())
    deepEqual(await client.setMulti([[a, 'first'], [a, 'last']]), new Map([[a, true]]))
    deepEqual(await client.getMulti([a]), new Map([[a, 'last']]), 'a pair that comes later wins')
  }),

  clause('what is stored is not the memory of its caller', ['memory', 'set', 'get', 'append'], async ({ client, key }) => {
    const k = key()
    const value = Buffer.from('value')
    await client.set(k, value)
    value.fill('x')
    const read = await client.get<Buffer>(k)
    deepEqual(read, Buffer.from('value'))
    read?.fill('y')
    deepEqual(await client.get(k), Buffer.from('value'))
    const more = Buffer.from('more')
    await client.append(k, more)
    more.fill('z')
    deepEqual(await client.get(k), Buffer.from('valuemore'))
  }),

  clause('delete and deleteMulti say what was there', ['memory', 'delete', 'deleteMulti', 'set', 'getMulti'], async ({ client, key }) => {
    const [a, b, missing] = [key('a'), key('b'), key('missing')]
    await client.set(a, 1)
    equal(await client.delete(a), true)
    equal(await client.delete(a), false)
    await client.set(a, 1)
    await client.set(b, 1)
    deepEqual([...(await client.deleteMulti([b, missing, a, b]))], [[b, true], [missing, false], [a, true]])
    deepEqual(await client.getMulti([a, b]), new Map())
    deepEqual(await client.deleteMulti([]), new Map())
  }),

  clause('values up to the limit are stored, larger ones refused before they are sent', ['memory', 'set', 'get', 'append', 'getMulti'], async ({ client, make, key }) => {
    const [k, other] = [key(), key('other')]
    const largest = randomBytes(1_000_000)
    equal(await client.set(k, largest), true)
    ok(largest.equals((await client.get<Buffer>(k)) ?? Buffer.alloc(0)))
    await client.set(other, 'small')
    const both = await client.getMulti<Buffer | string>([other, k])
    equal(both.get(other), 'small')
    ok(largest.equals(both.get(k) as Buffer))
    const tooLarge = { name: 'MemcacheValueError', command: 'set', sent: false }
    await rejects(client.set(k, Buffer.alloc(1_000_001)), tooLarge)
    await rejects(client.set(k, 'é'.repeat(500_001)), tooLarge, 'in bytes, not characters')
    equal(await client.set(k, Buffer.alloc(1_000_001), { minCompressLength: 1 }), true, 'as it is stored: compressed')
    equal((await client.get<Buffer>(k))?.length, 1_000_001)
    const narrow = make({ maxValueLength: 5 })
    equal(await narrow.set(k, '12345'), true)
    await rejects(narrow.set(k, '123456'), tooLarge)
    await rejects(narrow.append(k, '123456'), { ...tooLarge, command: 'append' })
    equal(await narrow.get(k), '12345')
  }),

  clause('what the server finds too large is a MemcacheServerError, and the connection lives', ['memory', 'server', 'set', 'get', 'add'], async ({ make, key }) => {
    const client = make({ maxValueLength: 4_000_000, timeout: 10_000 })
    let connections = 0
    client.on('connect', () => (connections += 1))
    const [k, next] = [key(), key('next')]
    const huge = randomBytes(3_000_000)
    const refusal = { name: 'MemcacheServerError', sent: true }
    const [, stored, , read] = await Promise.all([
      rejects(client.set(k, huge), { ...refusal, command: 'set' }),
      client.set(next, 1),
      rejects(client.add(key(), huge), { ...refusal, command: 'add' }),
      client.get(next),
    ])
    deepEqual([stored, read, await client.get(next)], [true, 1, 1])
    equal(connections, 1)
  }),
]
