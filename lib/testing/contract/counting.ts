import { deepEqual, equal } from 'node:assert/strict'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { clause, type Clause } from './clause.ts'
import { rejects } from './rejection.ts'

const LARGEST = 2n ** 64n - 1n
const SAFE = BigInt(Number.MAX_SAFE_INTEGER)

/** incr and decr: 64 bits without a sign, in the caller's own type. */
export const counting: readonly Clause[] = [
  clause('incr and decr count by 1 or by the delta', ['memory', 'incr', 'decr', 'set', 'get'], async ({ client, key }) => {
    const k = key()
    equal(await client.incr(k), undefined, 'nothing is made without initial')
    equal(await client.decr(k, 5n), undefined)
    equal(await client.get(k), undefined)
    await client.set(k, 10)
    equal(await client.incr(k), 11)
    equal(await client.incr(k, 5), 16)
    equal(await client.decr(k), 15)
    equal(await client.decr(k, 5), 10)
    equal(await client.incr(k, 0), 10)
    equal(await client.incr(k, 7n), 17n)
    equal(await client.get(k), 17, 'the flags stay: it is a number')
    await client.set(k, 20n)
    equal(await client.incr(k), 21)
    equal(await client.get(k), 21n, 'and this one a bigint')
    await client.set(k, '30')
    equal(await client.incr(k), 31)
    equal(await client.get(k), '31', 'and this one a string')
  }),

  clause('a negative delta turns the direction around', ['memory', 'incr', 'decr', 'set'], async ({ client, key }) => {
    const k = key()
    await client.set(k, 10)
    equal(await client.incr(k, -3), 7)
    equal(await client.decr(k, -3), 10)
    equal(await client.incr(k, -3n), 7n)
    equal(await client.decr(k, -5n), 12n)
    equal(await client.incr(k, -13), 0, 'and down stops at 0')
  }),

  clause('decr stops at 0, and what it leaves is read as a number', ['memory', 'incr', 'decr', 'set', 'get', 'gets', 'getMulti'], async ({ client, key }) => {
    const k = key()
    await client.set(k, 1000)
    equal(await client.decr(k, 1), 999)
    equal(await client.get(k), 999, 'a server may keep "999 "')
    equal((await client.gets(k))?.value, 999)
    deepEqual(await client.getMulti([k]), new Map([[k, 999]]))
    equal(await client.incr(k, 2), 1001)
    equal(await client.decr(k, 997), 4)
    equal(await client.get(k), 4)
    equal(await client.decr(k, 5), 0)
    equal(await client.decr(k), 0)
    equal(await client.get(k), 0)
    await client.set(k, 10n)
    equal(await client.decr(k, LARGEST), 0n)
    equal(await client.get(k), 0n)
  }),

  clause('incr goes on at 0 past 2^64-1, exact with bigints', ['memory', 'incr', 'decr', 'set', 'get'], async ({ client, key }) => {
    const k = key()
    await client.set(k, LARGEST - 1n)
    equal(await client.incr(k, 1n), LARGEST)
    equal(await client.get(k), LARGEST)
    equal(await client.decr(k, 0n), LARGEST)
    equal(await client.incr(k, 3n), 2n)
    equal(await client.incr(k, LARGEST), 1n)
    for (const count of [2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 63n]) {
      await client.set(k, count - 1n)
      equal(await client.incr(k, 1n), count)
      equal(await client.incr(k, 1n), count + 1n)
      equal(await client.decr(k, 2n), count - 1n)
      equal(await client.get(k), count - 1n)
      equal(await client.incr(k, count), 2n * count - 1n)
    }
  }),

  clause('a count past 2^53-1 with a number delta is an error, not a rounded number', ['memory', 'incr', 'decr', 'set'], async ({ client, key }) => {
    const k = key()
    await client.set(k, SAFE - 1n)
    equal(await client.incr(k), Number.MAX_SAFE_INTEGER)
    await rejects(client.incr(k), { name: 'MemcacheValueError', command: 'incr', sent: true })
    equal(await client.incr(k, 0n), SAFE + 1n, 'the server has counted once')
    await rejects(client.decr(k, 0), { name: 'MemcacheValueError', command: 'decr', sent: true })
    equal(await client.decr(k, 1), Number.MAX_SAFE_INTEGER)
  }),

  clause('initial makes the counter, without the delta', ['memory', 'incr', 'decr', 'add', 'get', 'getMulti'], async ({ client, key }) => {
    const [up, down, big, zero] = [key('up'), key('down'), key('big'), key('zero')]
    equal(await client.incr(up, 5, { initial: 100 }), 100)
    equal(await client.incr(up, 5, { initial: 100 }), 105)
    equal(await client.get(up), 105, 'it is a number')
    equal(await client.decr(up, 6, { initial: 100 }), 99)
    deepEqual(await client.getMulti([up]), new Map([[up, 99]]))
    equal(await client.decr(down, 5, { initial: 3 }), 3)
    equal(await client.decr(down, 5, { initial: 3 }), 0)
    equal(await client.incr(big, 1n, { initial: LARGEST }), LARGEST)
    equal(await client.incr(big, 1n, { initial: LARGEST }), 0n)
    equal(await client.incr(zero, undefined, { initial: 0n }), 0)
    equal(await client.incr(zero, 1, { initial: 7 }), 1)
  }),

  clause('initial in many calls at once makes one counter', ['memory', 'incr', 'add'], async ({ client, make, key }) => {
    const k = key()
    const other = make()
    const counts = await Promise.all(Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? client : other).incr(k, 1, { initial: 1 })))
    deepEqual(counts.map(Number).sort((a, b) => a - b), Array.from({ length: 20 }, (_, index) => index + 1))
  }),

  clause('what is no number cannot be counted, and the connection lives', ['memory', 'incr', 'decr', 'set', 'get'], async ({ client, key }) => {
    const k = key()
    let connections = 0
    client.on('connect', () => (connections += 1))
    for (const value of ['text', '', '-5', '1.5', '18446744073709551616', 1.5, -5, { a: 1 }, null]) {
      await client.set(k, value)
      await rejects(client.incr(k), { name: 'MemcacheClientError', command: 'incr', sent: true }, `incr of ${String(value)}`)
      await rejects(client.decr(k, 1n), { name: 'MemcacheClientError', command: 'decr', sent: true }, `decr of ${String(value)}`)
      deepEqual(await client.get(k), value)
    }
    await nextTurn()
    equal(connections, 1)
  }),
]
