import fc from 'fast-check'
import { Keyv as Keyv6 } from 'keyv'
import Keyv4 from 'keyv4'
import { Keyv as Keyv5, type KeyvStoreAdapter } from 'keyv5'
import t, { type Test } from 'tap'
import { memjs } from '../drivers/memjs.ts'
import { binary, Client, intercept, meta, text, v8, type ClientOptions, type Key, type Request } from '../lib/index.ts'
import { KeyvErmc, type KeyvErmcOptions } from '../lib/keyv.ts'
import { startServer } from '../lib/testing/index.ts'
import { keyvChecks, problemsOf, withoutKeyvSuites } from './support/keyv-suites.ts'
import { eventually, failure } from './support/outcomes.ts'
import { freePort, startMemcached, withoutMemcached } from './support/servers.ts'

/** The adapter for Keyv: Keyv's own suites, then what those do not ask. */

const DRIVERS = { text, binary, meta, memjs }
/** Each version of Keyv, with the suite that is for it. For 6 there is none on npm: that for 5 has to do. */
const VERSIONS = [
  { name: 'Keyv 4', Keyv: Keyv4, suite: 1, different: [] },
  { name: 'Keyv 5', Keyv: Keyv5, suite: 2, different: [] },
  { name: 'Keyv 6', Keyv: Keyv6, suite: 2, different: ['.deleteMany([keys]) with nonexistent keys resolves to false'] }, // it has a list for that
] as const
const DAY = 24 * 60 * 60

interface Scene {
  open(options?: ClientOptions): Client
  /** What the adapters' clients have asked to store, first to last. */
  readonly stores: Request<'store'>[]
  /** Every request's operation. */
  readonly asked: string[]
}

async function scene(t: Test): Promise<Scene> {
  const server = await startServer()
  const clients: Client[] = []
  const [stores, asked]: [Request<'store'>[], string[]] = [[], []]
  const log = intercept({
    store: (request, next, call) => (stores.push(request), asked.push(request.mode), next(request, call)),
    get: (request, next, call) => (asked.push('get'), next(request, call)),
    getMulti: (request, next, call) => (asked.push('getMulti'), next(request, call)),
  })
  t.teardown(async () => {
    await Promise.all(clients.map((client) => client.close()))
    await server.close()
  })
  return {
    stores,
    asked,
    open: (options = {}) => {
      const client = new Client(server.url, { layers: [log], timeout: 10_000, ...options })
      clients.push(client)
      return client
    },
  }
}

const SERVERS = {
  'the embedded server': { skip: withoutKeyvSuites, start: async () => startServer() },
  memcached: { skip: withoutKeyvSuites || withoutMemcached, start: async () => startMemcached().then(({ port, stop }) => ({ port, close: () => stop() })) },
}

for (const [where, { skip, start }] of Object.entries(SERVERS)) {
  for (const { name, Keyv, suite, different } of VERSIONS) {
    t.test(`the suite of ${name} on ${where}`, { skip }, async (t) => {
      if (different.length > 0) {
        const onMap = await problemsOf(keyvChecks(suite, Keyv, () => Object.assign(new Map<string, unknown>(), { opts: {} })))
        t.same([...onMap.keys()], different, 'what the suite asks otherwise than this version of Keyv answers')
      }
      const server = await start()
      for (const [driverName, driver] of Object.entries(DRIVERS)) {
        const client = new Client({ port: server.port, driver, timeout: 10_000 })
        const checks = keyvChecks(suite, Keyv, () => new KeyvErmc(client))
        t.ok(checks.length >= 37)
        const problems = await problemsOf(checks)
        for (const check of checks) if (!different.some((excused) => excused === check.name)) t.equal(problems.get(check.name), undefined, `${driverName}: ${check.name}`)
        await client.close()
      }
      await server.close()
    })
  }
}

