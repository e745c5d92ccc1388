import { Buffer } from 'node:buffer'
import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { text } from '../../drivers/text.ts'
import { Client } from '../../lib/client.ts'
import type { CallOptions, Item, Key } from '../../lib/commands.ts'
import type { Driver, DriverFactory } from '../../lib/driver.ts'
import { intercept, type Middleware } from '../../lib/middleware.ts'
import { driverContract, startServer, type ContractSubject } from '../../lib/testing/index.ts'
import { wrap } from '../../lib/wrap.ts'

/** The contract's own test: drivers that do one thing wrong, each of which it has to find out. */

/** Faults in what becomes of a request. */
const LAYERS: { readonly [fault: string]: Middleware } = {
  'the timeout of a call is ignored': (next) => (request, call) => next(request, without(call, 'timeout')),
  'a call is never settled': intercept({ touch: () => new Promise(() => {}) }),
  'flags are lost': stored((item) => ({ ...item, flags: 0 })),
  'flags have 16 bits': stored((item) => ({ ...item, flags: item.flags & 0xffff })),
  'flags have a sign': read((item) => ({ ...item, flags: item.flags | 0 })),
  'flags are read in another order of bytes': read((item) => ({ ...item, flags: Buffer.from(new Uint32Array([item.flags]).buffer).readUInt32BE() })),
  'an empty value is a miss': intercept({ get: async (request, next, call) => emptyAsMiss(await next(request, call)) }),
  'a miss is an empty value': intercept({ get: async (request, next, call) => (await next(request, call)) ?? { value: Buffer.alloc(0), flags: 0, cas: 0n } }),
  'a value is text': read((item) => ({ ...item, value: Buffer.from(item.value.toString()) })),
  'values are in memory that is used again': read((item) => ({ ...item, value: recycled(item.value) })),
  'a value ends at its first line': stored((item) => ({ ...item, value: Buffer.from(item.value.toString('latin1').split('\r\n')[0] ?? '', 'latin1') })),
  'keys are in ASCII': intercept({
    get: (request, next, call) => next({ ...request, key: ascii(request.key) }, call),
    store: (request, next, call) => next({ ...request, key: ascii(request.key) }, call),
  }),
  'getMulti gives the values in another order': intercept({ getMulti: async (request, next, call) => [...(await next(request, call))].reverse() }),
  'getMulti gives the hits without the misses': intercept({ getMulti: async (request, next, call) => (await next(request, call)).filter((item) => item !== undefined) }),
  'getMulti gives no cas ids': intercept({ getMulti: (request, next, call) => next({ ...request, cas: false }, call) }),
  'gat does not touch': intercept({ get: ({ op, key, cas }, next, call) => next({ op, key, cas }, call) }),
  'gats gives no cas id': intercept({ get: (request, next, call) => next(request.touch === undefined ? request : { ...request, cas: false }, call) }),
  'add is set': intercept({ store: (request, next, call) => next(request.mode === 'add' ? { ...request, mode: 'set' } : request, call) }),
  'replace is set': intercept({ store: (request, next, call) => next(request.mode === 'replace' ? { ...request, mode: 'set' } : request, call) }),
  'prepend is append': intercept({ store: (request, next, call) => next(request.mode === 'prepend' ? { ...request, mode: 'append' } : request, call) }),
  'append to nothing is set': intercept({
    async store(request, next, call) {
      const status = await next(request, call)
      return request.mode === 'append' && status === 'not-stored' ? next({ ...request, mode: 'set' }, call) : status
    },
  }),
  'cas is set': intercept({ store: (request, next, call) => next(request.mode === 'cas' ? { ...request, mode: 'set' } : request, call) }),
  'cas id 0 matches everything': intercept({ store: (request, next, call) => next(request.item.cas === 0n ? { ...request, mode: 'set' } : request, call) }),
  'exists is taken for stored': intercept({ store: async (request, next, call) => ((await next(request, call)) === 'not-stored' ? 'not-stored' : 'stored') }),
  'not-stored is taken for stored': intercept({ store: async (request, next, call) => ((await next(request, call)) === 'exists' ? 'exists' : 'stored') }),
  'delete is always true': intercept({ delete: async (request, next, call) => (await next(request, call)) || true }),
  'touch is always true': intercept({ touch: async (request, next, call) => (await next(request, call)) || true }),
  'touch does nothing': intercept({ touch: async ({ key }, next, call) => (await next({ op: 'get', key, cas: false }, call)) !== undefined }),
  'counts are numbers': counted((count) => BigInt(Number(count))),
  'counts have 32 bits': counted((count) => BigInt.asUintN(32, count)),
  'counts have a sign': counted((count) => BigInt.asIntN(64, count)),
  'a count is taken twice': intercept({ count: async (request, next, call) => (await next(request, call), next(request, call)) }),
  'decr goes below 0': intercept({ count: async (request, next, call) => (request.down && request.delta > 10n ? -1n : next(request, call)) }),
  'a counter that is missing is made': intercept({
    async count({ key, ...request }, next, call) {
      await next({ op: 'store', mode: 'add', key, item: { value: Buffer.from('0'), flags: 2 }, expires: 0 }, call)
      return next({ key, ...request }, call)
    },
  }),
  'times to live are ignored': intercept({ store: (request, next, call) => next({ ...request, expires: 0 }, call) }),
  'times to live are milliseconds': intercept({ store: (request, next, call) => next({ ...request, expires: Math.ceil(request.expires / 1000) }, call) }),
  'more than 30 days is from now': intercept({
    touch: (request, next, call) => next({ ...request, expires: request.expires > 2_592_000 ? request.expires - Math.floor(Date.now() / 1000) : request.expires }, call),
  }),
  'what is expired at once never is': intercept({ store: (request, next, call) => next({ ...request, expires: Math.max(request.expires, 0) }, call) }),
  'flush does nothing': intercept({ flush: async (_, next, call) => typeof (await next({ op: 'version' }, call)) === 'string' }),
  'flush forgets its delay': intercept({ flush: (request, next, call) => next({ ...request, delay: 0 }, call) }),
  'stats forget their section': intercept({ stats: (request, next, call) => next({ ...request, section: '' }, call) }),
  'a get overtakes a set': intercept({ store: async (request, next, call) => (await nextTurn(), next(request, call)) }),
  'the signal of a call is ignored': (next) => (request, call) => next(request, without(call, 'signal')),
  'errors are not ermc\'s': (next) => (request, call) => next(request, call).catch((error: Error) => { throw new Error(error.message) }),
  'errors do not say that they were sent': (next) => (request, call) => next(request, call).catch((error: object) => { throw Object.assign(error, { sent: false }) }),
  'errors say that they were sent': (next) => (request, call) => next(request, call).catch((error: object) => { throw Object.assign(error, { sent: true }) }),
  'a fault is a miss': intercept({ get: (request, next, call) => next(request, call).catch(() => undefined) }),
  'what it cannot do is done all the same': intercept({ metaGet: async () => undefined }),
  'what is lost is repeated': (next) => (request, call) => next(request, call).catch((error: Error) => (error.name === 'MemcacheSocketError' ? next(request, call) : Promise.reject(error))),
}

