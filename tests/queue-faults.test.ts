import { Buffer } from 'node:buffer'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import {
  Client,
  consumeAll,
  MemcacheReservationLostError,
  MemcacheServerError,
  MemcacheTimeoutError,
  MemcacheValueError,
  type ClientOptions,
  type Consumer,
  type Execute,
  type Job,
  type Middleware,
} from '../lib/index.ts'
import { Backoff } from '../lib/queue/backoff.ts'
import { startServer, type ServerOptions, type TestServer } from '../lib/testing/index.ts'
import { rejection } from '../lib/testing/contract/rejection.ts'
import { answering, startScripted, type Peer, type ScriptedServer } from './support/scripted-server.ts'

/** What servers, networks, layers and callers can do to a consumer of queues, and what must not come of it. */

async function scene(t: Test, options: ServerOptions, clientOptions: ClientOptions = {}): Promise<{ server: TestServer; client: Client }> {
  const server = await startServer(options)
  return { server, client: clientOf(t, server, clientOptions) }
}

async function scripted(t: Test, script: (peer: Peer) => void | Promise<void>, clientOptions: ClientOptions = {}): Promise<{ server: ScriptedServer; client: Client }> {
  const server = await startScripted(script)
  return { server, client: clientOf(t, server, clientOptions) }
}

function clientOf(t: Test, server: { readonly port: number; close(): Promise<void> }, options: ClientOptions): Client {
  const client = new Client({ port: server.port, ...options })
  t.teardown(async () => {
    await client.close()
    await server.close()
  })
  return client
}

async function until(what: () => boolean, patience = 10_000): Promise<void> {
  const deadline = performance.now() + patience
  while (!what()) {
    if (performance.now() > deadline) throw new Error(`it has not come: ${what}`)
    await sleep(2)
  }
}

async function take<T>(consumer: Consumer<T>): Promise<Job<T>> {
  const { value } = await consumer.next()
  if (value === undefined) throw new Error('the consumer is closed')
  return value
}

/** What is in a queue: nothing is open any more. */
async function contents(client: Client, name = 'jobs'): Promise<string[]> {
  const queue = client.queue(name, { codec: 'string' })
  for (;;) {
    const stats = await queue.stats()
    if ((stats.get('open_transactions') ?? 0) === 0) break
    await sleep(5)
  }
  const found: string[] = []
  for (let value = await queue.get(); value !== undefined; value = await queue.get()) found.push(value)
  return found
}

const VALUE = 'VALUE jobs 0 1\r\nx\r\nEND\r\n'

t.test('a handler whose connection is lost', async (t) => {
  const { server, client } = await scene(t, { dialect: 'darner' })
  const jobs = client.queue('jobs', { codec: 'string' })
  await jobs.put('a')
  const signals: AbortSignal[] = []
  const worker = jobs.process(async (_, { signal }) => {
    signals.push(signal)
    await sleep(50)
  }, { blockFor: 50 })
  await until(() => signals.length === 1)
  server.dropConnections()
  await until(() => worker.counters.acked === 1)
  await worker.close()
  t.match(worker.counters, { received: 2, done: 2, lost: 1, acked: 1 }, 'nothing rejects unhandled, and the job is done again')
  t.strictSame(signals.map(({ aborted }) => aborted), [true, false])

  await jobs.put('b')
  let calls = 0
  const retrying = jobs.process(() => {
    calls += 1
    if (calls === 1) setImmediate(() => server.dropConnections())
    if (calls === 1) throw new Error('no')
  }, { blockFor: 50, retries: 5, backoff: 60_000 })
  await until(() => retrying.counters.done === 1)
  await retrying.close()
  t.match(retrying.counters, { received: 2, failures: 1, lost: 1, acked: 1 }, 'a job that is lost before its next try is not tried again by who has lost it')
})

