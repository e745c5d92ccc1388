import { Buffer } from 'node:buffer'
import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { text } from '../../drivers/text.ts'
import { Client } from '../../lib/client.ts'
import type { CallOptions, Item, Key, Op } from '../../lib/commands.ts'
import type { Driver, DriverFactory } from '../../lib/driver.ts'
import { intercept, type Handler, type Middleware } from '../../lib/middleware.ts'
import { driverContract, startServer, type ContractSubject } from '../../lib/testing/index.ts'
import { wrap } from '../../lib/wrap.ts'

/** The contract's own test: drivers that do one thing wrong, each of which it has to find out. */

/** By the check that has to find it: the text driver with a fault. */
const FAULTS: { readonly [check: string]: { readonly [fault: string]: DriverFactory } } = {
  'metaGet rejects with MemcacheUnsupportedError, and sends nothing': {
    'what it cannot do is done all the same': broken({ metaGet: async () => undefined }),
    'errors say that they were sent': layered((next) => (request, call) => next(request, call).catch((error: object) => { throw Object.assign(error, { sent: true }) })),
  },
  'get gives the value, and undefined for a miss': {
    'a miss is an empty value': broken({ get: async (request, next, call) => (await next(request, call)) ?? { value: Buffer.alloc(0), flags: 0, cas: 0n } }),
  },
  'getMulti gives the hits by key, in the order asked': {
    'getMulti gives the values in another order': broken({ getMulti: async (request, next, call) => [...(await next(request, call))].reverse() }),
    'getMulti gives the hits without the misses': broken({ getMulti: async (request, next, call) => (await next(request, call)).filter((item) => item !== undefined) }),
  },
  'getsMulti gives each value with its cas id': {
    'getMulti gives no cas ids': broken({ getMulti: (request, next, call) => next({ ...request, cas: false }, call) }),
  },
  'gat and gats read and touch, which is no change': {
    'gats gives no cas id': broken({ get: (request, next, call) => next(request.touch === undefined ? request : { ...request, cas: false }, call) }),
  },
  'a Buffer that was read stays as it is': {
    'values are in memory that is used again': read((item) => ({ ...item, value: recycled(item.value) })),
  },
  'add stores where nothing is, replace where something is': {
    'add is set': broken({ store: (request, next, call) => next(request.mode === 'add' ? { ...request, mode: 'set' } : request, call) }),
    'replace is set': broken({ store: (request, next, call) => next(request.mode === 'replace' ? { ...request, mode: 'set' } : request, call) }),
    'not-stored is taken for stored': broken({ store: async (request, next, call) => ((await next(request, call)) === 'exists' ? 'exists' : 'stored') }),
  },
  'append and prepend put bytes around what is there': {
    'prepend is append': broken({ store: (request, next, call) => next(request.mode === 'prepend' ? { ...request, mode: 'append' } : request, call) }),
    'append to nothing is set': broken({
      async store(request, next, call) {
        const status = await next(request, call)
        return request.mode === 'append' && status === 'not-stored' ? next({ ...request, mode: 'set' }, call) : status
      },
    }),
    'a value ends at its first line': stored((item) => ({ ...item, value: Buffer.from(item.value.toString('latin1').split('\r\n')[0] ?? '', 'latin1') })),
  },
  'delete and deleteMulti say what was there': {
    'delete is always true': broken({ delete: async (request, next, call) => (await next(request, call)) || true }),
  },
  'cas stores only over the version that it is given': {
    'cas is set': broken({ store: (request, next, call) => next(request.mode === 'cas' ? { ...request, mode: 'set' } : request, call) }),
    'exists is taken for stored': broken({ store: async (request, next, call) => ((await next(request, call)) === 'not-stored' ? 'not-stored' : 'stored') }),
  },
  'no cas id is a wildcard, neither 0 nor 2^64-1': {
    'cas id 0 matches everything': broken({ store: (request, next, call) => next(request.item.cas === 0n ? { ...request, mode: 'set' } : request, call) }),
  },
  'incr and decr count by 1 or by the delta': {
    'a count is taken twice': broken({ count: async (request, next, call) => (await next(request, call), next(request, call)) }),
    'a counter that is missing is made': broken({
      async count({ key, ...request }, next, call) {
        await next({ op: 'store', mode: 'add', key, item: { value: Buffer.from('0'), flags: 2 }, expires: 0 }, call)
        return next({ key, ...request }, call)
      },
    }),
  },
  'decr stops at 0, and what it leaves is read as a number': {
    'decr goes on below 0': counted((count, down) => (down && count === 0n ? 2n ** 64n - 1n : count)),
  },
  'incr goes on at 0 past 2^64-1, exact with bigints': {
    'counts are numbers': counted((count) => BigInt(Number(count))),
    'counts have 32 bits': counted((count) => BigInt.asUintN(32, count)),
    'counts have a sign': counted((count) => BigInt.asIntN(64, count)),
  },
  'what is no number cannot be counted, and the connection lives': {
    'errors are not ermc\'s': layered((next) => (request, call) => next(request, call).catch((error: Error) => { throw new Error(error.message) })),
    'errors do not say that they were sent': layered((next) => (request, call) => next(request, call).catch((error: object) => { throw Object.assign(error, { sent: false }) })),
  },
  'every kind of value comes back the same, from every command that reads': {
    'flags are lost': stored((item) => ({ ...item, flags: 0 })),
    'a value is text': read((item) => ({ ...item, value: Buffer.from(item.value.toString()) })),
  },
  'all 32 bits of the flags are kept': {
    'flags have 16 bits': stored((item) => ({ ...item, flags: item.flags & 0xffff })),
    'flags have a sign': read((item) => ({ ...item, flags: item.flags | 0 })),
    'flags are read in another order of bytes': read((item) => ({ ...item, flags: Buffer.from(new Uint32Array([item.flags]).buffer).readUInt32BE() })),
  },
  'an empty value and null are hits everywhere': {
    'an empty value is a miss': broken({ get: async (request, next, call) => emptyAsMiss(await next(request, call)) }),
  },
  'keys are Buffers, UTF-8, and up to 250 bytes long': {
    'keys are in ASCII': broken({
      get: (request, next, call) => next({ ...request, key: ascii(request.key) }, call),
      store: (request, next, call) => next({ ...request, key: ascii(request.key) }, call),
    }),
  },
  'commands that are called in one turn take effect in their order': {
    'a get overtakes a set': broken({ store: async (request, next, call) => (await nextTurn(), next(request, call)) }),
  },
  'any sequence of commands gives what a model of memcached gives': {
    'every fifteenth get gives what the one before gave': broken({ get: sometimesStale() }),
    'now and then a counter is counted twice': broken({ count: async (request, next, call) => (request.delta % 50n === 1n && (await next(request, call)), next(request, call)) }),
  },
  'what was never stored is a miss': {
    'touch is always true': broken({ touch: async (request, next, call) => (await next(request, call)) || true }),
  },
  'stats have sections': {
    'stats forget their section': broken({ stats: (request, next, call) => next({ ...request, section: '' }, call) }),
  },
  'a client connects by itself at its first command, once for all that wait': {
    'it never looks connected': (endpoint) => bent(text(endpoint), { connected: false }),
    'it always looks connected': (endpoint) => bent(text(endpoint), { connected: true }),
  },
  'events tell of a connection and of its end, with why': {
    'close() leaves the connection': (endpoint) => bent(text(endpoint), { disconnect: async () => {} }),
    'connect() does not wait': (endpoint) => bent(text(endpoint), { connect: async () => {} }),
    'there is no event of a connection': (endpoint) => text({ ...endpoint, onConnect() {} }),
    'there is no event of its end': (endpoint) => text({ ...endpoint, onDisconnect() {} }),
    'what was closed opens by itself': (endpoint) => {
      const driver = text(endpoint)
      return bent(driver, { disconnect: async (reason) => (await driver.disconnect(reason), driver.connect()) })
    },
  },
  'what is aborted before it is sent is not sent': {
    'the signal of a call is ignored': layered((next) => (request, call) => next(request, without(call, 'signal'))),
  },
  'a call has its own timeout': {
    'the timeout of a call is ignored': layered((next) => (request, call) => next(request, without(call, 'timeout'))),
  },
  'past maxPending a call rejects with MemcacheOverloadError, at once': {
    'maxPending is ignored': (endpoint) => text({ ...endpoint, maxPending: Infinity }),
  },
  'past maxPendingBytes a call rejects with MemcacheOverloadError, at once': {
    'maxPendingBytes is ignored': (endpoint) => text({ ...endpoint, maxPendingBytes: Infinity }),
  },
  'where no server is, every command rejects with MemcacheSocketError, at once and not sent': {
    'a fault is a miss': broken({ get: (request, next, call) => next(request, call).catch(() => undefined) }),
  },
  'a server that does not answer is waited for until the deadline': {
    'the client\'s timeout is ignored': (endpoint) => text({ ...endpoint, timeout: 3000 }),
    'a call is never settled': broken({ touch: () => new Promise(() => {}) }),
  },
  'a server that is closing the connection ends what is pending, and nothing is repeated': {
    'what is lost is repeated': layered((next) => (request, call) => next(request, call).catch((error: Error) => (error.name === 'MemcacheSocketError' ? next(request, call) : Promise.reject(error)))),
  },
  'a negative ttl and a Date that is past are expired at once': {
    'gat does not touch': broken({ get: ({ op, key, cas }, next, call) => next({ op, key, cas }, call) }),
    'touch does nothing': broken({ touch: async ({ key }, next, call) => (await next({ op: 'get', key, cas: false }, call)) !== undefined }),
    'times to live are ignored': broken({ store: (request, next, call) => next({ ...request, expires: 0 }, call) }),
    'what is expired at once never is': broken({ store: (request, next, call) => next({ ...request, expires: Math.max(request.expires, 0) }, call) }),
  },
  '0, seconds, more than 30 days and a Date are not expired at once': {
    'more than 30 days is from now': broken({
      touch: (request, next, call) => next({ ...request, expires: request.expires > 2_592_000 ? request.expires - Math.floor(Date.now() / 1000) : request.expires }, call),
    }),
  },
  'flushAll drops everything, now': {
    'flush does nothing': broken({ flush: async (_, next, call) => typeof (await next({ op: 'version' }, call)) === 'string' }),
  },
  'flushAll with a delay drops nothing yet': {
    'flush forgets its delay': broken({ flush: (request, next, call) => next({ ...request, delay: 0 }, call) }),
  },
  'an item is gone when its time is up': {
    'times to live are longer than asked': broken({ store: (request, next, call) => next({ ...request, expires: request.expires * 3 }, call) }),
  },
}