/** Faults in what becomes of a connection. */
const DRIVERS: { readonly [fault: string]: DriverFactory } = {
  'close() leaves what is pending': (endpoint) => bent(text(endpoint), { disconnect: async () => {} }),
  'it never looks connected': (endpoint) => bent(text(endpoint), { connected: false }),
  'it always looks connected': (endpoint) => bent(text(endpoint), { connected: true }),
  'connect() does not wait': (endpoint) => bent(text(endpoint), { connect: async () => {} }),
  'there is no event of a connection': (endpoint) => text({ ...endpoint, onConnect() {} }),
  'there is no event of its end': (endpoint) => text({ ...endpoint, onDisconnect() {} }),
  'maxPending is ignored': (endpoint) => text({ ...endpoint, maxPending: Infinity }),
  'maxPendingBytes is ignored': (endpoint) => text({ ...endpoint, maxPendingBytes: Infinity }),
  'the client\'s timeout is ignored': (endpoint) => text({ ...endpoint, timeout: 3000 }),
  'what was closed opens by itself': (endpoint) => {
    const driver = text(endpoint)
    return bent(driver, { disconnect: async (reason) => (await driver.disconnect(reason), driver.connect()) })
  },
}

const FAULTS: { readonly [fault: string]: DriverFactory } = {
  ...Object.fromEntries(Object.entries(LAYERS).map(([fault, layer]) => [fault, layered(layer)])),
  ...DRIVERS,
}

/** The text driver with a layer. */
function layered(layer: Middleware): DriverFactory {
  return (endpoint) => {
    const driver = text(endpoint)
    return bent(driver, { execute: layer(driver.execute) })
  }
}