t.test('clear() empties its own namespace, at once and for everybody', async (t) => {
  const { open } = await scene(t)
  const [client, elsewhere] = [open(), open()]
  const names = ['a', 'a:b', 'a:generation', 'b', ' ', undefined, 'x'.repeat(100), `${'x'.repeat(100)}y`, 'ü', '\ud800']
  const stores = names.map((namespace) => new KeyvErmc(client, { namespace }))
  await client.set('a:key', 'of nobody')
  for (const [index, store] of stores.entries()) await store.set('key', index)
  for (const [cleared, store] of stores.entries()) {
    await store.clear()
    for (const [index, other] of stores.entries()) {
      const expected = index <= cleared ? undefined : index
      t.equal(await other.get('key'), expected)
      t.equal(await new KeyvErmc(elsewhere, { namespace: names[index] }).get('key'), expected, 'by another client too')
    }
  }
  t.equal(await client.get('a:key'), 'of nobody')
  for (const [index, store] of stores.entries()) t.equal(await store.set('key', index).then(() => store.get('key')), index, 'it can be used again')
})

t.test('one adapter, whose namespace Keyv changes', async (t) => {
  const { open } = await scene(t)
  const keyv = new Keyv6({ store: new KeyvErmc(open()), namespace: 'one' })
  await keyv.set('key', 1)
  keyv.namespace = 'two'
  t.equal(await keyv.get('key'), undefined)
  await keyv.set('key', 2)
  await keyv.clear()
  keyv.namespace = 'one'
  t.equal(await keyv.get('key'), 1)
})

t.test('what belongs to a generation that is lost does not come back', async (t) => {
  const { open } = await scene(t)
  const client = open()
  const store = new KeyvErmc(client, { namespace: 'a' })
  await store.set('key', 1)
  t.equal(await client.delete('a:generation'), true)
  t.equal(await store.get('key'), undefined)
  t.same([await store.getMany(['key']), await store.has('key'), await store.hasMany(['key']), await store.delete('key'), await store.deleteMany(['key'])], [[undefined], false, [false], false, false])
  await store.set('other', 2)
  t.same(await store.getMany(['key', 'other']), [undefined, 2])
})

t.test('those who begin at once have one generation', async (t) => {
  const { open } = await scene(t)
  const stores = Array.from({ length: 8 }, () => new KeyvErmc(open(), { namespace: 'new' }))
  await Promise.all(stores.map((store, index) => store.set(`key${index}`, index)))
  for (const store of stores) t.same(await store.getMany(stores.map((_, index) => `key${index}`)), stores.map((_, index) => index))
})

t.test('what it costs, and maxStaleness', async (t) => {
  const { open, asked } = await scene(t)
  const during = async (work: () => Promise<unknown>): Promise<string[]> => {
    asked.length = 0
    await work()
    return [...asked]
  }
  const options: KeyvErmcOptions = { namespace: 'a' }
  const [always, late] = [new KeyvErmc(open(), options), new KeyvErmc(open(), { ...options, maxStaleness: 50 })]
  t.same(await during(() => always.set('key', 1)), ['get', 'add', 'set'], 'the first time')
  t.same(await during(() => always.set('key', 1)), ['get', 'set'])
  t.same(await during(() => always.get('key')), ['get', 'get'])
  t.same(await during(() => always.getMany(['key', 'other'])), ['get', 'getMulti'])
  t.same(await during(() => always.clear()), ['set'])

  const patient = new KeyvErmc(open(), { ...options, maxStaleness: 600_000 })
  await patient.set('key', 1)
  t.same(await during(() => patient.get('key')), ['get'], 'remembered')
  await always.clear()
  t.equal(await patient.get('key'), 1, 'and so it goes on with what another one has cleared')
  await patient.set('key', 2)
  await patient.clear()
  t.equal(await patient.get('key'), undefined, 'but not with what it has cleared itself')

  await late.set('key', 1)
  await always.clear()
  let found: unknown = 1
  const ask = async (): Promise<void> => {
    while (found !== undefined) found = await late.get('key')
  }
  void ask()
  await eventually(() => found === undefined, 'it hears of a clear() of another one')

  // Whatever was asked for before is not remembered after.
  await patient.set('key', 1)
  const reading = patient.getMany(['key'])
  await Promise.all([reading, patient.clear(), patient.get('key')])
  t.equal(await patient.get('key'), undefined)
})