t.test('a handler that settles its job itself', async (t) => {
  const { client } = await scene(t, { dialect: 'kestrel', maxItems: 1 })
  const jobs = client.queue('jobs', { codec: 'string' })
  const run = async (handler: (job: Job<string>, calls: number) => unknown): Promise<object> => {
    await jobs.put('a')
    let calls = 0
    const worker = jobs.process((job) => handler(job, (calls += 1)), { blockFor: 20, backoff: 1 })
    await until(() => worker.counters.acked >= 1 && worker.counters.empty > 0)
    await worker.close()
    t.strictSame(await contents(client), [])
    return worker.counters
  }
  t.match(await run((job, calls) => (calls === 1 ? job.abort() : undefined)), { done: 2, aborted: 1, acked: 1, failures: 0 })
  t.match(await run((job) => job.ack()), { done: 1, acked: 1 })
  t.match(await run(async (job, calls) => (calls === 1 ? job.retry() : undefined)), { done: 2, acked: 2 })
  t.match(await run((job, calls) => void (calls === 1 && job.retry())), { done: 2, acked: 2 }, 'not waited for')
  t.match(await run(async (job, calls) => {
    if (calls > 1) return
    await job.abort()
    throw new Error('and then fails')
  }), { done: 1, failures: 1, aborted: 1, acked: 1 })

  const dead = client.queue('dead', { codec: 'string' })
  await dead.put('full')
  t.match(await run((job) => void job.retry({ to: 'dead' })), { done: 1, acked: 1 }, 'a handler that succeeds is believed')
})

t.test('workers that are closed under load do each job once', async (t) => {
  for (const dialect of ['kestrel', 'darner', 'siberite'] as const) {
    const { client, server } = await scene(t, { dialect })
    const jobs = client.queue<number>('jobs', { codec: 'json' })
    const count = 1500
    await Promise.all(Array.from({ length: count }, (_, n) => jobs.put(n)))
    const calls = new Uint8Array(count)
    const sums = { acked: 0, lost: 0 }
    let rounds = 0
    for (let stats = await jobs.stats(); stats.get('items'); stats = await jobs.stats()) {
      const worker = jobs.process(async ({ value }) => {
        calls[value] = (calls[value] ?? 0) + 1
        if (value % 3 === 0) await sleep(value % 5)
      }, { concurrency: 8, blockFor: 100 })
      await sleep(5 + (rounds % 20))
      if (rounds % 2 === 0) await worker.close()
      else await Promise.all([worker.close(), worker[Symbol.asyncDispose]()])
      while ((await jobs.stats()).get('open_transactions')) await sleep(1) // what the server gave to a read that was broken off
      sums.acked += worker.counters.acked
      sums.lost += worker.counters.lost
      rounds += 1
    }
    t.strictSame(sums, { acked: count, lost: 0 }, `${dialect}: ${rounds} workers`)
    t.ok(calls.every((times) => times === 1))
    await until(() => server.connections === 1)
  }
})

t.test('functions of the caller that fail', async (t) => {
  const { client } = await scene(t, { dialect: 'kestrel' })
  const jobs = client.queue('jobs', { codec: 'string' })
  const warnings: Error[] = []
  const onWarning = (warning: Error): void => void warnings.push(warning)
  process.on('warning', onWarning)
  for (const backoff of [() => { throw new Error('broken') }, () => NaN, () => -1, () => 'soon' as never, () => Infinity]) {
    await jobs.put('a')
    const faults: unknown[] = []
    let calls = 0
    const worker = jobs.process(() => {
      calls += 1
      if (calls === 1) throw new Error('handler')
    }, { blockFor: 20, retries: 1, backoff, onFault: (fault) => faults.push(fault) })
    const endless = `${backoff}`.includes('Infinity')
    await until(() => worker.counters.failures === 1)
    if (endless) await sleep(50)
    else await until(() => worker.counters.acked === 1)
    await worker.close()
    t.equal(faults.length, endless ? 1 : 2, `${backoff}`)
    t.strictSame(await contents(client), endless ? ['a'] : [])
  }
  process.off('warning', onWarning)
  t.strictSame(warnings, [])
})

