import { Buffer } from 'node:buffer'
import type { Feature } from './contract.ts'
import { rejection } from './rejection.ts'

/** Everything that reads: get, gets, gat, gats and their many-key forms. */
export function reading(feature: Feature): void {
  feature('get gives the value, and undefined for a miss', ['get', 'set', 'delete'], async (t, { client, key }) => {
    const k = key()
    t.equal(await client.get(k), undefined)
    t.equal(await client.set(k, 'v'), true)
    t.equal(await client.get<string>(k), 'v')
    t.equal(await client.delete(k), true)
    t.equal(await client.get(k), undefined)
  })

  feature('gets gives the value and a cas id that every change changes', ['gets', 'set'], async (t, { client, key }) => {
    const k = key()
    t.equal(await client.gets(k), undefined)
    await client.set(k, 'one')
    const first = await client.gets<string>(k)
    const again = await client.gets<string>(k)
    await client.set(k, 'two')
    const second = await client.gets<string>(k)
    t.equal(first?.value, 'one')
    t.equal(typeof first?.cas, 'bigint')
    t.strictSame(again, first)
    t.equal(second?.value, 'two')
    t.not(second?.cas, first?.cas)
  })

  feature('getMulti gives the hits by key, in the order asked', ['getMulti', 'set'], async (t, { client, key }) => {
    const [a, b, c, missing] = [key('a'), key('b'), key('c'), key('missing')]
    await client.set(c, 'C')
    await client.set(a, { nested: true })
    await client.set(b, null)
    t.strictSame([...(await client.getMulti([b, missing, a, c]))], [[b, null], [a, { nested: true }], [c, 'C']])
    t.strictSame(await client.getMulti([]), new Map())
    t.strictSame(await client.getMulti([missing]), new Map())
    t.strictSame(await client.getMulti(new Set([a]).values()), new Map([[a, { nested: true }]]), 'any iterable')
  })

  feature('a key that getMulti is asked for twice is one entry', ['getMulti', 'set'], async (t, { client, key }) => {
    const [a, b] = [key('a'), key('b')]
    await client.set(a, 1)
    await client.set(b, 2)
    t.strictSame([...(await client.getMulti([a, b, a, a, b]))], [[a, 1], [b, 2]])
    t.strictSame(await client.getMulti([a, Buffer.from(a), b]), new Map([[a, 1], [b, 2]]), 'as a string and as a Buffer')
    t.equal(await client.get(b), 2, 'and the replies are still in step')
  })

  feature('getsMulti gives each value with its cas id', ['getsMulti', 'gets', 'set'], async (t, { client, key }) => {
    const [a, b, missing] = [key('a'), key('b'), key('missing')]
    await client.set(a, 'A')
    await client.set(b, 'B')
    const found = await client.getsMulti<string>([a, missing, b])
    t.strictSame([...found.keys()], [a, b])
    t.strictSame(found.get(a), await client.gets(a))
    t.strictSame(found.get(b), await client.gets(b))
  })

  feature('gat and gats read and touch', ['gat', 'gats', 'gets', 'set'], async (t, { client, key }) => {
    const k = key()
    t.equal(await client.gat(k, 60), undefined)
    t.equal(await client.gats(k, 60), undefined)
    await client.set(k, [1])
    t.strictSame(await client.gat(k, 60), [1])
    const version = await client.gats<number[]>(k, 0)
    t.strictSame(version?.value, [1])
    t.strictSame(await client.gets(k), version, 'touching is no change')
  })

  feature('10,000 keys go and come in one call each, in order', ['setMulti', 'getMulti', 'deleteMulti'], async (t, { client, key }) => {
    const base = key('many')
    const entries = Array.from({ length: 10_000 }, (_, index): [string, number] => [`${base}:${index}`, index])
    const keys = entries.map(([name]) => name)
    const stored = await client.setMulti(entries, { timeout: 20_000 })
    t.strictSame([...stored.keys()], keys)
    t.ok([...stored.values()].every((yes) => yes))
    const odd = keys.filter((_, index) => index % 2 === 1)
    t.ok([...(await client.deleteMulti(odd, { timeout: 20_000 })).values()].every((yes) => yes))
    const found = await client.getMulti<number>(keys, { timeout: 20_000 })
    t.strictSame([...found], entries.filter(([, index]) => index % 2 === 0), 'each value with its own key, in the order asked')
    t.strictSame([...(await client.getMulti([...keys].reverse(), { timeout: 20_000 })).keys()], [...found.keys()].reverse())
  })

  feature('keys are Buffers, UTF-8, and up to 250 bytes long', ['get', 'getMulti', 'set', 'delete', 'incr', 'touch'], async (t, { client, key }) => {
    const base = key()
    const long = base + 'k'.repeat(250 - base.length)
    const longUtf8 = base + 'é'.repeat(Math.floor((250 - base.length) / 2))
    const bytes = Buffer.concat([Buffer.from(base), Buffer.from([0x80, 0xff, 0xfe, 0xc3])])
    const names = [`${base}:snow ☃`.replace(' ', '_'), `${base}:😀`, `${base}:ünï`, long, longUtf8, bytes, Buffer.from(`${base}:text`)]
    for (const [index, name] of names.entries()) {
      t.equal(await client.set(name, index), true)
      t.equal(await client.get(name), index)
      t.equal(await client.incr(name), index + 1)
      t.equal(await client.touch(name, 60), true)
    }
    const labels = names.map((name) => (typeof name === 'string' ? name : name === bytes ? bytes.toString('latin1') : name.toString()))
    t.strictSame([...(await client.getMulti(names))], labels.map((label, index) => [label, index + 1]))
    t.equal(await client.get(`${base}:text`), names.length, 'the Buffer and the text are one key')
    for (const name of names) t.equal(await client.delete(name), true)
    for (const name of names) t.equal(await client.get(name), undefined)
  })

  feature('names of prototypes are keys like others', ['setMulti', 'getMulti', 'deleteMulti', 'get'], async (t, { client }) => {
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', 'prototype']
    const entries = names.map((name): [string, string] => [name, `value of ${name}`])
    t.strictSame(await client.getMulti(names), new Map(), 'none is there by itself')
    t.strictSame(await client.setMulti(entries), new Map(names.map((name) => [name, true])))
    t.strictSame([...(await client.getMulti(names))], entries)
    for (const [name, value] of entries) t.equal(await client.get(name), value)
    t.strictSame(await client.deleteMulti(names), new Map(names.map((name) => [name, true])))
  })

  feature('a key that is too long or no key rejects, and nothing else suffers', ['get', 'set', 'getMulti'], async (t, { client, key }) => {
    const k = key()
    const outcomes = await Promise.all([client.set(k, 1), rejection(client.get('k'.repeat(251))), rejection(client.get('é'.repeat(126))), rejection(client.getMulti([k, 'a b'])), client.get(k)])
    t.equal(outcomes[0], true)
    for (const error of outcomes.slice(1, 4)) t.match(error, { name: 'MemcacheKeyError', sent: false })
    t.equal(outcomes[4], 1)
  })
}
