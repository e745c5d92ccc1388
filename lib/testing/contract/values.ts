import { Buffer } from 'node:buffer'
import { deepEqual, equal } from 'node:assert/strict'
import type { Item } from '../../index.ts'
import { clause, type Clause } from './clause.ts'
import { itemLayer } from './item-layer.ts'
import { rejects } from './rejection.ts'

const VALUES: readonly unknown[] = [
  '', 'text', 'ünïcode ☃ 😀', '\r\n', 'END\r\nVALUE x 0 1\r\n', '\0', ' leading and trailing ', '123', 'null', 'ä'.repeat(3000),
  Buffer.alloc(0), Buffer.from([0, 13, 10, 255]), Buffer.from('END\r\n'), Buffer.from('\x81\0\0'), Buffer.alloc(5000, 0x0d), Buffer.alloc(100_000, 'noop\r\nmn\r\n'),
  null, true, false,
  0, -0, 1, -1, 42, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 2 ** 53, -(2 ** 53), 2 ** 53 + 2, 2 ** 64, 1e300, 5e-324, 0.1, -1.5,
  0n, 1n, -1n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 64n, -(2n ** 64n), 10n ** 100n,
  {}, [], [[]], [null], { a: { b: [1, 'two', { c: null }] } }, { '': '' }, { 'key with ☃': '\u2028' }, [1, 2.5, 'x', true, null, {}],
]

/** The flags of a Buffer. */
const BYTES = 16

/** Values come back as they were stored, whichever command reads them. */
export const values: readonly Clause[] = [
  clause('every kind of value comes back the same, from every command that reads', ['memory', 'set', 'get'], async ({ client, key, has }) => {
    const keys = VALUES.map(() => key())
    const stored = await Promise.all(keys.map((name, index) => client.set(name, VALUES[index])))
    deepEqual(stored, VALUES.map(() => true))
    const each = (read: (name: string) => Promise<unknown>): Promise<unknown[]> => Promise.all(keys.map(read))
    deepEqual(await each((name) => client.get(name)), VALUES, 'get')
    if (has('gets')) deepEqual(await each(async (name) => (await client.gets(name))?.value), VALUES, 'gets')
    if (has('gat')) deepEqual(await each((name) => client.gat(name, 60)), VALUES, 'gat')
    if (has('gats')) deepEqual(await each(async (name) => (await client.gats(name, 60))?.value), VALUES, 'gats')
    if (has('metaGet')) deepEqual(await each(async (name) => (await client.metaGet(name))?.value), VALUES, 'metaGet')
    if (has('getMulti')) deepEqual([...(await client.getMulti(keys)).values()], VALUES, 'getMulti')
    if (has('getsMulti')) deepEqual(Array.from((await client.getsMulti(keys)).values(), ({ value }) => value), VALUES, 'getsMulti')
  }),

  clause('every command that stores keeps the value and its flags', ['memory', 'set', 'add', 'replace', 'cas', 'gets', 'setMulti', 'delete'], async ({ client, key }) => {
    const k = key()
    const read = async (): Promise<unknown> => (await client.gets(k))?.value
    for (const [index, value] of VALUES.entries()) {
      const other = VALUES[(index + 1) % VALUES.length]
      equal(await client.add(k, value), true)
      deepEqual(await read(), value, 'add')
      equal(await client.replace(k, other), true)
      deepEqual(await read(), other, 'replace')
      equal(await client.cas(k, value, { cas: (await client.gets(k))?.cas }), true)
      deepEqual(await read(), value, 'cas')
      await client.setMulti([[k, other]])
      deepEqual(await read(), other, 'setMulti')
      equal(await client.delete(k), true)
    }
  }),

  clause('all 32 bits of the flags are kept', ['memory', 'set', 'add', 'replace', 'append', 'get', 'gets'], async ({ make, key }) => {
    for (const flags of [0, 1, 0x100, 0xffff, 0x12345600, 0x7fffffff, 2 ** 31, 2 ** 32 - 1]) {
      const seen: number[] = []
      const stored = (item: Item): Item => ({ ...item, flags })
      const read = (item: Item): Item => {
        seen.push(item.flags)
        return { ...item, flags: BYTES }
      }
      const client = make({ layers: [itemLayer(stored, read)] })
      const k = key()
      await client.add(k, Buffer.from('1'))
      await client.get(k)
      await client.set(k, Buffer.from('2'))
      await client.gets(k)
      await client.replace(k, Buffer.from('3'))
      await client.append(k, Buffer.from('4'))
      deepEqual(await client.get(k), Buffer.from('34'))
      deepEqual(seen, [flags, flags, flags])
    }
  }),

  clause('compressed values come back the same', ['memory', 'set', 'get', 'getMulti'], async ({ client, make, key }) => {
    const compressing = make({ minCompressLength: 1 })
    const long = { text: 'la '.repeat(10_000) }
    const values = [...VALUES, long, 'x'.repeat(5000), Buffer.alloc(5000, 7), 10n ** 500n]
    const keys = values.map(() => key())
    await Promise.all(keys.map((name, index) => compressing.set(name, values[index])))
    deepEqual(await Promise.all(keys.map((name) => client.get(name))), values)
    deepEqual([...(await client.getMulti(keys)).values()], values)
  }),

  clause('an empty value and null are hits everywhere', ['memory', 'set', 'get', 'gets', 'getMulti', 'getsMulti', 'add'], async ({ client, key }) => {
    for (const value of ['', null, Buffer.alloc(0)]) {
      const k = key()
      await client.set(k, value)
      deepEqual(await client.get(k), value)
      deepEqual((await client.gets(k))?.value, value)
      deepEqual(await client.getMulti([k]), new Map([[k, value]]))
      equal((await client.getsMulti([k])).size, 1)
      equal(await client.add(k, 'other'), false)
    }
  }),

  clause('what would not come back the same is refused', ['set'], async ({ client, key }) => {
    for (const value of [undefined, Symbol('s'), () => 1, NaN, new Date(0), new Map(), [undefined], { big: 1n }, '\ud800']) {
      await rejects(client.set(key(), value), { name: 'MemcacheValueError', command: 'set', sent: false }, String(value))
    }
  }),
]
