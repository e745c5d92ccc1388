import type { Feature } from './contract.ts'
import { rejection } from './rejection.ts'

const LARGEST = 2n ** 64n - 1n

/** incr and decr: 64 bits without a sign, in the caller's own type. */
export function counting(feature: Feature): void {
  feature('incr and decr count by 1 or by the delta', ['incr', 'decr', 'set', 'get'], async (t, { client, key }) => {
    const k = key()
    t.equal(await client.incr(k), undefined, 'nothing is made without initial')
    t.equal(await client.decr(k, 5n), undefined)
    t.equal(await client.get(k), undefined)
    await client.set(k, 10)
    t.equal(await client.incr(k), 11)
    t.equal(await client.incr(k, 5), 16)
    t.equal(await client.decr(k), 15)
    t.equal(await client.decr(k, 5), 10)
    t.equal(await client.incr(k, 0), 10)
    t.equal(await client.incr(k, 7n), 17n)
    t.equal(await client.get(k), 17, 'the flags stay: it is a number')
    await client.set(k, 20n)
    t.equal(await client.incr(k), 21)
    t.equal(await client.get(k), 21n, 'and this one a bigint')
    await client.set(k, '30')
    t.equal(await client.incr(k), 31)
    t.equal(await client.get(k), '31')
  })

  feature('a negative delta turns the direction around', ['incr', 'decr', 'set'], async (t, { client, key }) => {
    const k = key()
    await client.set(k, 10)
    t.equal(await client.incr(k, -3), 7)
    t.equal(await client.decr(k, -3), 10)
    t.equal(await client.incr(k, -3n), 7n)
    t.equal(await client.decr(k, -5n), 12n)
    t.equal(await client.incr(k, -13), 0, 'and down stops at 0')
  })

  feature('decr stops at 0, and what it leaves is read back trimmed', ['decr', 'set', 'get', 'gets', 'getMulti'], async (t, { client, key }) => {
    const k = key()
    await client.set(k, 1000)
    t.equal(await client.decr(k, 1), 999)
    t.equal(await client.get(k), 999, 'the server keeps "999 "')
    t.equal((await client.gets(k))?.value, 999)
    t.strictSame(await client.getMulti([k]), new Map([[k, 999]]))
    t.equal(await client.decr(k, 995), 4)
    t.equal(await client.get(k), 4)
    t.equal(await client.decr(k, 5), 0)
    t.equal(await client.get(k), 0)
    await client.set(k, 10n)
    t.equal(await client.decr(k, LARGEST), 0n)
    t.equal(await client.get(k), 0n)
  })

  feature('incr goes on at 0 past 2^64, exact with bigints', ['incr', 'set', 'get'], async (t, { client, key }) => {
    const k = key()
    await client.set(k, LARGEST - 1n)
    t.equal(await client.incr(k, 1n), LARGEST)
    t.equal(await client.get(k), LARGEST)
    t.equal(await client.incr(k, 3n), 2n)
    t.equal(await client.incr(k, LARGEST), 1n)
    await client.set(k, 2n ** 53n)
    t.equal(await client.incr(k, 1n), 2n ** 53n + 1n)
  })

  feature('a count past 2^53 with a number delta is an error, not a rounded number', ['incr', 'decr', 'set', 'get'], async (t, { client, key }) => {
    const k = key()
    await client.set(k, BigInt(Number.MAX_SAFE_INTEGER) - 1n)
    t.equal(await client.incr(k), Number.MAX_SAFE_INTEGER)
    t.match(await rejection(client.incr(k)), { name: 'MemcacheValueError', command: 'incr', sent: true })
    t.equal(await client.incr(k, 0n), 2n ** 53n, 'the server has counted once')
    t.match(await rejection(client.decr(k, 0)), { name: 'MemcacheValueError', command: 'decr', sent: true })
    t.equal(await client.decr(k, 1), Number.MAX_SAFE_INTEGER)
  })

  feature('initial makes the counter, without the delta', ['incr', 'decr', 'get', 'set'], async (t, { client, key }) => {
    const [up, down, big, zero] = [key('up'), key('down'), key('big'), key('zero')]
    t.equal(await client.incr(up, 5, { initial: 100 }), 100)
    t.equal(await client.incr(up, 5, { initial: 100 }), 105)
    t.equal(await client.get(up), 105)
    t.equal(await client.decr(down, 5, { initial: 3 }), 3)
    t.equal(await client.decr(down, 5, { initial: 3 }), 0)
    t.equal(await client.incr(big, 1n, { initial: LARGEST }), LARGEST)
    t.equal(await client.incr(big, 1n, { initial: LARGEST }), 0n)
    t.equal(await client.incr(zero, undefined, { initial: 0n }), 0)
    t.equal(await client.incr(zero, 1, { initial: 7 }), 1)
    t.match(await rejection(client.incr(key(), 1, { initial: 2n ** 60n })), { name: 'MemcacheValueError' }, 'not a rounded number')
    for (const initial of [-1, -1n, 1.5, NaN, Infinity, 2n ** 64n, 2 ** 53]) {
      t.match(await rejection(client.incr(up, 1, { initial })), { name: 'MemcacheValueError', sent: false }, String(initial))
    }
    t.equal(await client.get(up), 105)
  })

  feature('initial in many calls at once makes one counter', ['incr'], async (t, { client, make, key }) => {
    const k = key()
    const other = make()
    const counts = await Promise.all(Array.from({ length: 20 }, (_, index) => (index % 2 ? client : other).incr(k, 1, { initial: 1 })))
    t.strictSame(counts.map(Number).sort((a, b) => a - b), Array.from({ length: 20 }, (_, index) => index + 1))
  })

  feature('what is no number cannot be counted, and the connection lives', ['incr', 'decr', 'set', 'get'], async (t, { client, key }) => {
    const k = key()
    for (const value of ['text', '', '-5', '1.5', 1.5, { a: 1 }, null]) {
      await client.set(k, value)
      t.match(await rejection(client.incr(k)), { name: 'MemcacheClientError', command: 'incr', sent: true })
      t.match(await rejection(client.decr(k, 1n)), { name: 'MemcacheClientError', command: 'decr' })
      t.strictSame(await client.get(k), value)
    }
    await client.set(k, -5)
    t.match(await rejection(client.incr(k)), { name: 'MemcacheClientError' }, 'nor what is below 0')
  })

  feature('a delta outside 64 bits, or no whole number, is refused', ['incr', 'decr', 'set', 'get'], async (t, { client, key }) => {
    const k = key()
    await client.set(k, 5)
    for (const delta of [0.5, NaN, Infinity, -Infinity, 2 ** 53, 2n ** 64n, -(2n ** 64n)]) {
      t.match(await rejection(client.incr(k, delta as number)), { name: 'MemcacheValueError', sent: false }, `incr ${delta}`)
      t.match(await rejection(client.decr(k, delta as number)), { name: 'MemcacheValueError', sent: false }, `decr ${delta}`)
    }
    t.equal(await client.get(k), 5)
  })
}