t.test('a dead letter that finds no room does not spin', async (t) => {
  const { client } = await scene(t, { dialect: 'kestrel', maxItems: 1 })
  const jobs = client.queue('jobs', { codec: 'string' })
  await jobs.put('a')
  await client.queue('dead', { codec: 'string' }).put('full')
  const worker = jobs.process(() => Promise.reject(new Error('no')), { deadLetter: 'dead', backoff: 100, blockFor: 50 })
  await sleep(350)
  await worker.close()
  t.ok(worker.counters.failures >= 1 && worker.counters.failures <= 5, `${worker.counters.failures} calls in 350 ms`)
  t.strictSame(await contents(client), ['a'])

  await jobs.put('b')
  const retrying = jobs.process(() => Promise.reject(new Error('no')), { onError: 'retry', backoff: 100, blockFor: 50 })
  await sleep(350)
  await retrying.close()
  t.ok(retrying.counters.retried >= 1 && retrying.counters.retried <= 5, `nor a job that is put to the end of an empty queue: ${retrying.counters.retried}`)
})

t.test('the signal of a worker is its close()', async (t) => {
  const { client, server } = await scene(t, { dialect: 'darner' })
  const jobs = client.queue('jobs', { codec: 'string' })
  await jobs.put('a')
  const controller = new AbortController()
  const worker = jobs.process(() => Promise.reject(new Error('no')), { retries: 1000, backoff: 60_000, signal: controller.signal })
  await until(() => worker.counters.failures === 1)
  controller.abort()
  await worker.finished
  t.match(worker.counters, { failures: 1, aborted: 1 }, 'no handler is called again')
  t.strictSame(await contents(client), ['a'])
  await until(() => server.connections === 1)
  await jobs.process(() => t.fail('nothing is taken'), { signal: controller.signal }).finished
})

t.test('what was acknowledged without waiting is said before the loop ends', async (t) => {
  const { client, server } = await scene(t, { dialect: 'kestrel' })
  const jobs = client.queue('jobs', { codec: 'string' })
  for (const ack of ['auto', 'manual'] as const) {
    for (const when of ['in the loop', 'while it waits']) {
      const own = new Client(server.url)
      await jobs.put('a')
      const controller = new AbortController()
      const consumer = own.queue('jobs').consume({ ack, blockFor: 200, signal: controller.signal })
      for await (const job of consumer) {
        if (when === 'in the loop') controller.abort()
        else setTimeout(() => controller.abort(), 20)
        if (ack === 'manual') void job.ack()
      }
      await own.close()
      t.match(consumer.counters, { received: 1, acked: 1, lost: 0 }, `${ack}, aborted ${when}`)
      t.strictSame(await contents(client), [])
    }
  }
})

t.test('a retry is said once, and what comes meanwhile waits for it', async (t) => {
  const { client } = await scene(t, { dialect: 'kestrel', maxItems: 2 })
  const jobs = client.queue('jobs', { codec: 'string' })
  const run = async (body: (job: Job<string>) => unknown): Promise<string[]> => {
    await jobs.put('a')
    const consumer = jobs.consume()
    const job = await take(consumer)
    await body(job)
    await consumer.return()
    return contents(client)
  }
  t.strictSame(await run(async (job) => {
    const [first, second] = await Promise.allSettled([job.retry(), job.retry()])
    t.match([first, second], [{ value: true }, { reason: { name: 'MemcacheValueError' } }])
  }), ['a'])
  t.strictSame(await run(async (job) => {
    const retried = job.retry()
    t.equal(job.open, true)
    t.match(await rejection(job.abort()), { name: 'MemcacheValueError' })
    t.equal(await retried, true)
  }), ['a'])
  t.strictSame(await run((job) => Promise.all([job.retry(), job.ack()])), ['a'])
  t.strictSame(await run((job) => void job.retry()), ['a'], 'the loop is left meanwhile')
  t.strictSame(await run(async (job) => {
    for (const value of ['b', 'c']) await jobs.put(value)
    const retried = job.retry()
    const aborted = job.abort()
    t.equal(await retried, false)
    await aborted
  }), ['a', 'b', 'c'], 'what waited for a retry that finds no room')
  t.strictSame(await run(async (job) => {
    t.match(await rejection(job.retry({ to: 5 as never })), { name: 'MemcacheKeyError' })
    await job.ack()
    await job.ack()
  }), [])
})

