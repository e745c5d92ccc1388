import { AsyncLocalStorage } from 'node:async_hooks'
import { Buffer } from 'node:buffer'
import { spawnSync } from 'node:child_process'
import { tracingChannel, type TracingChannel } from 'node:diagnostics_channel'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import { context, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, type Context, type ContextManager } from '@opentelemetry/api'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor, type ReadableSpan } from '@opentelemetry/sdk-trace-base'
import { Registry } from 'prom-client'
import t, { type Test } from 'tap'
import { collectMetrics } from '../docs/examples/metrics.ts'
import { traceSpans } from '../docs/examples/spans.ts'
import { memjs } from '../drivers/memjs.ts'
import { binary, Client, intercept, MemcacheSocketError, meta, noop, text, type ClientOptions, type CommandContext, type ConnectContext } from '../lib/index.ts'
import { startServer, type ServerOptions, type TestServer } from '../lib/testing/index.ts'
import { failure } from './support/outcomes.ts'
import { outsideTap } from './support/outside-tap.ts'
import { freePort, startMemcached, withoutMemcached } from './support/servers.ts'

/** The channels ermc:command and ermc:connect, and what docs/examples makes of them. */

interface Heard<C> {
  /** `start`, `end`, `error`, `asyncStart`, `asyncEnd`, with the context of each. */
  readonly events: (readonly [event: string, context: C])[]
  /** The contexts of what has ended. */
  readonly ended: C[]
}

/** Listens until the test ends. */
function listen<C extends object>(t: Test, name: string): Heard<C> {
  const channel: TracingChannel<unknown, C> = tracingChannel(name)
  const heard: Heard<C> = { events: [], ended: [] }
  const note = (event: string) => (message: C) => void heard.events.push([event, message])
  const listeners = { start: note('start'), end: note('end'), asyncStart: note('asyncStart'), error: note('error'), asyncEnd: (message: C) => (note('asyncEnd')(message), void heard.ended.push(message)) }
  channel.subscribe(listeners)
  t.teardown(() => channel.unsubscribe(listeners))
  return heard
}

async function scene(t: Test, options: ClientOptions = {}, serverOptions: ServerOptions = {}): Promise<{ server: TestServer; client: Client }> {
  const server = await startServer(serverOptions)
  const address = server.path === undefined ? { host: server.host, port: server.port } : { path: server.path }
  const client = new Client({ ...address, ...options })
  t.teardown(async () => {
    await client.close()
    await server.close()
  })
  return { server, client }
}

/** What is expected of a command, in few words. */
function summary({ attributes, hits, misses, valueBytes, keys }: CommandContext): unknown[] {
  return [attributes['db.operation.name'], attributes['db.operation.batch.size'], hits, misses, valueBytes, ...(keys === undefined ? [] : [keys])]
}

const DRIVERS = { text, binary, meta, memjs }

for (const [name, driver] of Object.entries(DRIVERS)) {
  t.test(`what is said of each command, on ${name}`, async (t) => {
    const { client, server } = await scene(t, { driver })
    await told(t, client, server)
  })

  t.test(`the same on memcached, on ${name}`, { skip: withoutMemcached }, async (t) => {
    const server = await startMemcached()
    const client = new Client({ driver, port: server.port, timeout: 10_000 })
    await told(t, client, server)
    await client.close()
    await server.stop()
  })
}

async function told(t: Test, client: Client, server: { readonly host: string; readonly port: number }): Promise<void> {
  const { events, ended } = listen<CommandContext>(t, 'ermc:command')
  await client.set('a', 'four')
  await client.get('a')
  await client.get('none')
  await client.getMulti(['a', 'none', 'a'])
  await client.setMulti({ a: '1', b: '22' })
  await client.deleteMulti(['b', 'none'])
  await client.incr('n', 1, { initial: 5 })
  await client.incr('n')
  await client.touch('a', 60)
  await client.gat('a', 60)
  await client.version()
  t.strictSame(ended.map(summary), [
    ['set', undefined, undefined, undefined, 4],
    ['get', undefined, 1, 0, 4],
    ['get', undefined, 0, 1, undefined],
    ['getMulti', 2, 1, 1, 4],
    ['setMulti', 2, undefined, undefined, 3],
    ['deleteMulti', 2, undefined, undefined, undefined],
    ['incr', undefined, undefined, undefined, 1],
    ['incr', undefined, undefined, undefined, undefined],
    ['touch', undefined, undefined, undefined, undefined],
    ['gat', undefined, 1, 0, 1],
    ['version', undefined, undefined, undefined, undefined],
  ])
  t.strictSame(ended[0]?.attributes, {
    'db.system.name': 'memcached',
    'server.address': server.host,
    'server.port': server.port,
    'network.transport': 'tcp',
    'db.operation.name': 'set',
  })
  for (const each of ended) {
    t.ok((each.duration ?? -1) >= 0)
    t.notOk('error' in each)
    t.strictSame(events.filter(([, context]) => context === each).map(([event]) => event), ['start', 'end', 'asyncStart', 'asyncEnd'], 'one object for all events')
  }
}

