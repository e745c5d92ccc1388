import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { deepEqual, equal, ok } from 'node:assert/strict'
import { CALLS, COMMANDS, MISSES } from './calls.ts'
import { clause, type Clause } from './clause.ts'
import { misbehaviours } from './faulty-server.ts'
import { LOST, rejects } from './rejection.ts'

/** How long anything may take beyond its deadline on a machine that is busy: milliseconds. */
const PATIENCE = 2500
const TIMEOUT = 300

/** Servers that are not there, do not answer, go away, or are no memcached: every call settles, with the right error. */
export const faults: readonly Clause[] = [
  clause('where no server is, every command rejects with MemcacheSocketError, at once and not sent', ['server'], async ({ make, key, has }) => {
    const client = make(await nowhere())
    const began = performance.now()
    for (const command of COMMANDS.filter((each) => has(each))) {
      const error = await rejects(CALLS[command](client, key()), { name: 'MemcacheSocketError', command, sent: false }, command)
      ok(error.server !== undefined, 'the error names the server')
    }
    await rejects(client.connect(), { name: 'MemcacheSocketError', sent: false }, 'connect()')
    ok(performance.now() - began < PATIENCE)
    equal(client.isConnected(), false)
  }),

  clause('many calls at once share one attempt to connect, and its error', ['server', 'get'], async ({ make, key }) => {
    const client = make(await nowhere())
    const calls = Array.from({ length: 20 }, () => rejects(client.get(key()), { name: 'MemcacheSocketError', command: 'get', sent: false }))
    equal(new Set(await Promise.all(calls)).size, 20, 'each caller has an error of its own')
  }),

  clause('a server that does not answer is waited for until the deadline', ['server'], async ({ make, key, has, faulty }) => {
    const server = await faulty(misbehaviours.silent)
    const client = make({ ...server.address, timeout: TIMEOUT })
    await client.connect()
    const began = performance.now()
    const calls = COMMANDS.filter((each) => has(each)).map((command) => rejects(CALLS[command](client, key()), { name: LOST, command, sent: true }, command))
    ok((await Promise.all(calls)).some(({ name }) => name === 'MemcacheTimeoutError'))
    const took = performance.now() - began
    ok(took >= TIMEOUT - 5 && took < TIMEOUT + PATIENCE, `it took ${took} ms`)
  }),

  ...(['closing', 'resetting'] as const).map((how) =>
    clause(`a server that is ${how} the connection ends what is pending, and nothing is repeated`, ['server'], async ({ make, key, has, faulty }) => {
      const server = await faulty(misbehaviours[how])
      const client = make({ ...server.address, timeout: TIMEOUT })
      const some = COMMANDS.filter((each) => has(each) && each !== 'flushAll').slice(-6)
      for (const [place, command] of some.entries()) {
        await rejects(CALLS[command](client, key()), { name: LOST, command, sent: true }, command)
        equal(server.connections, place + 1, 'each command connects, once')
      }
    }),
  ),

  clause('a server that goes away is told as a disconnect, with why', ['server', 'get'], async ({ make, key, faulty }) => {
    const server = await faulty(misbehaviours.closing)
    const client = make({ ...server.address, timeout: TIMEOUT })
    const causes: Error[] = []
    client.on('disconnect', (cause) => causes.push(cause))
    await rejects(client.get(key()), { name: LOST })
    await nextTurn()
    equal(client.isConnected(), false)
    equal(causes.length, 1)
    await rejects(Promise.reject(causes[0]), { name: LOST }, 'the cause')
  }),

  clause('a server that is no memcached gives an error, and never a result', ['server'], async ({ make, key, has, faulty }) => {
    const server = await faulty(misbehaviours.babbling)
    for (const command of COMMANDS.filter((each) => has(each))) {
      const client = make({ ...server.address, timeout: TIMEOUT })
      await rejects(CALLS[command](client, key()), { name: LOST, command, sent: true }, command)
    }
  }),

  clause('errorAsMiss makes misses of the faults of a connection', ['server'], async ({ make, key, has }) => {
    const client = make({ ...(await nowhere()), errorAsMiss: true })
    for (const command of COMMANDS.filter((each) => has(each))) {
      const k = key()
      deepEqual(await CALLS[command](client, k), MISSES[command](k), command)
    }
    await rejects(client.connect(), { name: 'MemcacheSocketError' }, 'connect(), which is no command,')
  }),

  clause('errorAsMiss makes misses of refusals, and none of bad arguments', ['memory', 'set', 'get', 'incr', 'getMulti'], async ({ make, key }) => {
    const client = make({ errorAsMiss: true })
    const k = key()
    equal(await client.set(k, 'text'), true)
    equal(await client.incr(k), undefined)
    await rejects(client.get(''), { name: 'MemcacheKeyError' })
    await rejects(client.getMulti(['']), { name: 'MemcacheKeyError' })
    await rejects(client.set(k, undefined), { name: 'MemcacheValueError' })
    await rejects(client.set(k, 1, { ttl: NaN }), { name: 'MemcacheValueError' })
    await rejects(client.incr(k, 0.5), { name: 'MemcacheValueError' })
    equal(await client.get(k), 'text')
  }),
]

/** What leads a client to a port that nobody listens on: one that was free a moment ago. */
async function nowhere(): Promise<{ host: string; port: number; path: undefined }> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return { host: '127.0.0.1', port, path: undefined }
}