t.test('a retry that fails', async (t) => {
  let answer: (peer: Peer) => string = () => ''
  const { client } = await scripted(t, (peer) => answering((request) => {
    if (request.startsWith('set')) return answer(peer)
    return request.includes('open') ? VALUE : 'END\r\n'
  })(peer))
  const consumer = client.queue('jobs').consume({ blockFor: 50 })
  answer = () => 'SERVER_ERROR no room\r\n'
  const refused = await take(consumer)
  t.ok((await rejection(refused.retry())) instanceof MemcacheServerError)
  t.ok(refused.open)
  await refused.ack()
  for (const said of ['ERROR queue: name is too long\r\n', 'VALUE jobs 0 1\r\nx\r\nEND\r\n', '']) {
    answer = (peer) => {
      if (said === '') peer.fin()
      return said
    }
    const job = await take(consumer)
    t.ok((await rejection(job.retry())) instanceof MemcacheReservationLostError, JSON.stringify(said))
    t.ok(job.signal.aborted)
  }
  await consumer.return()
  t.match(consumer.counters, { received: 4, acked: 1, lost: 3 })
})

t.test('layers', async (t) => {
  /** Asks again, once, for what has failed. */
  const again: Middleware = (next) => (request, call) => next(request, call).catch(() => next(request, call))
  /** Passes on what comes a little later. */
  const later: Middleware = (next: Execute) => async (request, call) => {
    await sleep(20)
    return next(request, call)
  }
  for (const [name, layer] of Object.entries({ again, later })) {
    for (const settle of ['ack', 'abort', 'retry'] as const) {
      const received: string[] = []
      const { client, server } = await scripted(t, async (peer) => {
        for (;;) {
          const request = await peer.request()
          received.push(`${peer.index}: ${request.trimEnd()}`)
          if (/^set|(close|abort)\r\n$/.test(request)) return peer.reset()
          peer.send(VALUE)
        }
      }, { layers: [layer] })
      const consumer = client.queue('jobs').consume({ blockFor: 50 })
      const job = await take(consumer)
      const settled = rejection(job[settle]())
      if (name === 'later') {
        await sleep(5)
        server.peers[0]?.reset()
      }
      t.match(await settled, { name: 'MemcacheReservationLostError' }, `${name}: ${settle}`)
      await sleep(50)
      t.notOk(received.some((line) => /^[1-9].*(set|close|abort)/.test(line)), `nothing of it is said on another connection: ${received}`)
      await consumer.return()
    }
  }
  for (const thrown of [new Error('own'), 'text', undefined, Object.create(null)]) {
    const { client } = await scene(t, { dialect: 'kestrel' }, {
      layers: [(next) => (request, call) => {
        if ('key' in request && String(request.key).endsWith('/close')) throw thrown
        return next(request, call)
      }],
    })
    await client.queue('jobs').put(Buffer.from('x'))
    const consumer = client.queue('jobs').consume({ blockFor: 50 })
    const job = await take(consumer)
    const error = await rejection(job.ack())
    t.ok(error instanceof MemcacheReservationLostError, 'whatever a layer throws')
    t.equal((error.cause as Error).cause, thrown)
    await consumer.return()
  }
  const { client } = await scene(t, { dialect: 'kestrel' }, { layers: [() => () => Promise.reject(new Error('own'))] })
  t.match(await rejection(client.queue('jobs').consume().next()), { message: 'own' }, 'what is no fault of a server ends the consumer')
})