t.test('values count as they go on the wire, and layers are below', async (t) => {
  const upper = intercept({ get: async (request, next, call) => ({ ...(await next(request, call)), value: Buffer.from('longer than it was'), flags: 0 }) })
  const { client } = await scene(t, { minCompressLength: 10, layers: [upper] })
  const { ended } = listen<CommandContext>(t, 'ermc:command')
  await client.set('a', 'long '.repeat(1000))
  await client.get('a')
  t.ok((ended[0]?.valueBytes ?? 5000) < 200, 'compressed')
  t.equal(ended[1]?.valueBytes, 18, 'a layer of the user is a part of what is observed')
})

t.test('nobody listens, somebody does, nobody does', async (t) => {
  const { client } = await scene(t)
  await client.set('a', 1)
  const channel = tracingChannel<unknown, CommandContext>('ermc:command')
  const seen: string[] = []
  const listener = (message: unknown): void => void seen.push((message as CommandContext).attributes['db.operation.name'])
  channel.asyncEnd.subscribe(listener)
  await client.get('a')
  channel.asyncEnd.unsubscribe(listener)
  await client.touch('a', 1)
  t.strictSame(seen, ['get'], 'of one of the five channels, from the next command on')
})

t.test('what fails', async (t) => {
  const { client, server } = await scene(t, { timeout: 5000 })
  const { events, ended } = listen<CommandContext>(t, 'ermc:command')
  const last = (): CommandContext => ended.at(-1) as CommandContext

  server.garble('SERVER_ERROR out of memory\r\n')
  const refused = await failure(client.get('a'))
  t.equal(last().error, refused, 'the error that the caller gets')
  t.match(last().attributes, { 'error.type': 'ERR_MEMCACHE_SERVER', 'db.response.status_code': 'SERVER_ERROR' })
  t.strictSame(events.slice(-5).map(([event]) => event), ['start', 'end', 'error', 'asyncStart', 'asyncEnd'])
  t.match(refused.stack, 'tracing.test.ts', 'with the stack of the caller')

  server.garble('CLIENT_ERROR no\r\n')
  await failure(client.touch('a', 1))
  t.match(last().attributes, { 'error.type': 'ERR_MEMCACHE_CLIENT', 'db.response.status_code': 'CLIENT_ERROR' })

  await failure(client.get('a b'))
  t.match(last().attributes, { 'db.operation.name': 'get', 'error.type': 'ERR_MEMCACHE_KEY' })
  t.equal(last().attributes['db.response.status_code'], undefined)

  await failure(client.get('a', { signal: AbortSignal.abort() }))
  t.equal(last().attributes['error.type'], 'AbortError')

  const nothing = { toString: () => 'nothing' }
  await client.get('a', { signal: AbortSignal.abort(nothing) }).catch(() => {})
  t.match(last(), { error: nothing, attributes: { 'error.type': '_OTHER' } })

  server.stall()
  await failure(client.getMulti(['a', 'b'], { timeout: 20 }))
  t.match(last().attributes, { 'error.type': 'ERR_MEMCACHE_TIMEOUT', 'db.operation.batch.size': 2 })
  t.equal(last().misses, undefined, 'a fault is no miss')
  server.resume()

  await client.close()
  await failure(client.set('a', 1))
  t.equal(last().attributes['error.type'], 'ERR_MEMCACHE_CLOSED')
})

t.test('errorAsMiss keeps faults from the caller, not from who listens', async (t) => {
  const client = new Client({ port: await freePort(), errorAsMiss: true })
  t.teardown(() => client.close())
  const { ended } = listen<CommandContext>(t, 'ermc:command')
  t.equal(await client.get('a'), undefined)
  t.same(await client.getMulti(['a', 'b']), new Map())
  t.same(await client.setMulti({ a: 1, b: 2 }), new Map([['a', false], ['b', false]]))
  t.equal(await client.incr('a', 1, { initial: 1 }), undefined)
  t.strictSame(ended.map(({ attributes, misses, error }) => [attributes['error.type'], misses, error instanceof MemcacheSocketError]), Array.from({ length: 4 }, () => ['ERR_MEMCACHE_SOCKET', undefined, true]))
})

