import { Buffer } from 'node:buffer'
import { deepEqual, equal, notEqual } from 'node:assert/strict'
import type { Client } from '../../index.ts'
import { clause, type Clause } from './clause.ts'
import { rejects } from './rejection.ts'

const LARGEST = 2n ** 64n - 1n

/** cas, and the ids by which it knows a version. */
export const versions: readonly Clause[] = [
  clause('cas stores only over the version that it is given', ['memory', 'cas', 'gets', 'set', 'get', 'delete'], async ({ client, key }) => {
    const k = key()
    await client.set(k, 'one')
    const { cas } = (await client.gets(k)) ?? {}
    equal(await client.cas(k, 'two', { cas }), true)
    equal(await client.cas(k, 'three', { cas }), false, 'the version has changed')
    equal(await client.get(k), 'two')
    const later = await client.gets(k)
    equal(await client.cas(k, { four: 4 }, { cas: later?.cas, ttl: 60 }), true)
    deepEqual(await client.get(k), { four: 4 })
    await client.delete(k)
    equal(await client.cas(k, 'five', { cas }), false, 'the item is gone')
    equal(await client.get(k), undefined)
  }),

  clause('no cas id is a wildcard, neither 0 nor 2^64-1', ['memory', 'cas', 'gets', 'set', 'get'], async ({ client, key }) => {
    const k = key()
    for (const cas of [0n, LARGEST]) {
      equal(await client.cas(k, 'made', { cas }), false, `${cas} where nothing is`)
      equal(await client.get(k), undefined)
    }
    await client.set(k, 'kept')
    const version = await client.gets(k)
    for (const cas of [0n, LARGEST, ((version?.cas ?? 0n) + 1n) & LARGEST, (version?.cas ?? 0n) | (2n ** 63n)]) {
      equal(await client.cas(k, 'changed', { cas }), false, `${cas} where ${version?.cas} is`)
    }
    deepEqual(await client.gets(k), version)
  }),

  clause('cas without an id rejects, and is never a set', ['memory', 'cas', 'get', 'set'], async ({ client, key }) => {
    const k = key()
    const fault = { name: 'MemcacheValueError', command: 'cas', sent: false }
    await rejects(client.cas(k, 'v'), fault)
    equal(await client.get(k), undefined)
    await client.set(k, 'kept')
    await rejects(client.cas(k, 'v', { ttl: 60 }), fault)
    equal(await client.get(k), 'kept')
  }),

  clause('every change gives a new cas id', ['memory', 'gets', 'set', 'replace', 'append', 'prepend', 'incr', 'decr', 'cas'], async ({ client, key }) => {
    const k = key()
    await client.set(k, 1)
    const changes: readonly [string, () => Promise<unknown>][] = [
      ['set', () => client.set(k, 2)],
      ['replace', () => client.replace(k, 3)],
      ['append', () => client.append(k, '4')],
      ['prepend', () => client.prepend(k, '5')],
      ['incr', () => client.incr(k)],
      ['decr', () => client.decr(k)],
      ['cas', async () => client.cas(k, 6, { cas: await idOf(client, k) })],
    ]
    const seen = new Set([await idOf(client, k)])
    for (const [name, change] of changes) {
      await change()
      const cas = await idOf(client, k)
      equal(seen.has(cas), false, `after ${name}`)
      seen.add(cas)
    }
  }),

  clause('a touch gives no new cas id', ['memory', 'gets', 'set', 'touch'], async ({ client, key }) => {
    const k = key()
    await client.set(k, 1)
    const cas = await idOf(client, k)
    await client.touch(k, 60)
    equal(await idOf(client, k), cas)
  }),

  clause('cacheCas remembers the id of gets until it is reset', ['memory', 'gets', 'gats', 'getsMulti', 'cas', 'set', 'get'], async ({ make, key }) => {
    const client = make({ cacheCas: true })
    const k = key()
    const unknown = { name: 'MemcacheValueError', command: 'cas', sent: false }
    await client.set(k, 1)
    await rejects(client.cas(k, 'v'), unknown, 'set has no id to remember: cas')
    await client.get(k)
    await rejects(client.cas(k, 'v'), unknown, 'nor has get: cas')
    await client.gets(k)
    equal(await client.cas(k, 2), true)
    equal(await client.cas(k, 3), false, 'the id stays, and is the old one')
    equal(await client.get(k), 2)
    await client.gets(Buffer.from(k))
    equal(await client.cas(k, 4), true, 'seen anew')
    client.resetCas()
    await rejects(client.cas(k, 5), unknown)
    await client.gats(k, 0)
    equal(await client.cas(k, 6), true, 'gats remembers')
    await client.getsMulti([k])
    equal(await client.cas(k, 7), true, 'getsMulti remembers')
    client.resetClient()
    await rejects(client.cas(k, 8), unknown)
    const old = (await client.gets(k))?.cas
    await client.set(k, 9)
    equal(await client.cas(k, 10, { cas: await idOf(make(), k) }), true, 'an id of one\'s own goes before')
    equal(await client.cas(k, 11, { cas: old }), false)
    notEqual(old, undefined)
  }),
]

async function idOf(client: Client, key: string): Promise<bigint | undefined> {
  return (await client.gets(key))?.cas
}