/** The text driver with a layer below all others. */
function layered(layer: Middleware): DriverFactory {
  return (endpoint) => {
    const driver = text(endpoint)
    return bent(driver, { execute: layer(driver.execute) })
  }
}

/** The text driver, which does some operations wrong. */
function broken(handlers: { readonly [O in Op]?: Handler<O> }): DriverFactory {
  return layered(intercept(handlers))
}

/** A fault in how items are written. */
function stored(change: (item: Item) => Item): DriverFactory {
  return broken({ store: (request, next, call) => next({ ...request, item: change(request.item) }, call) })
}

/** A fault in how items are read. */
function read(change: (item: Item) => Item): DriverFactory {
  const changed = (item: Item | undefined): Item | undefined => item && change(item)
  return broken({
    get: async (request, next, call) => changed(await next(request, call)),
    getMulti: async (request, next, call) => (await next(request, call)).map(changed),
  })
}

/** A fault in how counts are read. */
function counted(change: (count: bigint, down: boolean) => bigint): DriverFactory {
  return broken({
    async count(request, next, call) {
      const count = await next(request, call)
      return count === undefined ? undefined : change(count, request.down)
    },
  })
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

function emptyAsMiss(item: Item | undefined): Item | undefined {
  return item?.value.length === 0 ? undefined : item
}

/** The same bytes, in memory that the next value will be in as well. */
const memory = Buffer.alloc(4_000_000)
function recycled(value: Buffer): Buffer {
  value.copy(memory)
  return memory.subarray(0, value.length)
}

function sometimesStale(): Handler<'get'> {
  let count = 0
  let before: Item | undefined
  return async (request, next, call) => {
    const item = await next(request, call)
    count += 1
    const given = count % 15 === 0 ? before : item
    before = item
    return given
  }
}

function ascii(key: Key): Key {
  return key.replace(/[^\x21-\x7e]/g, '?')
}

function without(call: CallOptions | undefined, name: keyof CallOptions): CallOptions {
  return { ...call, [name]: undefined }
}

/** The names of the checks that a driver of the text protocol fails, on a server of its own. */
async function failuresOf(driver: DriverFactory, only = (_: string): boolean => true): Promise<string[]> {
  let ahead = 0
  await using server = await startServer({ now: () => Date.now() + ahead })
  return await failures({
    client: (options) => new Client({ host: server.host, port: server.port, driver, ...options }),
    unsupported: ['metaGet', 'binaryKeys'],
    advance: (seconds) => void (ahead += seconds * 1000),
  }, only)
}

async function failures(subject: ContractSubject, only = (_: string): boolean => true): Promise<string[]> {
  const failed: string[] = []
  for (const { name, run } of driverContract(subject)) {
    if (only(name)) await run().catch(() => failed.push(name))
  }
  return failed
}

void t.test('each fault of a driver is found', async (t) => {
  t.strictSame(await failuresOf(layered((next) => next)), [], 'where there is none, none is found')
  const all = Object.entries(FAULTS).flatMap(([check, faults]) => Object.entries(faults).map(([fault, driver]) => ({ check, fault, driver }))).values()
  const worker = async (): Promise<void> => {
    for (const { check, fault, driver } of all) t.strictSame(await failuresOf(driver, (name) => name === check), [check], fault)
  }
  await Promise.all([worker(), worker(), worker()]) // some of what finds them has to wait
})

void t.test('what a driver says of itself has to be true', async (t) => {
  const forgetful = wrap('forgetful', () => ({ commands: { get: () => undefined, store: () => 'stored' }, close() {} }))
  const client: ContractSubject['client'] = (options) => new Client({ driver: forgetful, ...options })
  t.match(await failures({ client, serverless: true, unsupported: ['getMulti', 'getsMulti', 'delete'] }), ['what one client stores another one reads'], 'that it remembers')
  t.match(await failures({ client, serverless: true, forgets: true }), ['what was never stored is a miss'], 'that it has all commands')
})

void t.test('what others have on a shared server stays as it is', async (t) => {
  await using server = await startServer()
  await using other = new Client(server.url)
  const theirs = { constructor: 1, toString: 2, other: 'theirs' }
  await other.setMulti(theirs)
  const client: ContractSubject['client'] = (options) => new Client({ port: server.port, ...options })
  t.strictSame(await failures({ client, shared: true, unsupported: ['metaGet', 'binaryKeys'] }), [])
  t.strictSame(Object.fromEntries(await other.getMulti(Object.keys(theirs))), theirs)
  t.equal((await other.stats()).get('cmd_flush'), '0')
})

void t.test('checks as test runners take them', async (t) => {
  const checks = driverContract({ client: () => new Client() })
  t.ok(checks.length > 80, `${checks.length} checks`)
  t.equal(new Set(checks.map(({ name }) => name)).size, checks.length, 'no two have the same name')
  for (const { name, run } of checks) t.equal(run.length, 0, `${name}: no argument, which could be taken for a callback`)
})
