import { Buffer } from 'node:buffer'
import type { Feature } from './contract.ts'
import { rejection } from './rejection.ts'

const VALUES: readonly unknown[] = [
  '', 'text', 'ünïcode ☃ 😀', '\r\n', 'END\r\nVALUE x 0 1\r\n', '\0', ' leading and trailing ', '123', 'null', 'ä'.repeat(3000),
  Buffer.alloc(0), Buffer.from([0, 13, 10, 255]), Buffer.from('END\r\n'), Buffer.alloc(5000, 0x0d),
  null, true, false,
  0, -0, 1, -1, 42, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 2 ** 53, -(2 ** 53), 2 ** 53 + 2, 2 ** 64, 1e300, 5e-324, 0.1, -1.5,
  0n, 1n, -1n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 64n, -(2n ** 64n), 10n ** 100n,
  {}, [], [[]], [null], { a: { b: [1, 'two', { c: null }] } }, { '': '' }, { 'key with ☃': '\u2028' }, [1, 2.5, 'x', true, null, {}],
]

/** Values come back as they were stored. */
export function values(feature: Feature): void {
  feature('every kind of value comes back the same', ['set', 'get', 'gets', 'getMulti'], async (t, { client, key }) => {
    const stored = new Map(VALUES.map((value): [string, unknown] => [key(), value]))
    const read: unknown[] = []
    const versions: unknown[] = []
    for (const [k, value] of stored) {
      if (!(await client.set(k, value))) t.fail(`${String(value)} is not stored`)
      read.push(await client.get(k))
      versions.push((await client.gets(k))?.value)
    }
    t.strictSame(read, VALUES)
    t.strictSame(versions, VALUES)
    for (const [index, value] of VALUES.entries()) if (typeof value === 'number' && !Object.is(read[index], value)) t.fail(`${value} is another number`)
    t.strictSame(await client.getMulti(stored.keys()), stored)
  })

  feature('compressed values come back the same', ['set', 'add', 'replace', 'cas', 'gets', 'get', 'getMulti', 'setMulti'], async (t, { client, make, key }) => {
    const compressing = make({ minCompressLength: 1 })
    const long = { text: 'la '.repeat(10_000) }
    const [a, b] = [key('a'), key('b')]
    t.equal(await compressing.add(a, long), true)
    t.strictSame(await client.get(a), long)
    t.equal(await compressing.replace(a, 'x'.repeat(5000)), true)
    t.equal(await client.get(a), 'x'.repeat(5000))
    t.equal(await compressing.cas(a, Buffer.alloc(5000, 7), { cas: (await compressing.gets(a))?.cas }), true)
    t.strictSame(await client.get(a), Buffer.alloc(5000, 7))
    t.equal(await compressing.set(b, 10n ** 500n), true)
    t.equal(await client.get(b), 10n ** 500n)
    await client.setMulti({ [a]: long, [b]: long }, { minCompressLength: 1 })
    t.strictSame(await client.getMulti([a, b]), new Map([[a, long], [b, long]]))
    const read: unknown[] = []
    for (const value of VALUES) {
      await compressing.set(a, value)
      read.push(await client.get(a))
    }
    t.strictSame(read, VALUES)
  })

  feature('an empty value and null are hits everywhere', ['set', 'get', 'gets', 'gat', 'getMulti', 'getsMulti', 'add'], async (t, { client, key }) => {
    for (const value of ['', null, Buffer.alloc(0)]) {
      const k = key()
      await client.set(k, value)
      t.strictSame(await client.get(k), value)
      t.strictSame((await client.gets(k))?.value, value)
      t.strictSame(await client.gat(k, 60), value)
      t.strictSame(await client.getMulti([k]), new Map([[k, value]]))
      t.equal((await client.getsMulti([k])).size, 1)
      t.equal(await client.add(k, 'other'), false)
    }
  })

  feature('what would not come back the same is refused', ['set', 'add', 'replace', 'setMulti', 'get'], async (t, { client, key }) => {
    const k = key()
    await client.set(k, 'kept')
    const circular: Record<string, unknown> = {}
    circular['self'] = circular
    const refused = [undefined, Symbol('s'), () => 1, NaN, Infinity, new Date(0), new Map(), new Set([1]), /x/, new Uint8Array(2), [undefined], { n: NaN }, { f() {} }, { deep: [{ d: new Date(0) }] }, { big: 1n }, circular, '\ud800']
    for (const value of refused) {
      for (const command of ['set', 'add', 'replace'] as const) {
        t.match(await rejection(client[command](k, value)), { name: 'MemcacheValueError', code: 'ERR_MEMCACHE_VALUE', command, sent: false })
      }
      t.match(await rejection(client.setMulti([[k, value]])), { name: 'MemcacheValueError', command: 'setMulti', sent: false })
    }
    t.equal(await client.get(k), 'kept')
  })
}