t.test('servers that answer what they should not, late, or never', async (t) => {
  const wrong: readonly (readonly [what: string, answer: string])[] = [
    ['an item', VALUE], ['twice', 'END\r\nEND\r\n'], ['garbage', '\x00\xff\r\n'], ['no line', 'EN'], ['a word of others', 'STORED\r\n'], ['a refusal', 'ERROR \r\n'],
    ['a failure', 'SERVER_ERROR\r\n'],
  ]
  for (const [what, answer] of wrong) {
    for (const settle of ['ack', 'abort'] as const) {
      const { client, server } = await scripted(t, answering((request) => (/(close|abort)\r\n$/.test(request) ? answer : VALUE)), { timeout: 100 })
      const consumer = client.queue('jobs').consume({ blockFor: 50 })
      const job = await take(consumer)
      const error = await rejection(job[settle]())
      t.ok(error instanceof MemcacheReservationLostError && job.signal.aborted, `${settle}: ${what}`)
      t.ok((await take(consumer)).open, 'the next job comes on a connection that is in order')
      t.equal(server.peers.length, 2)
      await consumer.return()
    }
  }

  let first = true
  const { client } = await scripted(t, answering((request) => {
    const twice = first
    first = false
    return twice ? `${VALUE}END\r\n` : request.includes('open') ? VALUE : 'END\r\n'
  }))
  const consumer = client.queue('jobs').consume({ blockFor: 50 })
  t.ok((await take(consumer)).open, 'an item whose connection ends behind it is not handed out')
  t.match(consumer.counters, { received: 1, faults: 1 })
  await consumer.return()

  for (const folded of [false, true]) {
    const { client } = await scripted(t, async (peer) => {
      await peer.request()
      peer.send(VALUE)
      await peer.request()
      await sleep(folded ? 1500 : 300)
      peer.send(VALUE)
      await peer.closed()
    }, { timeout: 100 })
    const faults: unknown[] = []
    const consumer = client.queue('jobs').consume({ blockFor: 50, onFault: (fault) => faults.push(fault) })
    const job = await take(consumer)
    const began = performance.now()
    const acked = rejection(job.ack())
    const next = folded ? take(consumer) : undefined
    t.match(await acked, { name: 'MemcacheReservationLostError', cause: { name: 'MemcacheTimeoutError' } })
    t.ok(performance.now() - began < (folded ? 1490 : 290), 'a late answer is not waited for')
    t.ok((await (next ?? take(consumer))).open)
    if (folded) t.ok(faults[0] instanceof MemcacheTimeoutError)
    await consumer.return()
  }
})

t.test('a client whose `timeout` is shorter than the wait', async (t) => {
  const { client } = await scene(t, { dialect: 'darner' }, { timeout: 50 })
  const jobs = client.queue('jobs', { codec: 'string' })
  const consumer = jobs.consume({ blockFor: 300 })
  const next = take(consumer)
  const got = jobs.get({ blockFor: 300 })
  await sleep(150)
  await jobs.put('a')
  await jobs.put('b')
  t.strictSame([(await next).value, await got].sort(), ['a', 'b'])
  await consumer.return()
  t.equal(consumer.counters.faults, 0)
})

t.test('a server that is a little late with its END', async (t) => {
  const { client } = await scripted(t, async (peer) => {
    for (;;) {
      await peer.request()
      await sleep(250)
      peer.send('END\r\n')
    }
  }, { timeout: 50 })
  const jobs = client.queue('jobs')
  const consumer = jobs.consume({ blockFor: 100 })
  void consumer.next()
  t.equal(await jobs.get({ blockFor: 100 }), undefined)
  await until(() => consumer.counters.empty === 2)
  await consumer.close()
  t.equal(consumer.counters.faults, 0, 'as kestrel is, whose clock ticks ten times a second')
})

t.test('a get that waits, on servers that do not', async (t) => {
  for (const dialect of ['siberite', 'memcacheq'] as const) {
    const { client, server } = await scene(t, { dialect })
    const jobs = client.queue('jobs', { codec: 'string' })
    const began = performance.now()
    t.equal(await jobs.get({ blockFor: 250 }), undefined)
    t.ok(performance.now() - began > 249, 'undefined says that nothing came for so long')
    const waiting = jobs.get({ blockFor: 10_000 })
    await sleep(50)
    await jobs.put('a')
    t.equal(await waiting, 'a')
    const down = rejection(jobs.get({ blockFor: 10_000 }))
    await sleep(20)
    await server.close()
    t.match(await down, { name: 'MemcacheSocketError' })
  }
})