t.test('times to live', async (t) => {
  const { open, stores } = await scene(t)
  const client = open()
  const store = new KeyvErmc(client)
  await store.set('first', 1)
  const now = Math.floor(Date.now() / 1000)
  const cases: [ttl: number | undefined, least: number, most?: number][] = [
    [undefined, 0], [0, 0], [Infinity, 0], [0.5, 1], [1, 1], [999, 1], [1000, 1], [1001, 2], [30 * DAY * 1000, 30 * DAY], [-1, -1], [-5000, -1],
    [40 * DAY * 1000, now + 40 * DAY, now + 40 * DAY + 600],
  ]
  for (const [ttl, least, most = least] of cases) {
    for (const call of [() => store.set('key', 1, ttl), () => store.setMany([{ key: 'key', value: 1, ttl }])]) {
      stores.length = 0
      await call()
      const [{ expires } = { expires: NaN }] = stores
      t.ok(expires >= least && expires <= most, `${ttl} ms: ${expires}`)
    }
  }
  await store.set('gone', 1, -1)
  t.equal(await store.get('gone'), undefined)
  for (const wrong of [NaN, '5 s' as unknown as number]) t.equal((await failure(store.set('key', 1, wrong))).name, 'MemcacheValueError')
})

const KEYS = ['', ' ', 'a b', 'a%20b', 'a:b', 'ü', 'u\u0308', '🙂', '\0', '\r\nflush_all\r\n', '%', '%#', '#', 'key', 'KEY', '\ud800', '\udfff', '\ufffd', 'x'.repeat(300), `${'x'.repeat(300)}y`, ' '.repeat(80), 'generation', '__proto__']

for (const [name, driver] of Object.entries(DRIVERS)) {
  t.test(`any string is a key, on ${name}`, async (t) => {
    const { open } = await scene(t)
    for (const keyPrefix of ['', 'prefix:'.repeat(5)]) {
      const client = open({ driver, keyPrefix })
      const store = new KeyvErmc(client, { namespace: `any ${keyPrefix}` })
      t.same(await store.setMany(KEYS.map((key, index) => ({ key, value: index }))), KEYS.map(() => true))
      for (const [index, key] of KEYS.entries()) t.equal(await store.get(key), index)
      t.same(await store.getMany([...KEYS, 'none', 'key']), [...KEYS.keys(), undefined, KEYS.indexOf('key')])
      t.same(await store.hasMany(['key', 'none']), [true, false])
      t.equal(await store.deleteMany(['key', 'none']), false, 'not all of them were there')
      t.equal(await store.deleteMany(['KEY', '']), true)
      t.equal(await store.deleteMany([]), true)
      t.same(await store.getMany(KEYS.slice(0, 2)), [undefined, 1])
    }
  })
}

t.test('different keys of different namespaces are never one', async (t) => {
  const { open, stores } = await scene(t)
  const client = open({ errorAsMiss: false })
  const wire = async (namespace: string, key: string): Promise<Key | undefined> => {
    const store = new KeyvErmc(client, { namespace })
    await store.set(key, 1)
    return stores.at(-1)?.key.replace(/:[\w-]{16}:/, ':<generation>:')
  }
  const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 80 }), fc.string({ unit: fc.constantFrom('a', ':', '%', '#', ' ', '3', 'A', '\ud800'), maxLength: 6 }))
  await fc.assert(fc.asyncProperty(text, text, text, text, async (n, k, n2, k2) => {
    const same = n === n2 && k === k2
    return ((await wire(n, k)) === (await wire(n2, k2))) === same
  }), { numRuns: 200 })
  t.pass()
})

