import { Buffer } from 'node:buffer'
import { deepEqual, equal, notEqual, ok } from 'node:assert/strict'
import { clause, type Clause } from './clause.ts'

const MANY = 1000

/** Everything that reads: get, gets, gat, gats and their many-key forms. */
export const reading: readonly Clause[] = [
  clause('get gives the value, and undefined for a miss', ['memory', 'get', 'set', 'delete'], async ({ client, key }) => {
    const k = key()
    equal(await client.get(k), undefined)
    equal(await client.set(k, 'v'), true)
    equal(await client.get(k), 'v')
    equal(await client.delete(k), true)
    equal(await client.get(k), undefined)
  }),

  clause('what one client stores another one reads', ['memory', 'get', 'set'], async ({ client, make, key }) => {
    const k = key()
    await client.set(k, 'v')
    equal(await make().get(k), 'v')
  }),

  clause('gets gives the value and a cas id', ['memory', 'gets', 'set'], async ({ client, key }) => {
    const k = key()
    equal(await client.gets(k), undefined)
    await client.set(k, 'one')
    const first = await client.gets(k)
    await client.set(k, 'two')
    const second = await client.gets(k)
    deepEqual([first?.value, typeof first?.cas, second?.value], ['one', 'bigint', 'two'])
    notEqual(second?.cas, first?.cas)
  }),

  clause('getMulti gives the hits by key, in the order asked', ['memory', 'getMulti', 'set'], async ({ client, key }) => {
    const [a, b, c, missing] = [key('a'), key('b'), key('c'), key('missing')]
    await client.set(c, 'C')
    await client.set(a, { nested: true })
    await client.set(b, null)
    deepEqual([...(await client.getMulti([b, missing, a, c]))], [[b, null], [a, { nested: true }], [c, 'C']])
    deepEqual(await client.getMulti([]), new Map())
    deepEqual(await client.getMulti([missing]), new Map())
    deepEqual(await client.getMulti([missing, `${missing}:2`]), new Map())
    deepEqual(await client.getMulti(new Set([a]).values()), new Map([[a, { nested: true }]]), 'any iterable')
  }),

  clause('a key that getMulti is asked for twice is one entry', ['memory', 'getMulti', 'get', 'set'], async ({ client, key }) => {
    const [a, b] = [key('a'), key('b')]
    await client.set(a, 1)
    await client.set(b, 2)
    deepEqual([...(await client.getMulti([a, b, a, a, b]))], [[a, 1], [b, 2]])
    deepEqual(await client.getMulti([a, Buffer.from(a), b]), new Map([[a, 1], [b, 2]]), 'as a string and as a Buffer')
    equal(await client.get(b), 2, 'the next reply')
  }),

  clause('getsMulti gives each value with its cas id', ['memory', 'getsMulti', 'gets', 'set'], async ({ client, key }) => {
    const [a, b, missing] = [key('a'), key('b'), key('missing')]
    await client.set(a, 'A')
    await client.set(b, 'B')
    const found = await client.getsMulti([a, missing, b])
    deepEqual([...found.keys()], [a, b])
    deepEqual(found.get(a), await client.gets(a))
    deepEqual(found.get(b), await client.gets(b))
    equal(found.get(b)?.value, 'B')
  }),

  clause('gat and gats read and touch, which is no change', ['memory', 'gat', 'gats', 'gets', 'set'], async ({ client, key }) => {
    const k = key()
    equal(await client.gat(k, 60), undefined)
    equal(await client.gats(k, 60), undefined)
    await client.set(k, [1])
    const version = await client.gets(k)
    deepEqual(await client.gat(k, 60), [1])
    deepEqual(await client.gats(k, 0), version)
    deepEqual(await client.gets(k), version)
  }),

  clause('metaGet gives the value and what is known about it', ['memory', 'metaGet', 'gets', 'set'], async ({ client, key }) => {
    const k = key()
    equal(await client.metaGet(k), undefined)
    await client.set(k, 'text', { ttl: 1000 })
    const fresh = await client.metaGet(k)
    deepEqual([fresh?.value, fresh?.flags, fresh?.size, fresh?.hitBefore], ['text', 0, 4, false])
    ok(fresh !== undefined && fresh.ttl !== undefined && fresh.ttl > 900 && fresh.ttl <= 1001, `ttl: ${fresh?.ttl}`)
    ok(fresh.lastAccess >= 0 && fresh.lastAccess < 60, `last access: ${fresh.lastAccess}`)
    deepEqual(fresh.cas, (await client.gets(k))?.cas)
    await client.set(k, { a: 1 })
    await client.gets(k)
    const read = await client.metaGet(k)
    deepEqual([read?.value, read?.hitBefore, read?.ttl], [{ a: 1 }, true, undefined])
  }),

  clause(`${MANY} keys go and come in one call each, in order`, ['memory', 'setMulti', 'getMulti', 'getsMulti', 'deleteMulti'], async ({ client, key }) => {
    const base = key('many')
    const entries = Array.from({ length: MANY }, (_, index): [string, number] => [`${base}:${index}`, index])
    const keys = entries.map(([name]) => name)
    deepEqual([...(await client.setMulti(entries))], keys.map((name) => [name, true]))
    const odd = keys.filter((_, index) => index % 2 === 1)
    deepEqual([...(await client.deleteMulti(odd))], odd.map((name) => [name, true]))
    const left = entries.filter(([, index]) => index % 2 === 0)
    deepEqual([...(await client.getMulti(keys))], left)
    deepEqual([...(await client.getMulti([...keys].reverse()))], [...left].reverse())
    deepEqual(Array.from(await client.getsMulti(keys), ([name, { value }]) => [name, value]), left)
  }),

  clause('a Buffer that was read stays as it is', ['memory', 'get', 'gets', 'getMulti', 'setMulti'], async ({ client, key }) => {
    const lengths = [0, 1, 100, 3000, 5000, 40_000, 70_000]
    const contents = lengths.map((length, index) => Buffer.alloc(length, `${index}`))
    const keys = lengths.map((length) => key(String(length)))
    await client.setMulti(keys.map((name, index) => [name, contents[index]]))
    const [one, many, versions] = [await Promise.all(keys.map((name) => client.get(name))), await client.getMulti(keys), await Promise.all(keys.map((name) => client.gets(name)))]
    const other = key('other')
    await client.setMulti(Array.from({ length: 20 }, (_, index) => [`${other}:${index}`, Buffer.alloc(20_000, '#')]))
    await client.getMulti(Array.from({ length: 20 }, (_, index) => `${other}:${index}`))
    deepEqual(one, contents)
    deepEqual([...many.values()], contents)
    deepEqual(versions.map((version) => version?.value), contents)
  }),
]