t.test('next() many times at once', async (t) => {
  const { client, server } = await scene(t, { dialect: 'kestrel' })
  const jobs = client.queue<number>('jobs', { codec: 'json' })
  for (let n = 0; n < 20; n += 1) await jobs.put(n)
  const consumer = jobs.consume({ concurrency: 3, blockFor: 50 })
  const asked = Array.from({ length: 25 }, () => consumer.next())
  const seen: number[] = []
  for (const next of asked.slice(0, 20)) {
    const { value: job } = await next
    seen.push(job?.value ?? NaN)
    void job?.ack()
  }
  t.strictSame(seen.sort((a, b) => a - b), Array.from({ length: 20 }, (_, n) => n))
  t.ok(server.connections <= 4)
  await consumer.close()
  for (const next of asked.slice(20)) t.strictSame(await next, { done: true, value: undefined })
  await consumer.close()
  t.strictSame(await consumer.return(), { done: true, value: undefined })
  t.match(consumer.counters, { received: 20, acked: 20 })
  await until(() => server.connections === 1)

  // Who asks twice at once asks for the second behind the first.
  for (const value of [1, 2, 3]) await jobs.put(value)
  const auto = jobs.consume({ ack: 'auto', concurrency: 3, blockFor: 50 })
  await Promise.all([auto.next(), auto.next()])
  await auto.next()
  await until(() => auto.counters.acked === 2)
  await auto.return()
  t.match(auto.counters, { received: 3, acked: 2, aborted: 1 })
})

t.test('closing at odd moments', async (t) => {
  const { client, server } = await scene(t, { dialect: 'darner' })
  const jobs = client.queue('jobs', { codec: 'string' })
  await jobs.stats()
  const sockets: Socket[] = []
  const watch = (message: unknown): void => void sockets.push((message as { readonly socket: Socket }).socket)
  subscribe('net.client.socket', watch)
  t.teardown(() => unsubscribe('net.client.socket', watch))
  const left = (): number => sockets.filter(({ closed }) => !closed).length

  const unused = jobs.consume({ concurrency: 5 })
  await unused.close()
  t.strictSame(await unused.next(), { done: true, value: undefined }, 'a consumer that was never asked')
  t.equal(sockets.length, 0)

  await jobs.put('a')
  const inLoop = jobs.consume()
  for await (const job of inLoop) {
    await inLoop.close()
    t.ok(job.open, 'close() in the loop leaves its job alone')
    t.equal(left(), 1, 'and its connection')
    await job.ack()
  }
  await inLoop.return()
  t.equal(left(), 0)

  await jobs.put('b')
  const returned = jobs.consume()
  for await (const job of returned) {
    await returned.return()
    t.equal(left(), 0)
    t.match(await rejection(job.ack()), { name: 'MemcacheValueError' }, 'return() in the loop gives it back')
  }
  t.strictSame(await contents(client), ['b'])

  // While reads are under way, and at once.
  const consumers = Array.from({ length: 10 }, () => jobs.consume({ concurrency: 3, blockFor: 30_000 }))
  const asked = consumers.flatMap((consumer) => [consumer.next(), consumer.next()])
  for (const [place, consumer] of consumers.entries()) {
    if (place > 4) await sleep(place)
    await (place % 2 === 0 ? consumer.return() : consumer.close())
  }
  t.equal(left(), 0, 'no socket is open when close() and return() are through')
  for (const next of asked) t.strictSame(await next, { done: true, value: undefined })
  await until(() => server.connections === 1)

  const worker = jobs.process(() => {}, { concurrency: 4, blockFor: 200 })
  for (let n = 0; n < 20; n += 1) await jobs.put(String(n))
  await until(() => worker.counters.done === 20)
  await worker.close()
  t.match(worker.counters, { acked: 20, lost: 0 })
  t.equal(left(), 0, 'nor when a worker is closed')

  const seen: boolean[] = []
  const reentrant = jobs.consume()
  reentrant.closing.addEventListener('abort', () => void reentrant.close().then(() => seen.push(true)))
  void reentrant.next()
  await reentrant.close()
  await until(() => seen.length === 1)

  await jobs.put('c')
  const kept = await take(jobs.consume())
  await client.close()
  t.ok((await rejection(kept.ack())) instanceof MemcacheReservationLostError, 'a job that outlives its client')
  t.ok((await rejection(kept.abort())) instanceof MemcacheReservationLostError)
  await client.connect()
  t.ok((await rejection(kept.ack())) instanceof MemcacheReservationLostError, 'even if that is opened again')
  t.strictSame(await contents(client), ['c'])
})