t.test('what found no room at first and then was done is no error', async (t) => {
  const { client } = await scene(t, { maxPending: 3 })
  const { ended } = listen<CommandContext>(t, 'ermc:command')
  await client.setMulti(Array.from({ length: 10 }, (_, index) => [`k${index}`, 'v'] as const))
  t.strictSame(ended.map(summary), [['setMulti', 10, undefined, undefined, 10]])
  t.notOk('error' in (ended[0] as CommandContext))
})

t.test('each continuation sees the context of its own', async (t) => {
  const { client } = await scene(t)
  const storage = new AsyncLocalStorage<string>()
  const channel = tracingChannel<string, CommandContext>('ermc:command')
  channel.start.bindStore(storage, ({ attributes }) => `in ${attributes['db.operation.name']} of ${storage.getStore()}`)
  const inside: (string | undefined)[] = []
  const note = (): void => void inside.push(storage.getStore())
  channel.asyncEnd.subscribe(note)
  t.teardown(() => (channel.start.unbindStore(storage), channel.asyncEnd.unsubscribe(note)))
  await Promise.all(['one', 'two'].map((name) => storage.run(name, async () => {
    await client.set(name, 1)
    t.equal(storage.getStore(), name)
    await client.getMulti([name, 'none']).then(() => t.equal(storage.getStore(), name))
    await client.get('').catch(() => t.equal(storage.getStore(), name))
  })))
  t.strictSame(inside.sort(), ['get', 'getMulti', 'set'].flatMap((command) => ['one', 'two'].map((name) => `in ${command} of ${name}`)))
})

t.test('a listener that throws is its own problem', async (t) => {
  const child = fileURLToPath(new URL('support/throwing-listener-child.ts', import.meta.url))
  const { stdout, stderr } = spawnSync(...outsideTap(process.execPath, ['--import', 'tsx', child]), { encoding: 'utf8', timeout: 60_000 })
  t.equal(stderr, '')
  const events = ['asyncEnd', 'asyncStart', 'end', 'error', 'start'].map((event) => `command:${event}`)
  t.strictSame(JSON.parse(stdout), { got: [true, 1, 'MemcacheKeyError'], uncaught: [...events, 'connect:asyncEnd', 'connect:asyncStart', 'connect:end', 'connect:start'] })
})

for (const [name, driver] of Object.entries({ ...DRIVERS, noop })) {
  t.test(`attempts to connect, on ${name}`, async (t) => {
    const { client, server } = await scene(t, { driver })
    const { events, ended } = listen<ConnectContext>(t, 'ermc:connect')
    await Promise.all([client.get('a'), client.get('b'), client.connect()])
    t.strictSame(events.map(([event]) => event), ['start', 'end', 'asyncStart', 'asyncEnd'], 'one attempt, however many wait for it')
    t.strictSame(ended[0]?.attributes, { 'db.system.name': 'memcached', 'server.address': server.host, 'server.port': server.port, 'network.transport': 'tcp' })
    t.ok((ended[0]?.duration ?? -1) >= 0)
    await client.close()
    await client.connect()
    t.equal(ended.length, 2, 'each connection is an attempt of its own')
    t.notOk(ended.some((each) => 'error' in each))
    if (driver === noop) return
    const nowhere = new Client({ driver, port: await freePort() })
    t.teardown(() => nowhere.close())
    await failure(nowhere.get('a'))
    t.strictSame(events.slice(-5).map(([event]) => event), ['start', 'end', 'error', 'asyncStart', 'asyncEnd'])
    t.match(ended.at(-1), { attributes: { 'error.type': 'ERR_MEMCACHE_SOCKET' }, error: { code: 'ERR_MEMCACHE_SOCKET', message: /ECONNREFUSED/ } })
    let calls = 1
    while (calls < 50 && ended.length === 2 + calls) { // a busy process can be late for the first pauses, which are a few milliseconds
      await failure(nowhere.get('a'))
      calls += 1
    }
    t.ok(ended.length < 2 + calls, 'a call in the pause after an attempt makes none')
  })
}

