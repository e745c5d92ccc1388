import { Buffer } from 'node:buffer'
import type { Socket } from 'node:net'
import t from 'tap'
import {
  Client,
  deflate,
  flags,
  intercept,
  json,
  jsonWith,
  lz4,
  MemcacheClosedError,
  MemcacheError,
  MemcacheKeyError,
  MemcacheSocketError,
  MemcacheTimeoutError,
  noop,
  raw,
  text,
  v8,
  wire,
  wrap,
  zstd,
  type Backend,
  type CallOptions,
  type ClientEvents,
  type ClientOptions,
  type Compressor,
  type DriverFactory,
  type Execute,
  type Format,
  type Item,
  type KeyLike,
  type Middleware,
  type Op,
  type Reply,
  type Request,
  type Serializer,
  type StoreOptions,
  type Ttl,
  type Versioned,
} from '../lib/index.ts'
import { startServer, type TestServer } from '../lib/testing/index.ts'

/** The types that users compile against. The compiler is the test: each line below has to hold, or to be an error. */

/** True where two types are the same, not only assignable. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
function same<A, B>(..._same: Same<A, B> extends true ? [] : ['these types are not the same']): void {}

interface User {
  readonly name: string
}

/** Never run: it is the compiler that reads it. */
export async function results(client: Client, signal: AbortSignal): Promise<void> {
  const untyped = await client.get('k')
  same<typeof untyped, unknown>()
  // @ts-expect-error a value of unknown type has to be looked at first
  untyped.name
  const user = await client.get<User>('k')
  same<typeof user, User | undefined>()
  // @ts-expect-error it may be a miss
  user.name
  const users = await client.getMulti<User>(['a', Buffer.from('b')])
  same<typeof users, Map<string, User>>()
  const untypedMany = await client.getMulti(new Set(['a']))
  same<typeof untypedMany, Map<string, unknown>>()
  const version = await client.gets<User>('k')
  same<typeof version, Versioned<User> | undefined>()
  if (version !== undefined) same<typeof version.value, User>()
  const versions = await client.getsMulti<User>(['k'])
  same<typeof versions, Map<string, Versioned<User>>>()
  const gat = await client.gat<User>('k', 60)
  same<typeof gat, User | undefined>()
  const gats = await client.gats<User>('k', new Date(), { signal })
  same<typeof gats, Versioned<User> | undefined>()

  const booleans = [
    await client.touch('k', 60), await client.set('k', 1), await client.add('k', 1), await client.replace('k', 1), await client.append('k', 'x'), await client.prepend('k', Buffer.alloc(1)),
    await client.cas('k', 1, { cas: 1n }), await client.delete('k'), await client.flushAll(), await client.verbosity(1),
  ]
  same<typeof booleans, boolean[]>()
  const stored = await client.setMulti([['a', 1], [Buffer.from('b'), {}]], { ttl: 60 })
  same<typeof stored, Map<string, boolean>>()
  const alsoStored = [await client.setMulti({ a: 1, b: null }), await client.setMulti(new Map([['a', 1]])), await client.deleteMulti(['a'])]
  same<typeof alsoStored, Map<string, boolean>[]>()

  const count = await client.incr('k')
  same<typeof count, number | undefined>()
  const down = await client.decr('k', 5, { initial: 1n, ttl: 60 })
  same<typeof down, number | undefined>()
  const exact = await client.incr('k', 5n)
  same<typeof exact, bigint | undefined>()
  const exactDown = await client.decr('k', -5n, { initial: 1 })
  same<typeof exactDown, bigint | undefined>()
  const stats = await client.stats('settings')
  same<typeof stats, Map<string, string>>()
  const serverVersion = await client.version({ timeout: 5 })
  same<typeof serverVersion, string>()

  const nothing = [await client.connect(), await client.connect({ reconnect: true }), await client.close(), await client.disconnect()]
  same<typeof nothing, void[]>()
  same<ReturnType<typeof client.isConnected>, boolean>()
  same<typeof client.socket, Socket | undefined>()
  same<ReturnType<typeof client.checkKey>, string>()
  same<ReturnType<typeof client.resetCas>, void>()
  same<ReturnType<typeof client.resetClient>, void>()
  await using disposable: AsyncDisposable = client
  void disposable
}