t.test('several servers are asked in turn, and for no more than is wanted', async (t) => {
  const servers = await Promise.all([0, 1, 2].map(() => startServer({ dialect: 'kestrel' })))
  const clients = servers.map((server) => clientOf(t, server, {}))
  for (const [place, client] of clients.entries()) for (let n = 0; n < 20; n += 1) await client.queue('jobs', { codec: 'string' }).put(String(place))
  const consumer = consumeAll<string>(clients, 'jobs', { codec: 'string', blockFor: 10 })
  const seen: string[] = []
  for (let n = 0; n < 12; n += 1) {
    const job = await take(consumer)
    seen.push(job.value)
    if (n % 4 === 0) await sleep(25) // longer than a job would be kept that nobody has asked for
    await job.ack()
  }
  for (const place of ['0', '1', '2']) t.ok(seen.filter((each) => each === place).length >= 3, `each has its turn: ${seen}`)
  t.ok(consumer.counters.received <= 15, `${consumer.counters.received} jobs were reserved for 12`)
  await consumer.return()
  t.throws(() => consumeAll([], 'jobs'), MemcacheValueError)
  t.throws(() => consumeAll('jobs' as never, 'jobs'), MemcacheValueError)
})

t.test('a job that nobody has asked for goes back when the consumer is closed', async (t) => {
  const servers = await Promise.all([0, 1].map(() => startServer({ dialect: 'kestrel' })))
  const clients = servers.map((server) => clientOf(t, server, {}))
  const consumer = consumeAll<string>(clients, 'jobs', { codec: 'string', blockFor: 10_000 })
  const next = consumer.next()
  await until(() => servers.every((server) => server.connections === 1))
  await sleep(20)
  for (const client of clients) await client.queue('jobs', { codec: 'string' }).put('a')
  await until(() => consumer.counters.received === 2)
  const { value: job } = await next
  const began = performance.now()
  await consumer.close()
  t.ok(performance.now() - began < 5000)
  t.equal(consumer.counters.aborted, 1)
  await job?.ack()
  t.strictSame((await Promise.all(clients.map((client) => contents(client)))).flat(), ['a'])
})

t.test('a server that hangs slows no other one', async (t) => {
  const stuck = await startScripted(async (peer) => peer.closed())
  const server = await startServer({ dialect: 'kestrel' })
  const clients = [clientOf(t, stuck, { timeout: 60_000 }), clientOf(t, server, {})]
  const jobs = clients[1]!.queue<number>('jobs', { codec: 'json' })
  for (let n = 0; n < 100; n += 1) await jobs.put(n)
  const consumer = consumeAll<number>(clients, 'jobs', { codec: 'json', concurrency: 2 })
  const began = performance.now()
  for (let n = 0; n < 100; n += 1) await (await take(consumer)).ack()
  t.ok(performance.now() - began < 2000)
  await consumer.return()
})