t.test('by a unix socket, and given up', async (t) => {
  const path = `${t.testdir()}/s`
  const { client } = await scene(t, {}, { path })
  const { ended } = listen<ConnectContext>(t, 'ermc:connect')
  await client.connect()
  t.strictSame(ended[0]?.attributes, { 'db.system.name': 'memcached', 'server.address': path, 'network.transport': 'unix' })
  await client.close()
  const attempt = failure(client.connect())
  await client.close()
  await attempt
  t.equal(ended[1]?.attributes['error.type'], 'ERR_MEMCACHE_CLOSED')
})

t.test('queues', async (t) => {
  const { client } = await scene(t, {}, { dialect: 'kestrel' })
  const { ended } = listen<CommandContext>(t, 'ermc:command')
  const queue = client.queue('jobs')
  await queue.put(Buffer.from('work'))
  await queue.get()
  await queue.get()
  await queue.get({ blockFor: 1 })
  await queue.flush()
  t.strictSame(ended.map(summary), [
    ['put', undefined, undefined, undefined, 4],
    ['get', undefined, 1, 0, 4],
    ['get', undefined, 0, 1, undefined],
    ['get', undefined, undefined, undefined, undefined], // on a connection of its own
    ['flush', undefined, undefined, undefined, undefined],
  ])
})

t.test('keys only where they are asked for, values never', async (t) => {
  const [KEY, VALUE] = ['SENTINEL-KEY', 'SENTINEL-VALUE']
  for (const [name, driver] of Object.entries(DRIVERS)) {
    for (const traceKeys of [false, true]) {
      const { client, server } = await scene(t, { driver, traceKeys, keyPrefix: `${KEY}:`, timeout: 5000, minCompressLength: 0 })
      const { events } = listen<CommandContext>(t, 'ermc:command')
      const connects = listen<ConnectContext>(t, 'ermc:connect')
      const key = `${KEY}-ü`
      await client.set(key, VALUE)
      await client.set(`${key}2`, { [VALUE]: VALUE })
      await client.getMulti([key, `${key}2`])
      await client.append(key, VALUE)
      await client.set('broken', `{${VALUE}`)
      // What a caller may have done wrong, in all the ways that end in a message with it.
      await failure(client.get(`${KEY} ${KEY}`))
      await failure(client.get(`${KEY}${'x'.repeat(300)}`))
      await failure(client.set(key, { [VALUE]: new Date(), toJSON: 1, [`${VALUE}2`]: () => {} }))
      await failure(client.set(key, VALUE, { ttl: VALUE as unknown as number }))
      await failure(client.incr(key, 1)) // it is no number
      const reader = new Client({ host: server.host, port: server.port, driver, traceKeys, serializer: { name: 'broken', compressors: [], encode: () => ({ value: Buffer.alloc(0), flags: 0 }), decode: () => JSON.parse(`{${VALUE}`) as unknown } })
      await failure(reader.get(`${KEY}:${key}`))
      await reader.close()
      if (driver !== memjs) {
        server.garble(`VALUE ${KEY} ${VALUE}\r\n`)
        await failure(client.get(key))
        server.garble(`VALUE ${KEY} ${VALUE}\r\n`)
        await Promise.all([failure(client.get(key)), failure(client.get('other'))])
      }
      const said = inspect([events, connects.events], { depth: 20, maxStringLength: null, maxArrayLength: null, showHidden: true })
      t.notMatch(said, VALUE, `${name}, traceKeys: ${traceKeys}: no value`)
      if (traceKeys) t.match(events.flatMap(([, { keys = [] }]) => keys), [`${KEY}:${KEY}-ü`], `${name}: keys as text, with their prefix`)
      else t.notMatch(said, KEY, `${name}: no key`)
      const faults = events.filter(([event]) => event === 'error').map(([, { error }]) => error as Error)
      t.ok(faults.length >= 6)
      for (const fault of faults) t.match(fault.stack, 'tracing.test.ts')
      t.ok(faults.some((fault) => fault.name === 'MemcacheKeyError' && (fault as { code?: string }).code === 'ERR_MEMCACHE_KEY' && fault.message.includes('left out of traces') !== traceKeys))
      t.ok(faults.some((fault) => fault.name === 'MemcacheValueError' && fault.message.includes('left out of traces')))
    }
  }
})