t.test('values', async (t) => {
  const { open } = await scene(t)
  const [client, cloning] = [open({ minCompressLength: 100 }), open({ serializer: v8 })]
  const values = ['', 'a', 'a'.repeat(5000), '42', 'null', 0, false, null, { a: [1, { b: 'ü' }] }, [1, 2]]
  for (const { name, Keyv } of VERSIONS) {
    const keyv = new (Keyv as unknown as typeof Keyv6)({ store: new KeyvErmc(client), namespace: name })
    for (const value of values) {
      t.equal(await keyv.set('key', value), true)
      t.same(await keyv.get('key'), value, name)
    }
    t.equal(await keyv.set('key', undefined), true)
    t.equal(await keyv.get('key'), undefined)
  }
  // Without a serializer of Keyv's the client's own has the whole of it.
  const plain = new Keyv6({ store: new KeyvErmc(cloning), serialization: false, namespace: 'six' })
  const plain5 = new Keyv5({ store: new KeyvErmc(cloning), namespace: 'five' })
  plain5.serialize = plain5.deserialize = undefined
  const rich = { date: new Date(5), set: new Set([1n]) }
  for (const keyv of [plain, plain5 as unknown as Keyv6]) {
    t.equal(await keyv.set('key', rich, 60_000), true)
    t.strictSame(await keyv.get('key'), rich)
  }
  const store = new KeyvErmc(client)
  const refused = await failure(store.setMany([{ key: 'bad', value: () => {} }, { key: 'good', value: 1 }]))
  t.equal(refused.name, 'MemcacheValueError')
  t.equal(await store.get('good'), 1, 'the others are stored when it rejects')
})

t.test('faults are told, once, as each version of Keyv tells them', async (t) => {
  const port = await freePort()
  const store = (): KeyvErmc => {
    const client = new Client({ port, connectTimeout: 2000, timeout: 4000 })
    t.teardown(() => client.close())
    return new KeyvErmc(client)
  }
  const socketError = { name: 'MemcacheSocketError', code: 'ERR_MEMCACHE_SOCKET', sent: false }
  for (const call of [(s) => s.get('k'), (s) => s.getMany(['k']), (s) => s.set('k', 1), (s) => s.setMany([{ key: 'k', value: 1 }]), (s) => s.has('k'), (s) => s.hasMany(['k']), (s) => s.delete('k'), (s) => s.deleteMany(['k']), (s) => s.clear()] satisfies ((s: KeyvErmc) => Promise<unknown>)[]) {
    t.match(await failure(call(store())), socketError)
  }

  const errors: unknown[] = []
  const told = async (call: () => Promise<unknown>): Promise<[outcome: unknown, errors: number]> => {
    errors.length = 0
    const outcome = await call().catch((error: Error) => error.name)
    for (const error of errors) t.match(error, socketError)
    return [outcome, errors.length]
  }
  const keyv4 = new Keyv4({ store: store() }).on('error', (error: unknown) => void errors.push(error))
  t.same(await told(() => keyv4.get('k')), ['MemcacheSocketError', 1])
  t.same(await told(() => keyv4.set('k', 1)), ['MemcacheSocketError', 0])
  t.same(await told(() => keyv4.clear()), ['MemcacheSocketError', 0])
  t.same(await told(() => new Keyv4({ store: store() }).get('k')), ['MemcacheSocketError', 0], 'nobody listens')

  const keyv5 = new Keyv5({ store: store() })
  keyv5.on('error', (error: unknown) => void errors.push(error))
  t.same(await told(() => keyv5.get('k')), [undefined, 1])
  t.same(await told(() => keyv5.getMany(['k'])), ['MemcacheSocketError', 0])
  t.same(await told(() => keyv5.set('k', 1)), [false, 1])
  t.same(await told(() => keyv5.setMany([{ key: 'k', value: 1 }])), [[false], 1])
  t.same(await told(() => keyv5.delete('k')), [false, 1])
  t.same(await told(() => keyv5.clear()), [undefined, 1])
  t.same(await told(() => keyv5.has('k')), ['MemcacheSocketError', 0])
  keyv5.throwOnErrors = true
  t.same(await told(() => keyv5.get('k')), ['MemcacheSocketError', 1])
  t.same(await told(() => new Keyv5({ store: store(), throwOnErrors: true }).get('k')), ['MemcacheSocketError', 0])

  const keyv6 = new Keyv6({ store: store() })
  keyv6.on('error', (error: unknown) => void errors.push(error))
  t.same(await told(() => keyv6.get('k')), [undefined, 1])
  t.same(await told(() => keyv6.getMany(['k'])), [[undefined], 1])
  t.same(await told(() => keyv6.set('k', 1)), [false, 1])
  t.same(await told(() => keyv6.has('k')), [false, 1])
  t.same(await told(() => keyv6.delete('k')), [false, 1])
  t.same(await told(() => keyv6.clear()), [undefined, 1])
  t.same(await told(() => new Keyv6({ store: store() }).get('k')), ['MemcacheSocketError', 0], 'nobody listens')
})