/** Never run. */
export async function mistakes(client: Client): Promise<void> {
  // @ts-expect-error no key
  await client.get()
  // @ts-expect-error a number is no key
  await client.get(5)
  // @ts-expect-error nor are bytes that are no Buffer
  await client.get(new Uint8Array(1))
  // @ts-expect-error one key is no list; a string would be gone through by its characters, but gives keys all the same
  await client.getMulti(5)
  // @ts-expect-error no value
  await client.set('k')
  // @ts-expect-error seconds are an option
  await client.set('k', 1, 60)
  // @ts-expect-error the name is ttl
  await client.set('k', 1, { expires: 60 })
  // @ts-expect-error a ttl is a number or a Date
  await client.set('k', 1, { ttl: '60' })
  // @ts-expect-error a ttl is no bigint
  await client.touch('k', 60n)
  // @ts-expect-error no ttl
  await client.gat('k')
  // @ts-expect-error get has no ttl
  await client.get('k', { ttl: 5 })
  // @ts-expect-error set has no cas id
  await client.set('k', 1, { cas: 1n })
  // @ts-expect-error a cas id is a bigint
  await client.cas('k', 1, { cas: 1 })
  // @ts-expect-error append puts bytes together
  await client.append('k', { a: 1 })
  // @ts-expect-error nor null
  await client.prepend('k', null)
  // @ts-expect-error a delta is a number or a bigint
  await client.incr('k', '1')
  // @ts-expect-error incr has no minCompressLength
  await client.incr('k', 1, { minCompressLength: 5 })
  // @ts-expect-error no level
  await client.verbosity()
  // @ts-expect-error a signal is an AbortSignal
  await client.get('k', { signal: new AbortController() })
  // @ts-expect-error no promise for what was a result
  client.incr('k').toFixed()
  // @ts-expect-error pairs
  await client.setMulti(['a', 'b'])
  // @ts-expect-error it cannot be set
  client.socket = undefined
}

/** Never run. */
export function construction(): Client[] {
  const options: ClientOptions = {
    host: 'h', port: 1, connectTimeout: 1, timeout: 1, maxKeyLength: 1, maxValueLength: 1, disableNagle: true, keepAlive: true, unref: true, joinGets: false, serializer: json, compressor: lz4,
    minCompressLength: 1, layers: [], cacheCas: true, errorAsMiss: true, maxPending: 1, maxPendingBytes: 1, keyPrefix: 'p', driver: text, traceKeys: true,
  }
  const clients = [new Client(), new Client({}), new Client('memcached://h'), new Client('unix:/s', { timeout: 1 }), new Client(options), new Client({ path: '/s', driver: noop, host: undefined })]
  const format: Format = { ...raw, compressors: [deflate], encode: (value) => ({ value: Buffer.from(String(value)), flags: 0 }) }
  clients.push(new Client({ serializer: [json, v8, jsonWith({ replacer: (_, value) => value })], compressor: [zstd, lz4] }), new Client({ serializer: raw }), new Client({ serializer: format }))
  // @ts-expect-error a list is of serializers, not of formats
  new Client({ serializer: [raw] })
  // @ts-expect-error a format says what its compressors are
  new Client({ serializer: { name: 'mine', encode: format.encode, decode: format.decode } })
  // @ts-expect-error no such option
  new Client({ hosts: ['h'] })
  // @ts-expect-error a port is a number
  new Client({ port: '11211' })
  // @ts-expect-error a driver is no name
  new Client({ driver: 'text' })
  // @ts-expect-error a URL object is no string
  new Client(new URL('memcached://h'))
  // @ts-expect-error the options come with the URL, or alone
  new Client({}, {})
  new Client({ tls: true, username: 'u', password: 'p' })
  new Client({ tls: { ca: 'pem', servername: 'cache.example.org' } })
  // @ts-expect-error without TLS it is not said
  new Client({ tls: false })
  // @ts-expect-error options are read only
  options.port = 2
  return clients
}