t.test('credentials never, whatever becomes of them', async (t) => {
  const [username, password] = ['SENTINEL-USER', 'SENTINEL-PASSWORD/ü']
  const hidden = /SENTINEL|U0VOVElORU|5345 ?4e54|53 45 4e 54/ // as it is, in base64, in hexadecimal
  const shown = (what: unknown): string => inspect(what, { depth: 20, maxStringLength: null, maxArrayLength: null, showHidden: true, getters: true })
  for (const [name, driver] of Object.entries(DRIVERS)) {
    const protocol = driver === text || driver === meta ? 'ascii' : 'binary'
    const servers: { readonly [what: string]: ServerOptions | undefined } = {
      'right ones': { protocol, auth: { [username]: password } },
      'wrong ones': { protocol, auth: { [username]: 'another' } },
      'a server that does not ask': { protocol },
      'a server of another protocol': { protocol: protocol === 'ascii' ? 'binary' : 'ascii', auth: { [username]: password } },
      'no server': undefined,
    }
    for (const [what, serverOptions] of Object.entries(servers)) {
      const server = serverOptions && (await startServer(serverOptions))
      const port = server?.port ?? (await freePort())
      const [commands, connects] = [listen<CommandContext>(t, 'ermc:command'), listen<ConnectContext>(t, 'ermc:connect')]
      const said: unknown[] = [commands.events, connects.events]
      const common = { driver, traceKeys: true, connectTimeout: 200 }
      const clients = [new Client({ port, username, password, ...common }), new Client(`memcached://${username}:${encodeURIComponent(password)}@127.0.0.1:${port}`, common)]
      for (const client of clients) {
        client.on('disconnect', (cause) => said.push(cause))
        const calls = await Promise.allSettled([client.connect(), client.set('k', 'v'), client.get('k'), client.getMulti(['k', 'l'])])
        t.strictSame(calls.map(({ status }) => status), calls.map(() => (what === 'right ones' ? 'fulfilled' : 'rejected')), `${name}, ${what}`)
        said.push(client, calls)
      }
      server?.dropConnections({ reset: true })
      for (const client of clients) {
        said.push(await Promise.allSettled([client.get('k'), client.connect({ reconnect: true }), client.close()]))
        said.push(await Promise.allSettled([client.get('k')]))
      }
      t.notMatch(shown(said), hidden, `${name}, ${what}`)
      const faults = said.flat(3).flatMap((each) => (each instanceof Error ? [each] : each !== null && typeof each === 'object' && 'reason' in each ? [each.reason] : 'error' in Object(each) ? [(each as CommandContext).error] : []))
      t.ok(what === 'right ones' ? faults.length > 0 : faults.length > 10, `${faults.length} faults`)
      for (const fault of faults) {
        if (!(fault instanceof Error)) continue
        if (hidden.test(`${fault.message}${fault.stack}${JSON.stringify(fault)}`)) t.fail(`${name}, ${what}`, { fault })
        if (fault.cause !== undefined) faults.push(fault.cause)
      }
      await server?.close()
    }
    const at = `${username}:${encodeURIComponent(password)}@`
    const wrong: readonly (() => Client)[] = [
      ...[`memcached://${at}h:99999`, `memcached://${at}`, `memcached://${at}h/path`, `memcached://${at}h?q=1`, `http://${at}h`, `${at}h`, `memcached://${at}a b`, `unix://${at}`, `unix://${at}host/path`, `unix://${at}/\n`, `memcached://${username}:%FF${password}@h`].map((url) => () => new Client(url, { driver })),
      () => new Client({ driver, username, password: `${password}\r\n` }), () => new Client({ driver, username: `${username}\0`, password }), () => new Client({ driver, password }), () => new Client({ driver, username: [username] as unknown as string, password }),
      () => new Client({ driver, username, password: { password } as unknown as string }), () => new Client({ driver, username, password, tls: { cert: 'none' } }), () => new Client({ driver, username, password, timeout: -1 }), () => new Client({ driver, user: username, password } as ClientOptions),
    ]
    for (const make of wrong) {
      const error = t.throws(make)
      t.notMatch(shown(error), hidden, `${name}: ${String(make)}`)
    }
  }
})

/** What OpenTelemetry's own package for Node does: the active context, by AsyncLocalStorage. */
class Contexts implements ContextManager {
  readonly #storage = new AsyncLocalStorage<Context>()
  active = (): Context => this.#storage.getStore() ?? ROOT_CONTEXT
  with: ContextManager['with'] = (active, work, self, ...args) => this.#storage.run(active, () => work.apply(self as ThisParameterType<typeof work>, args))
  bind: ContextManager['bind'] = (_, target) => target
  enable = (): this => this
  disable = (): this => this
}

