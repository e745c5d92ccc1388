import { deepEqual, equal } from 'node:assert/strict'
import { clause, type Clause } from './clause.ts'
import { misbehaviours } from './faulty-server.ts'
import { later, rejects } from './rejection.ts'

const OVERLOAD = { name: 'MemcacheOverloadError', sent: false }
const CLOSED = { name: 'MemcacheClosedError' }

/** maxPending and maxPendingBytes: memory does not grow without bound while a server does not answer. */
export const bounds: readonly Clause[] = [
  clause('past maxPending a call rejects with MemcacheOverloadError, at once', ['server', 'get', 'set'], async ({ make, key, faulty }) => {
    const server = await faulty(misbehaviours.silent)
    const client = make({ ...server.address, maxPending: 3 })
    const pending = [client.get(key()), client.set(key(), 1), client.get(key())].map((call) => later(rejects(call, CLOSED)))
    await rejects(client.get(key()), { ...OVERLOAD, command: 'get' })
    await rejects(client.set(key(), 1), { ...OVERLOAD, command: 'set' })
    await client.close()
    await Promise.all(pending)
  }),

  clause('past maxPendingBytes a call rejects with MemcacheOverloadError, at once', ['server', 'get', 'set'], async ({ make, key, faulty }) => {
    const server = await faulty(misbehaviours.silent)
    const client = make({ ...server.address, maxPendingBytes: 2000 })
    const pending = later(rejects(client.set(key(), 'v'.repeat(1500)), CLOSED))
    await rejects(client.set(key(), 'v'.repeat(1500)), { ...OVERLOAD, command: 'set' })
    const small = later(rejects(client.get(key()), CLOSED))
    await client.close()
    await Promise.all([pending, small])
  }),

  clause('what has its reply is pending no more', ['memory', 'get', 'set'], async ({ make, key }) => {
    const client = make({ maxPending: 2, maxPendingBytes: 10_000 })
    const k = key()
    for (let time = 0; time < 10; time += 1) {
      equal(await client.set(k, `${time}`.repeat(5000)), true)
      deepEqual(await Promise.all([client.get(k), client.get(k)]), [`${time}`.repeat(5000), `${time}`.repeat(5000)])
    }
  }),

  clause('setMulti and deleteMulti fit themselves into maxPending and maxPendingBytes', ['memory', 'setMulti', 'deleteMulti'], async ({ make, key }) => {
    const base = key()
    const entries = Array.from({ length: 300 }, (_, index): [string, string] => [`${base}:${index}`, String(index).padStart(100, '.')])
    const names = entries.map(([name]) => name)
    for (const options of [{ maxPending: 25 }, { maxPendingBytes: 20_000 }, { maxPending: 275 }, { maxPending: 10, errorAsMiss: true }]) {
      const client = make({ ...options, timeout: 10_000 })
      deepEqual([...(await client.setMulti(entries))], names.map((name) => [name, true]), JSON.stringify(options))
      deepEqual([...(await client.deleteMulti(names))], names.map((name) => [name, true]), JSON.stringify(options))
    }
  }),
]
