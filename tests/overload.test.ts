import { Buffer } from 'node:buffer'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Client, MemcacheError, MemcacheOverloadError, MemcacheSocketError, MemcacheTimeoutError, type ClientOptions } from '../lib/index.ts'
import { DRIVERS, type DriverRow } from './support/drivers.ts'
import { FaultProxy } from './support/fault-proxy.ts'
import { heapInUse } from './support/heap.ts'
import { inTime, outcome, PATIENT, recovers, SLACK, unhandled } from './support/outcomes.ts'
import { startMemcached, withoutMemcached } from './support/servers.ts'

/**
 * Callers that never wait, and servers that stand still: memory is bounded by `maxPending` and `maxPendingBytes`, what is too
 * much is told so at once, and all is well again when the server is.
 *
 *     OVERLOAD=1000000 npx tap --timeout=300 tests/overload.test.ts     bursts of a million calls
 */

/** Milliseconds from a server's return until everything is as it was. */
const BACK = 1000

const unexpected = unhandled()

void t.test('on the real memcached', { skip: withoutMemcached }, async (t) => {
  for (const row of DRIVERS) {
    await t.test(`a burst of calls that nobody waits for, while the server stands still (${row.name})`, (t) => burst(t, row))
    await t.test(`writes that the kernel does not take (${row.name})`, (t) => unread(t, row))
  }
  await t.test('many clients at once', manyClients)
})

t.test('nothing was left unhandled, nothing was warned of', async (t) => {
  await sleep(20)
  t.same(unexpected, [])
})

/** How many calls a burst has. */
const BURST = Number(process.env['OVERLOAD'] ?? 40_000)
const MOST = 500

async function burst(t: Test, { driver }: DriverRow): Promise<void> {
  const server = await startMemcached()
  t.teardown(() => server.stop())
  const client = clientOf(t, server, { driver, timeout: 60_000, maxPending: MOST })
  await client.set('key', 'v')
  const before = heapInUse()
  server.pause()
  const counts = new Map<unknown, number>()
  const count = (what: unknown): void => void counts.set(what, (counts.get(what) ?? 0) + 1)
  const failed = (error: unknown): void => count(error instanceof MemcacheOverloadError && !error.sent && error.command === 'get' ? 'overload' : error)
  let most = 0
  for (let made = 0; made < BURST; made += 1) {
    void client.get('key').then(count, failed)
    if (made % 10_000 !== 0) continue
    await nextTurn()
    most = Math.max(most, heapInUse())
  }
  await nextTurn()
  t.strictSame([...counts], [['overload', BURST - MOST]], 'what is too much is told so at once, and was not sent')
  t.ok(most - before < 20e6, `meanwhile the heap has grown by ${mega(most - before)}`)

  server.resume()
  const back = performance.now()
  t.equal(await recovers(() => client.get('key')), 'v')
  const again = await Promise.all(Array.from({ length: MOST }, () => client.get('key')))
  const took = performance.now() - back
  t.ok(again.every((value) => value === 'v'), 'there is room for as many as before')
  t.ok(took < BACK + SLACK, `${Math.round(took)} ms after the return of the server all is well`)
  t.strictSame([...counts], [['overload', BURST - MOST], ['v', MOST]], 'and those that were pending have their reply')
  t.ok(heapInUse() - before < 5e6, `the heap is what it was: ${mega(heapInUse() - before)} more`)
}

async function unread(t: Test, { driver }: DriverRow): Promise<void> {
  const server = await startMemcached(['-I', '2m'])
  t.teardown(() => server.stop())
  const proxy = await FaultProxy.start(server)
  t.teardown(() => proxy.close())
  const client = clientOf(t, proxy, { driver, timeout: 400, maxPendingBytes: 40_000_000 })
  await recovers(() => client.version(PATIENT))
  const value = Buffer.alloc(1_000_000, 'v')
  const before = process.memoryUsage().arrayBuffers
  proxy.hold()
  const calls = Array.from({ length: 200 }, (_, index) => outcome(client.set(`key-${index}`, value)))
  await nextTurn()
  t.ok(process.memoryUsage().arrayBuffers - before < 100e6, 'nothing is kept of what is refused')
  const outcomes = await Promise.all(calls)
  const refused = outcomes.filter(({ error }) => error instanceof MemcacheOverloadError)
  const rest = outcomes.filter(({ error }) => !(error instanceof MemcacheOverloadError))
  t.equal(rest.length, 39)
  t.ok(refused.every(({ error }) => error?.sent === false))
  t.ok(rest.every(({ error, took }) => error instanceof MemcacheSocketError && took < 400 + SLACK), 'the others are overdue, or have lost their connection')
  t.ok(rest.some(({ error }) => error instanceof MemcacheTimeoutError))
  const unsent = outcomes.flatMap(({ error }, index) => (error?.sent === false ? [`key-${index}`] : []))
  proxy.release()
  t.equal(await recovers(() => client.set('last', value, PATIENT)), true)
  await inTime(proxy.drained(), 20_000, 'what the server still had to read')
  t.strictSame([...(await client.getMulti(unsent, PATIENT)).keys()], [], 'what was not sent is not stored')
  for (let round = 0; round < 3; round += 1) {
    const stored = await Promise.all(Array.from({ length: 39 }, (_, index) => client.set(`key-${index}`, value, PATIENT)))
    t.ok(stored.every((each) => each), 'what was pending is not counted for ever')
  }
}

async function manyClients(t: Test): Promise<void> {
  const server = await startMemcached()
  t.teardown(() => server.stop())
  const clients = Array.from({ length: 200 }, (_, index) => clientOf(t, server, { driver: DRIVERS[index % DRIVERS.length]!.driver, maxPending: 50 }))
  await Promise.all(clients.map((client, index) => client.set(`key-${index}`, index)))
  server.pause()
  const calls = clients.flatMap((client, index) => Array.from({ length: 100 }, () => outcome(client.get(`key-${index}`, { timeout: 20_000 })).then((made) => ({ ...made, index }))))
  await sleep(50)
  server.resume()
  const outcomes = await Promise.all(calls)
  t.equal(outcomes.filter(({ error }) => error instanceof MemcacheOverloadError && !error.sent).length, 200 * 50)
  t.strictSame(outcomes.filter(({ value, error, index }) => value !== index && !(error instanceof MemcacheOverloadError)), [], 'each of the others has its own value')
  t.ok(outcomes.every(({ error }) => error === undefined || error instanceof MemcacheError))
}

function clientOf(t: Test, { port }: { readonly port: number }, options: ClientOptions): Client {
  const client = new Client({ port, connectTimeout: 20_000, ...options })
  t.teardown(() => client.close())
  return client
}

function mega(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}