t.test('many readers of a server that was down come back soon', async (t) => {
  const { client, server } = await scene(t, { dialect: 'kestrel' })
  const { port } = server
  const consumer = client.queue('jobs', { codec: 'string' }).consume({ concurrency: 16, blockFor: 50 })
  const asked = Array.from({ length: 16 }, () => consumer.next())
  await until(() => server.connections === 16)
  await server.close()
  await until(() => consumer.counters.faults > 32)
  await using risen = await startServer({ dialect: 'kestrel', port })
  const began = performance.now()
  await using producer = new Client(risen.url)
  await producer.queue('jobs', { codec: 'string' }).put('a')
  t.equal((await Promise.race(asked)).value?.value, 'a')
  t.ok(performance.now() - began < 2500, 'sixteen faults of one outage are one')
  await consumer.return()
  await client.close()
})

t.test('how long to wait after a fault', (t) => {
  const backoff = new Backoff()
  for (let reader = 0; reader < 16; reader += 1) {
    const wait = backoff.next()
    t.ok(wait >= 25 && wait <= 50, `the faults of one moment are one: ${wait} ms`)
  }
  backoff.reset()
  t.ok(backoff.next() <= 50)
  t.end()
})

t.test('a get that waits, and a look, use connections again', async (t) => {
  const { client, server } = await scene(t, { dialect: 'darner' })
  const jobs = client.queue('jobs', { codec: 'string' })
  let connections = 0
  const counted = (): void => { connections = Math.max(connections, server.connections) }
  for (let n = 0; n < 30; n += 1) {
    await jobs.put(String(n))
    t.equal(await jobs.peek(), String(n))
    t.equal(await client.queue('jobs', { codec: 'string' }).get({ blockFor: 1000 }), String(n))
    counted()
  }
  t.equal(connections, 2)
  await Promise.all(Array.from({ length: 20 }, () => jobs.get({ blockFor: 50 })))
  await until(() => server.connections <= 9)
  server.dropConnections()
  await until(() => server.connections === 0)
  await jobs.put('a')
  t.equal(await jobs.get({ blockFor: 100 }), 'a', 'and none that has ended')
  await client.close()
  await until(() => server.connections === 0)
  await client.connect()

  const stalled = await startScripted(async (peer) => peer.closed())
  const hanging = clientOf(t, stalled, { timeout: 60_000 }).queue('jobs')
  t.match(await rejection(hanging.peek({ timeout: 50 })), { name: 'MemcacheTimeoutError', command: 'peek' })
  t.match(await rejection(hanging.peek({ signal: AbortSignal.timeout(20) })), { name: 'TimeoutError' })
  t.match(await rejection(hanging.get({ blockFor: 50, timeout: 50 })), { name: 'MemcacheTimeoutError', command: 'get' })
  await until(() => stalled.peers.every((peer) => peer.gone))
})

t.test('times to live as queue servers read them', async (t) => {
  const { client, server } = await scripted(t, answering(() => 'STORED\r\n'))
  const jobs = client.queue('jobs', { codec: 'string' })
  const now = Math.floor(Date.now() / 1000)
  for (const ttl of [undefined, 60, 999_999, 1_000_000, 20 * 86_400, 90 * 86_400, -1, new Date(0), new Date((now + 10) * 1000)]) await jobs.put('x', { ttl })
  const sent = [...server.received.matchAll(/set jobs 0 (\d+) 1/g)].map(([, ttl]) => Number(ttl)).map((ttl) => (ttl > 1e9 ? Math.round((ttl - now) / 60) * 60 : ttl))
  t.strictSame(sent, [0, 60, 999_999, Math.round(1e6 / 60) * 60, 20 * 86_400, 90 * 86_400, 1_000_000, 1_000_000, 0])

  const { client: kestrel } = await scene(t, { dialect: 'kestrel' })
  const queue = kestrel.queue('jobs', { codec: 'string' })
  for (const ttl of [20 * 86_400, -1, new Date(0), 1_000_000]) await queue.put(String(ttl), { ttl })
  t.strictSame(await contents(kestrel), [String(20 * 86_400), '1000000'])
  const { client: darner } = await scene(t, { dialect: 'darner' })
  t.equal(await darner.queue('jobs', { codec: 'string' }).put('x', { ttl: -1 }), true, 'darner, which ends the connection at a negative number')
})