/** Never run. */
export function events(client: Client): void {
  client.on('connect', () => {}).once('disconnect', (cause) => {
    same<typeof cause, MemcacheError>()
  })
  same<ClientEvents, { connect: []; disconnect: [cause: MemcacheError] }>()
  // @ts-expect-error connect tells nothing
  client.on('connect', (nothing: string) => nothing)
  // @ts-expect-error it is an error
  client.on('disconnect', (cause: string) => cause)
}

/** Never run. */
export function errors(error: unknown): void {
  if (error instanceof MemcacheError) {
    same<typeof error.code, string>()
    same<typeof error.command, string | undefined>()
    same<typeof error.server, string | undefined>()
    same<typeof error.sent, boolean>()
  }
  if (error instanceof MemcacheTimeoutError) {
    const socketError: MemcacheSocketError = error
    const code: 'ERR_MEMCACHE_TIMEOUT' = error.code
    void [socketError, code]
  }
  if (error instanceof MemcacheKeyError) same<typeof error.code, 'ERR_MEMCACHE_KEY'>()
  // @ts-expect-error their codes tell them apart
  const key: MemcacheKeyError = new MemcacheClosedError('x')
  void key
}

/** Never run: what users write themselves. */
export function extensions(): readonly unknown[] {
  const count: Middleware = (next) => (request, call) => next(request, call)
  const bytes = intercept({
    get: async (request, next, call) => {
      same<typeof request.key, string>()
      const item = await next(request, call)
      same<typeof item, Item | undefined>()
      return item
    },
    store: (request, next, call) => next({ ...request, item: { ...request.item, value: Buffer.from(request.item.value) } }, call),
    version: () => Promise.resolve('mine'),
  })
  // @ts-expect-error a version is a string
  const wrong = intercept({ version: () => Promise.resolve(5) })
  // @ts-expect-error there is no such operation
  const unknown = intercept({ fetch: () => Promise.resolve(undefined) })
  const serializer: Serializer = { flag: 1024, serialize: (value) => Buffer.from(String(value)), deserialize: (value) => value.toString() }
  const compressor: Compressor = { flag: 2048, compress: (value) => value, decompress: (value, maxLength) => value.subarray(0, maxLength) }
  // @ts-expect-error the bytes are a Buffer
  const stringly: Serializer = { flag: 256, serialize: (value: unknown) => JSON.stringify(value), deserialize: String }
  const backend: Backend = { commands: { get: ({ key }) => ({ value: Buffer.from(key), flags: flags.bytes }), delete: async () => true }, close() {} }
  const driver: DriverFactory = wrap('mine', (endpoint) => (same<typeof endpoint.port, number>(), backend))
  // @ts-expect-error a reply of another command
  const mixed: Backend = { commands: { version: () => true }, close() {} }
  same<Parameters<typeof wire>[0] extends { frame: unknown } ? true : false, true>()
  same<Reply<'delete'>, boolean>()
  same<Request<'touch'>, { readonly op: 'touch' } & Readonly<{ key: string; expires: number }>>()
  const operations: readonly Op[] = ['get', 'getMulti', 'store', 'delete', 'touch', 'count', 'flush', 'stats', 'version', 'verbosity']
  const execute: Execute = () => Promise.reject(new MemcacheError('mine'))
  const layered: Execute = count(execute)
  const wide: [KeyLike, Ttl, StoreOptions, CallOptions] = [Buffer.from('k'), new Date(), { ttl: 5, minCompressLength: 0, timeout: 5 }, { signal: undefined }]
  return [count, bytes, wrong, unknown, serializer, compressor, stringly, driver, mixed, operations, layered, wide]
}

/** Never run. */
export async function testing(): Promise<void> {
  await using server: TestServer = await startServer({ port: 0, now: () => 0 })
  same<typeof server.port, number>()
  server.stall()
  server.garble('x')
  server.dropConnections({ reset: true })
  // @ts-expect-error milliseconds
  server.delay('5')
  // @ts-expect-error it says where it is
  server.port = 5
  new Client(server.url)
}

void t.test('the types are checked by the compiler: see the typecheck script', async (t) => {
  for (const checked of [results, mistakes, construction, events, errors, extensions, testing]) t.type(checked, 'function')
  t.strictSame(Object.values(flags).sort((a, b) => a - b), [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512])
})