/** A driver that does some things otherwise. */
function bent(driver: Driver, otherwise: Partial<Driver>): Driver {
  return {
    get connected() {
      return otherwise.connected ?? driver.connected
    },
    get socket() {
      return driver.socket
    },
    connect: otherwise.connect ?? (() => driver.connect()),
    execute: otherwise.execute ?? driver.execute,
    disconnect: otherwise.disconnect ?? ((reason) => driver.disconnect(reason)),
  }
}

/** A fault in how items are written. */
function stored(change: (item: Item) => Item): Middleware {
  return intercept({ store: (request, next, call) => next({ ...request, item: change(request.item) }, call) })
}

/** A fault in how items are read. */
function read(change: (item: Item) => Item): Middleware {
  return intercept({
    get: async (request, next, call) => optional(await next(request, call), change),
    getMulti: async (request, next, call) => (await next(request, call)).map((item) => optional(item, change)),
  })
}

function optional(item: Item | undefined, change: (item: Item) => Item): Item | undefined {
  return item && change(item)
}

function counted(change: (count: bigint) => bigint): Middleware {
  return intercept({
    async count(request, next, call) {
      const count = await next(request, call)
      return count === undefined ? undefined : change(count)
    },
  })
}

function emptyAsMiss(item: Item | undefined): Item | undefined {
  return item?.value.length === 0 ? undefined : item
}

/** The same bytes, in memory that the next value will be in as well. */
const memory = Buffer.alloc(4_000_000)
function recycled(value: Buffer): Buffer {
  value.copy(memory)
  return memory.subarray(0, value.length)
}

function ascii(key: Key): Key {
  return key.replace(/[^\x21-\x7e]/g, '?')
}

function without(call: CallOptions | undefined, name: keyof CallOptions): CallOptions {
  return { ...call, [name]: undefined }
}

/** The first check that a driver fails; `undefined` if it passes all. */
async function firstFailure(subject: ContractSubject): Promise<string | undefined> {
  for (const { name, run } of driverContract(subject)) {
    const failed = await run().then(() => false, () => true)
    if (failed) return name
  }
  return undefined
}

/** The first check that a driver of the text protocol fails, on a server of its own. */
async function failureOf(driver: DriverFactory): Promise<string | undefined> {
  let ahead = 0
  await using server = await startServer({ now: () => Date.now() + ahead })
  return await firstFailure({
    client: (options) => new Client({ host: server.host, port: server.port, driver, ...options }),
    unsupported: ['metaGet', 'binaryKeys'],
    advance: (seconds) => void (ahead += seconds * 1000),
  })
}

void t.test('each fault of a driver is found', async (t) => {
  t.equal(await failureOf(layered((next) => next)), undefined, 'without a fault nothing is found')
  const faults = Object.entries(FAULTS).values()
  const worker = async (): Promise<void> => {
    for (const [name, driver] of faults) {
      const found = await failureOf(driver)
      t.ok(found, `${name}: ${found ?? 'not found'}`)
    }
  }
  await Promise.all([worker(), worker(), worker()]) // some of what finds them has to wait
})

void t.test('what a driver says of itself has to be true', async (t) => {
  const forgetful = wrap('forgetful', () => ({ commands: { get: () => undefined, store: () => 'stored' }, close() {} }))
  const client: ContractSubject['client'] = (options) => new Client({ driver: forgetful, ...options })
  t.ok(await firstFailure({ client, serverless: true, unsupported: [] }), 'that it remembers')
  t.ok(await firstFailure({ client, serverless: true, forgets: true }), 'that it has all commands')
})

void t.test('checks as test runners take them', async (t) => {
  const subject: ContractSubject = { client: () => new Client() }
  const checks = driverContract(subject)
  t.ok(checks.length > 60, `${checks.length} checks`)
  t.equal(new Set(checks.map(({ name }) => name)).size, checks.length, 'no two have the same name')
  for (const { name, run } of checks) t.equal(run.length, 0, `${name}: no argument, which could be taken for a callback`)
  const names = (more: Partial<ContractSubject>): string[] => driverContract({ ...subject, ...more }).map(({ name }) => name)
  t.notMatch(names({ shared: true }).join('\n'), /flushAll|prototypes|verbosity is set/, 'nothing that others would notice')
  t.match(names({}).join('\n'), /flushAll/)
  t.notMatch(names({ serverless: true }).join('\n'), /a server that/)
})