t.test('a client with errorAsMiss', async (t) => {
  const client = new Client({ port: await freePort(), errorAsMiss: true })
  t.teardown(() => client.close())
  const store = new KeyvErmc(client)
  t.same([await store.get('k'), await store.getMany(['k']), await store.set('k', 1), await store.setMany([{ key: 'k', value: 1 }]), await store.delete('k')], [undefined, [undefined], false, [false], false])
  t.match((await failure(store.clear())).message, /could not be cleared/, 'what was not cleared does not look as if it were')
})

t.test('who has made a client closes it', async (t) => {
  await using server = await startServer()
  const client = new Client(server.url)
  const [one, other] = [new Keyv6({ store: new KeyvErmc(client), namespace: 'a' }), new Keyv5({ store: new KeyvErmc(client), namespace: 'b' })]
  await one.set('k', 1)
  await one.disconnect()
  t.equal(await other.set('k', 2), true, 'many adapters on one client')
  await client.close()

  for (const own of [new KeyvErmc(server.url), new KeyvErmc({ port: server.port, keyPrefix: 'p:' })]) {
    await own.set('k', 1)
    t.equal(server.connections, 1)
    await own.disconnect()
    t.equal((await failure(own.getMany(['k']))).name, 'MemcacheClosedError')
    await eventually(() => server.connections === 0, 'its connection is closed')
  }
  await new KeyvErmc().disconnect()
})

t.test('options that cannot be right', async (t) => {
  for (const wrong of [{ ttl: 5 }, { namespace: 5 }, { maxStaleness: -1 }, { maxStaleness: '5' }]) {
    t.throws(() => new KeyvErmc({}, wrong as KeyvErmcOptions), { name: 'MemcacheValueError' })
  }
  t.throws(() => new KeyvErmc('http://host'), { name: 'MemcacheValueError' })
})

t.test('types', async (t) => {
  const store = new KeyvErmc()
  const forKeyv5: Omit<KeyvStoreAdapter, 'setMany'> = store // of which its types say that it gives nothing, and its code that it does
  const keyvs: [Keyv5<number>, Keyv6<number>, Keyv6, Keyv4<number>] = [new Keyv5({ store }), new Keyv6({ store }), new Keyv6(store), new Keyv4({ store: store as never })]
  // @ts-expect-error a namespace is a string
  t.throws(() => new KeyvErmc({}, { namespace: 5 }))
  // @ts-expect-error the options of a client
  t.throws(() => new KeyvErmc({ hosts: [] }))
  t.ok(forKeyv5 && keyvs)
})