t.test('docs/examples/spans.ts', async (t) => {
  const exporter = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  context.setGlobalContextManager(new Contexts())
  const tracer = provider.getTracer('test')
  const stop = traceSpans(tracer)
  t.teardown(() => context.disable())
  const { client, server } = await scene(t, { traceKeys: true, timeout: 5000 })
  const at = `${server.host}:${server.port}`

  const request = tracer.startSpan('request')
  await context.with(trace.setSpan(context.active(), request), async () => {
    await client.set('a', 'four')
    t.equal(trace.getActiveSpan(), request)
    await Promise.all([client.getMulti(['a', 'none']), client.get('a')])
    server.garble('SERVER_ERROR busy\r\n')
    await failure(client.delete('a'))
  })
  request.end()
  await client.get('a')

  const spans = exporter.getFinishedSpans()
  const named = (name: string): ReadableSpan => {
    const found = spans.find((span) => span.name === name)
    if (found === undefined) throw new Error(`there is no span ${name} among ${spans.map((span) => span.name).join(', ')}`)
    return found
  }
  t.strictSame(spans.map(({ name }) => name).sort(), ['connect', 'delete', 'get', 'get', 'getMulti', 'set'].map((name) => `${name} ${at}`).concat('request').sort())
  const common = { 'db.system.name': 'memcached', 'server.address': server.host, 'server.port': server.port, 'network.transport': 'tcp' }
  const [set, many, deleted, connected] = [named(`set ${at}`), named(`getMulti ${at}`), named(`delete ${at}`), named(`connect ${at}`)]
  t.strictSame(set.attributes, { ...common, 'db.operation.name': 'set', 'ermc.keys': ['a'], 'ermc.value_bytes': 4 })
  t.strictSame(many.attributes, { ...common, 'db.operation.name': 'getMulti', 'db.operation.batch.size': 2, 'ermc.keys': ['a', 'none'], 'ermc.hits': 1, 'ermc.misses': 1, 'ermc.value_bytes': 4 })
  t.strictSame(connected.attributes, common)
  for (const span of spans) if (span.name !== 'request') t.equal(span.kind, SpanKind.CLIENT)
  const parent = request.spanContext().spanId
  for (const span of [set, many, deleted]) t.equal(span.parentSpanContext?.spanId, parent)
  t.equal(connected.parentSpanContext?.spanId, set.spanContext().spanId, 'the command that needed the connection')
  t.equal(spans.at(-1)?.parentSpanContext, undefined, 'what is called outside of all spans has no parent')
  t.strictSame(set.status, { code: SpanStatusCode.UNSET })
  t.match(deleted.status, { code: SpanStatusCode.ERROR, message: /busy/ })
  t.match(deleted.attributes, { 'error.type': 'ERR_MEMCACHE_SERVER', 'db.response.status_code': 'SERVER_ERROR' })
  t.match(deleted.events[0], { name: 'exception', attributes: { 'exception.type': 'ERR_MEMCACHE_SERVER', 'exception.message': /busy/ } })

  stop()
  await client.get('a')
  t.equal(exporter.getFinishedSpans().length, spans.length)
})

t.test('docs/examples/metrics.ts', async (t) => {
  const register = new Registry()
  const stop = collectMetrics(register)
  const { client, server } = await scene(t)
  await client.set('a', 'four')
  await client.getMulti(['a', 'none', 'nothing'])
  await failure(client.get(''))
  const nowhere = new Client({ port: await freePort() })
  await failure(nowhere.get('a'))
  await nowhere.close()
  stop()
  await client.get('a')
  const text = await register.metrics()
  const at = `server="${server.host}:${server.port}"`
  for (const line of [
    `memcached_command_duration_seconds_count{${at},command="set"} 1`,
    `memcached_command_duration_seconds_count{${at},command="get"} 1`,
    `memcached_command_errors_total{${at},command="get",type="ERR_MEMCACHE_KEY"} 1`,
    `memcached_hits_total{${at}} 1`,
    `memcached_misses_total{${at}} 2`,
    `memcached_value_bytes_total{${at},command="getMulti"} 4`,
    `memcached_connect_duration_seconds_count{${at},outcome="connected"} 1`,
  ]) t.ok(text.split('\n').includes(line), line)
  t.match(text, /memcached_connect_duration_seconds_count\{server="127\.0\.0\.1:\d+",outcome="ERR_MEMCACHE_SOCKET"\} 1/)
})
