import { Buffer } from 'node:buffer'
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import {
  binary,
  Client,
  consumeAll,
  json,
  MemcacheClientError,
  MemcacheClosedError,
  MemcacheKeyError,
  MemcacheReservationLostError,
  MemcacheSocketError,
  MemcacheUnsupportedError,
  MemcacheValueError,
  meta,
  noop,
  type ClientOptions,
  type Job,
} from '../lib/index.ts'
import { startServer, type ServerOptions, type TestServer } from '../lib/testing/index.ts'
import { rejection } from '../lib/testing/contract/rejection.ts'
import { outsideTap } from './support/outside-tap.ts'
import { answering, startScripted } from './support/scripted-server.ts'

/** Queues, on the embedded server in the dialects of kestrel, darner and siberite; and what is on the wire. */

const RELIABLE = ['kestrel', 'darner', 'siberite'] as const

interface Scene {
  readonly server: TestServer
  readonly client: Client
}

async function scene(t: Test, options: ServerOptions, clientOptions: ClientOptions = {}): Promise<Scene> {
  const server = await startServer(options)
  const client = new Client(server.url, clientOptions)
  t.teardown(async () => {
    await client.close()
    await server.close()
  })
  return { server, client }
}

/** Waits for what is bound to come. */
async function until(what: () => boolean, patience = 10_000): Promise<void> {
  const deadline = performance.now() + patience
  while (!what()) {
    if (performance.now() > deadline) throw new Error(`it has not come: ${what}`)
    await sleep(2)
  }
}

for (const dialect of RELIABLE) {
  t.test(`a queue on ${dialect}`, async (t) => {
    t.test('values go in and come out, in order', async (t) => {
      const { client } = await scene(t, { dialect })
      const bytes = client.queue('bytes')
      t.equal(bytes.name, 'bytes')
      t.equal(await bytes.get(), undefined)
      for (const value of [Buffer.from([0, 255, 13, 10]), Buffer.from('VALUE a 0 1\r\nx\r\nEND\r\n'), Buffer.alloc(300_000, 7)]) {
        t.equal(await bytes.put(value), true)
        t.strictSame(await bytes.get(), value)
      }
      const text = client.queue('text', { codec: 'string' })
      await text.put('größe')
      await text.put('two')
      t.equal(await text.peek(), 'größe')
      t.equal(await text.peek(), 'größe', 'it is still there')
      t.equal(await text.get(), 'größe')
      const object = client.queue<{ n: number }>('text', { codec: json })
      t.ok((await rejection(object.get())) instanceof MemcacheValueError, 'what the codec cannot read')
      await object.put({ n: 1 })
      t.strictSame(await client.queue('text', { codec: 'json' }).get(), { n: 1 })
    })

    t.test('flush, delete, stats', async (t) => {
      const { client } = await scene(t, { dialect })
      const jobs = client.queue('jobs', { codec: 'string' })
      const other = client.queue('jobs_items', { codec: 'string' })
      await Promise.all([jobs.put('a'), jobs.put('b'), other.put('c')])
      t.equal((await jobs.stats()).get('items'), 2)
      t.equal((await other.stats()).get('items'), 1)
      t.notOk([...(await jobs.stats()).keys()].some((name) => name.startsWith('items_')), 'the other queue is not among them')
      t.equal(await jobs.flush(), true)
      t.equal(await jobs.get(), undefined)
      t.equal(await other.get(), 'c')
      t.type(await jobs.delete(), 'boolean')
      t.equal((await client.queue('unknown').stats()).size, 0)
    })

    t.test('jobs are reserved, acknowledged, given back, put behind the others', async (t) => {
      const { client, server } = await scene(t, { dialect })
      const jobs = client.queue('jobs', { codec: 'string' })
      for (const name of ['a', 'b', 'c']) await jobs.put(name)
      const consumer = jobs.consume({ blockFor: 100 })
      const take = async (): Promise<Job<string>> => (await consumer.next()).value as Job<string>

      const first = await take()
      t.equal(first.value, 'a')
      t.strictSame([first.queue, first.open, first.signal.aborted], ['jobs', true, false])
      await first.abort()
      t.equal(first.open, false)
      const again = await take()
      t.equal(again.value, 'a', 'back at the head')
      t.equal(await again.retry(), true)
      const second = await take()
      t.equal(second.value, 'b')
      await second.ack()
      await second.ack()
      t.ok((await rejection(second.abort())) instanceof MemcacheValueError, 'it is acknowledged already')
      t.ok((await rejection(second.retry())) instanceof MemcacheValueError)
      const third = await take()
      t.equal(await third.retry({ to: 'elsewhere' }), true)
      t.equal((await take()).value, 'a', 'which was put behind')
      await consumer.return()
      t.equal(await jobs.get(), 'a', 'and was open when the consumer was left')
      t.equal(await client.queue('elsewhere', { codec: 'string' }).get(), 'c')
      t.match(consumer.counters, { received: 5, acked: 3, aborted: 2, lost: 0, faults: 0 })
      t.strictSame(await consumer.next(), { done: true, value: undefined })
      await until(() => server.connections === 1)
    })

    t.test('leaving the loop gives back what is open', async (t) => {
      const { client } = await scene(t, { dialect })
      const jobs = client.queue('jobs', { codec: 'string' })
      await jobs.put('a')
      for await (const job of jobs.consume()) {
        t.equal(job.value, 'a')
        break
      }
      t.equal(await jobs.peek(), 'a', 'by break')
      await rejection((async () => {
        for await (const job of jobs.consume()) throw new Error(job.value)
      })())
      t.equal(await jobs.peek(), 'a', 'by throw')
      for await (const _ of jobs.consume({ ack: 'auto' })) break
      t.equal(await jobs.peek(), 'a', 'with automatic acknowledgement, too')
      {
        const consumer = jobs.consume()
        await consumer.next()
        await consumer[Symbol.asyncDispose]()
      }
      t.equal(await jobs.get(), 'a', 'by disposing of it')
    })

    t.test('asking for the next acknowledges the one before', async (t) => {
      const { client } = await scene(t, { dialect })
      const jobs = client.queue('jobs', { codec: 'string' })
      for (const name of ['a', 'b', 'c']) await jobs.put(name)
      const seen: string[] = []
      const controller = new AbortController()
      for await (const job of jobs.consume({ ack: 'auto', blockFor: 50, signal: controller.signal })) {
        seen.push(job.value)
        if (seen.length === 3) controller.abort()
      }
      t.strictSame(seen, ['a', 'b', 'c'])
      await until(() => true)
      t.equal(await jobs.get({ blockFor: 50 }), undefined, 'the last one is acknowledged too')
    })

    t.test('a lost connection loses the reservation, and says so', async (t) => {
      const { client, server } = await scene(t, { dialect })
      const jobs = client.queue('jobs', { codec: 'string' })
      await jobs.put('a')
      const faults: unknown[] = []
      const consumer = jobs.consume({ blockFor: 100, onFault: (fault) => faults.push(fault) })
      const { value: job } = await consumer.next()
      server.dropConnections()
      await until(() => job?.signal.aborted === true)
      t.ok(job?.signal.reason instanceof MemcacheReservationLostError)
      const error = await rejection((job as Job).ack())
      t.match(error, { name: 'MemcacheReservationLostError', code: 'ERR_MEMCACHE_RESERVATION_LOST', sent: true, server: `${server.host}:${server.port}` })
      t.ok(error instanceof MemcacheSocketError)
      t.ok((await rejection((job as Job).abort())) instanceof MemcacheReservationLostError)
      t.ok((await rejection((job as Job).retry())) instanceof MemcacheReservationLostError)
      const { value: again } = await consumer.next()
      t.equal(again?.value, 'a', 'somebody gets it again')
      await again?.ack()
      await consumer.return()
      t.match(consumer.counters, { received: 2, acked: 1, lost: 1 })
    })

    t.test('a dead server is a fault and no empty queue', async (t) => {
      const { client, server } = await scene(t, { dialect }, { errorAsMiss: true })
      const { port } = server
      const jobs = client.queue('jobs', { codec: 'string' })
      const faults: unknown[] = []
      const consumer = jobs.consume({ blockFor: 50, onFault: (fault) => faults.push(fault) })
      const waiting = consumer.next()
      await sleep(20)
      await server.close()
      await until(() => faults.length >= 3)
      t.ok(faults.every((fault) => fault instanceof MemcacheSocketError))
      t.ok((await rejection(jobs.get())) instanceof MemcacheSocketError, 'whatever errorAsMiss says')
      t.ok((await rejection(jobs.put('x'))) instanceof MemcacheSocketError)
      t.ok((await rejection(jobs.peek())) instanceof MemcacheSocketError)
      await using risen = await startServer({ dialect, port })
      await using producer = new Client(risen.url)
      await producer.queue('jobs', { codec: 'string' }).put('late')
      t.equal((await waiting).value?.value, 'late')
      t.ok(consumer.counters.faults >= 3)
      await consumer.return()
      await client.close()
    })

    t.test('a worker calls its handler for each job', async (t) => {
      const { client, server } = await scene(t, { dialect })
      const jobs = client.queue<number>('jobs', { codec: json })
      const count = 200
      await Promise.all(Array.from({ length: count }, (_, n) => jobs.put(n)))
      const seen = new Map<number, number>()
      const faults: unknown[] = []
      const worker = jobs.process(
        async (job, { signal }) => {
          t.notOk(signal.aborted)
          seen.set(job.value, (seen.get(job.value) ?? 0) + 1)
          if (job.value % 50 === 7) throw new Error(`job ${job.value}`)
          await sleep(1)
        },
        { concurrency: 4, blockFor: 50, retries: 2, deadLetter: 'dead', backoff: 1, onFault: (fault, job) => faults.push([fault, job?.value]) },
      )
      await until(() => worker.counters.done + worker.counters.buried === count)
      await worker.close()
      t.equal(seen.size, count)
      for (const [n, times] of seen) if (times !== (n % 50 === 7 ? 3 : 1)) t.fail(`job ${n} was done ${times} times`)
      t.match(worker.counters, { received: count, acked: count, done: count - 4, failures: 12, buried: 4, lost: 0, aborted: 0 })
      t.equal(faults.length, 12)
      t.equal((await client.queue('dead').stats()).get('items'), 4)
      t.equal((await jobs.stats()).get('items'), 0)
      t.equal((await jobs.stats()).get('open_transactions'), 0)
      await until(() => server.connections === 1)
    })
  })
}

t.test('what a job that fails comes to', async (t) => {
  const { client } = await scene(t, { dialect: 'kestrel' })
  const run = async (name: string, options: object): Promise<string[]> => {
    const jobs = client.queue(name, { codec: 'string' })
    await jobs.put('bad')
    await jobs.put('good')
    const seen: string[] = []
    const worker = jobs.process((job) => {
      seen.push(job.value)
      if (job.value === 'bad' && seen.filter((each) => each === 'bad').length < 3) throw new Error('bad')
    }, { blockFor: 20, backoff: 1, ...options })
    await until(() => seen.length >= 2 && worker.counters.empty > 0)
    await worker[Symbol.asyncDispose]()
    t.equal(await jobs.get(), undefined, 'nothing is left over')
    return seen
  }
  t.strictSame(await run('abort', {}), ['bad', 'bad', 'bad', 'good'], 'by default it goes back to the head')
  t.strictSame(await run('retry', { onError: 'retry' }), ['bad', 'good', 'bad', 'bad'], 'to the end')
  t.strictSame(await run('ack', { onError: 'ack' }), ['bad', 'good'], 'away')
  t.strictSame(await run('retries', { onError: 'ack', retries: 5, backoff: (failures: number) => failures }), ['bad', 'bad', 'bad', 'good'])
})

t.test('a full queue', async (t) => {
  const { client } = await scene(t, { dialect: 'kestrel', maxItems: 2 })
  const jobs = client.queue('jobs', { codec: 'string' })
  t.strictSame([await jobs.put('a'), await jobs.put('b'), await jobs.put('c')], [true, true, false])
  const consumer = jobs.consume()
  const { value: job } = await consumer.next()
  await jobs.put('c')
  t.equal(await job?.retry(), false, 'there is no room behind it')
  t.equal(job?.open, true)
  await consumer.return()
  t.equal(await jobs.get(), 'a')

  // Dead letters that find no room keep the job where it is.
  const dead = client.queue('dead', { codec: 'string' })
  await dead.put('1')
  await dead.put('2')
  const worker = jobs.process(() => Promise.reject(new Error('no')), { deadLetter: 'dead', backoff: 5, blockFor: 20 })
  await until(() => worker.counters.failures >= 3)
  await worker.close()
  t.match(worker.counters, { buried: 0, acked: 0 })
  t.ok(worker.counters.aborted >= 3)
  for (let items = -1; items !== 2; await sleep(5)) items = (await jobs.stats()).get('items') ?? 0 // a read that was broken off goes back as soon as the server sees it
})

t.test('on the wire', async (t) => {
  const lines: string[][] = []
  const items = ['a', 'b', 'c', 'd']
  const server = await startScripted((peer) => {
    const mine: string[] = (lines[peer.index] = [])
    return answering((request) => {
      mine.push(request.trimEnd())
      if (request.startsWith('set')) return 'STORED\r\n'
      if (/\/(close|abort)\r\n$/.test(request)) return 'END\r\n'
      const item = items.shift()
      return item === undefined ? 'END\r\n' : `VALUE p:jobs 0 1\r\n${item}\r\nEND\r\n`
    })(peer)
  })
  const client = new Client({ port: server.port, keyPrefix: 'p:' })
  t.teardown(async () => {
    await client.close()
    await server.close()
  })
  const jobs = client.queue('jobs', { codec: 'string' })
  await jobs.put('x', { ttl: 60 })
  const consumer = jobs.consume({ blockFor: 30 })
  const take = async (): Promise<Job<string>> => (await consumer.next()).value as Job<string>
  const a = await take()
  await a.ack()
  const b = await take()
  void b.ack() // not awaited: it goes along with the next read
  const c = await take()
  await c.retry({ to: 'dead' })
  const d = await take()
  await d.abort()
  await consumer.return()
  t.strictSame(lines, [
    ['set p:jobs 0 60 1\r\nx'],
    [
      'get p:jobs/t=30/open', 'get p:jobs/close', 'get p:jobs/t=30/open', 'get p:jobs/t=30/close/open',
      'set p:dead 0 0 1\r\nc', 'get p:jobs/close', 'get p:jobs/t=30/open', 'get p:jobs/abort',
    ],
  ])
  lines.length = 0
  await Promise.all([client.get('jobs'), client.get('jobs'), client.get('jobs/t=5/open')])
  t.strictSame(lines[0]?.length ?? server.peers[0]?.received.split('get ').length, 4, 'each get of one turn is a get of its own')
})

t.test('nothing is confirmed on another connection', async (t) => {
  const received: string[] = []
  const server = await startScripted(async (peer) => {
    for (;;) {
      const request = await peer.request()
      received.push(`${peer.index}: ${request.trimEnd()}`)
      if (request.includes('/close') || request.includes('/abort')) return peer.reset()
      peer.send('VALUE jobs 0 1\r\nx\r\nEND\r\n')
    }
  })
  const client = new Client({ port: server.port })
  t.teardown(async () => {
    await client.close()
    await server.close()
  })
  const consumer = client.queue('jobs').consume({ blockFor: 10 })
  for (const settle of [(job: Job<Buffer>) => job.ack(), (job: Job<Buffer>) => job.abort()]) {
    const { value } = await consumer.next()
    const job = value as Job<Buffer>
    t.ok((await rejection(settle(job))) instanceof MemcacheReservationLostError)
    t.ok(job.signal.aborted)
  }
  t.strictSame(received, ['0: get jobs/t=10/open', '0: get jobs/close', '1: get jobs/t=10/open', '1: get jobs/abort'])
  const { value } = await consumer.next()
  void (value as Job<Buffer>).ack()
  const unanswered = rejection(consumer.next())
  await until(() => consumer.counters.lost === 3)
  t.equal(received.at(-1), '2: get jobs/t=10/close/open', 'an acknowledgement that travels with a read is lost with it')
  await client.close()
  t.ok((await unanswered) instanceof MemcacheClosedError)
})

t.test('servers that do not wait are not asked all the time', async (t) => {
  const { client } = await scene(t, { dialect: 'siberite' })
  const consumer = client.queue('jobs').consume({ blockFor: 200, concurrency: 3 })
  void consumer.next()
  await sleep(500)
  t.ok(consumer.counters.empty <= 3, `${consumer.counters.empty} reads in half a second`)
  await consumer.close()
})

t.test('breaking off', async (t) => {
  const { client, server } = await scene(t, { dialect: 'darner' })
  const jobs = client.queue('jobs', { codec: 'string' })
  await jobs.put('warm')
  await jobs.get()

  const controller = new AbortController()
  const consumer = jobs.consume({ blockFor: 30_000, signal: controller.signal })
  const blocked = consumer.next()
  await until(() => server.connections === 2)
  controller.abort()
  t.strictSame(await blocked, { done: true, value: undefined }, 'a consumer that waits ends at once')
  await until(() => server.connections === 1)
  await jobs.put('a')
  t.equal(await jobs.get({ blockFor: 1000 }), 'a', 'and takes nothing along')

  const aborted = new AbortController()
  const popped = jobs.get({ blockFor: 300, signal: aborted.signal })
  await sleep(20)
  aborted.abort()
  await jobs.put('b')
  t.equal(await popped, 'b', 'a get for good gives what it has taken')
  const empty = jobs.get({ blockFor: 50, signal: AbortSignal.timeout(10) })
  t.match(await rejection(empty), { name: 'TimeoutError' })
  t.match(await rejection(jobs.get({ signal: AbortSignal.abort() })), { name: 'AbortError' })

  const gone = jobs.consume({ signal: AbortSignal.abort() })
  t.strictSame(await gone.next(), { done: true, value: undefined })
})

t.test('close() of the client ends its queues', async (t) => {
  const sockets = new Set<Socket>()
  const opened = (message: unknown): void => {
    const { socket } = message as { readonly socket: Socket }
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  }
  subscribe('net.client.socket', opened)
  t.teardown(() => unsubscribe('net.client.socket', opened))
  const { client, server } = await scene(t, { dialect: 'kestrel' })
  const jobs = client.queue('jobs', { codec: 'string' })
  await jobs.put('a')
  const consumer = jobs.consume()
  const { value: job } = await consumer.next()
  const worker = client.queue('other').process(() => {}, { concurrency: 2 })
  const waiting = client.queue('other').get({ blockFor: 5000 })
  const waited = rejection(waiting)
  await until(() => server.connections === 5)
  t.equal(sockets.size, 5)
  await client.close()
  t.equal(sockets.size, 0, 'it has waited for all sockets')
  t.ok((await waited) instanceof MemcacheClosedError)
  t.ok((await rejection((job as Job).ack())) instanceof MemcacheReservationLostError)
  t.ok((await rejection(consumer.next())) instanceof MemcacheClosedError)
  t.ok((await rejection(worker.finished)) instanceof MemcacheClosedError)
  await worker.close()
  t.ok((await rejection(jobs.put('b'))) instanceof MemcacheClosedError)
  t.ok((await rejection(jobs.get())) instanceof MemcacheClosedError)
  await until(() => server.connections === 0)
  await client.connect()
  t.equal(await jobs.get(), 'a', 'and they are open again with it')
})

t.test('a closing worker finishes what it has begun', async (t) => {
  const { client, server } = await scene(t, { dialect: 'darner' })
  const jobs = client.queue('jobs', { codec: 'string' })
  for (const name of ['a', 'b', 'c']) await jobs.put(name)
  let begun = 0
  let done = 0
  const worker = jobs.process(async () => {
    begun += 1
    await sleep(100)
    done += 1
  }, { concurrency: 2 })
  await until(() => begun === 2)
  await worker.close()
  t.strictSame([begun, done, worker.counters.acked], [2, 2, 2])
  t.equal(await jobs.get(), 'c')
  await until(() => server.connections === 1)

  const failing = jobs.process(() => Promise.reject(new Error('no')), { retries: 1000, backoff: 60_000 })
  await jobs.put('d')
  await until(() => failing.counters.failures === 1)
  await failing.close()
  t.equal(await jobs.get(), 'd', 'a job whose next try is far away goes back')
})

t.test('several servers', async (t) => {
  const servers = await Promise.all(RELIABLE.map((dialect) => startServer({ dialect })))
  const clients = servers.map((server) => new Client(server.url))
  t.teardown(async () => {
    await Promise.all(clients.map((client) => client.close()))
    await Promise.all(servers.map((server) => server.close()))
  })
  const expected: string[] = []
  for (const [place, client] of clients.entries()) {
    for (let n = 0; n < 20; n += 1) {
      expected.push(`${place}:${n}`)
      await client.queue('jobs', { codec: 'string' }).put(`${place}:${n}`)
    }
  }
  const consumer = consumeAll<string>(clients, 'jobs', { codec: 'string', blockFor: 100, concurrency: 2 })
  const seen: string[] = []
  for (let n = 0; n < 30; n += 1) {
    const { value } = await consumer.next()
    const job = value as Job<string>
    seen.push(job.value)
    await job.ack()
  }
  await servers[0]?.close()
  const alive = expected.filter((each) => !each.startsWith('0'))
  const began = performance.now()
  while (!alive.every((each) => seen.includes(each))) {
    const { value } = await consumer.next()
    const job = value as Job<string>
    seen.push(job.value)
    await job.ack().catch(() => {})
  }
  t.ok(performance.now() - began < 5000, 'a dead server slows no other one')
  t.equal(new Set(seen).size, seen.length, 'each once')
  t.ok(consumer.counters.received >= seen.length)
  await consumer.return()
  for (const client of clients.slice(1)) t.equal((await client.queue('jobs').stats()).get('open_transactions'), 0)
})

t.test('a job that nobody asks for goes back', async (t) => {
  const servers = await Promise.all([0, 1].map(() => startServer({ dialect: 'kestrel' })))
  const clients = servers.map((server) => new Client(server.url))
  t.teardown(async () => {
    await Promise.all(clients.map((client) => client.close()))
    await Promise.all(servers.map((server) => server.close()))
  })
  const queues = clients.map((client) => client.queue('jobs', { codec: 'string' }))
  const consumer = consumeAll<string>(clients, 'jobs', { codec: 'string', blockFor: 300 })
  const next = consumer.next()
  await until(() => servers.every((server) => server.connections === 1))
  await sleep(20) // both wait for one job
  await Promise.all(queues.map((queue) => queue.put('x')))
  const { value: job } = await next
  await until(() => consumer.counters.received === 2)
  await until(() => consumer.counters.aborted === 1)
  await job?.ack()
  t.ok((await consumer.next()).value?.open, 'and is there when it is asked for')
  await consumer.return()
})

t.test('what cannot be right', async (t) => {
  const { client } = await scene(t, { dialect: 'kestrel' })
  for (const name of ['a/b', '', 'a b', 'a\r\nflush_all', 'x'.repeat(251), '/open']) t.throws(() => client.queue(name), MemcacheKeyError, JSON.stringify(name))
  for (const name of [undefined, null, 5, Buffer.from('a')]) t.throws(() => client.queue(name as never), MemcacheKeyError)
  for (const codec of ['utf-16', 5, null, {}, { serialize() {} }]) t.throws(() => client.queue('a', { codec } as never), MemcacheValueError)
  for (const driver of [binary, meta, noop]) t.throws(() => new Client({ driver }).queue('a'), MemcacheUnsupportedError)
  const jobs = client.queue('jobs')
  for (const value of [Buffer.alloc(0), 'text', 5, undefined, null, {}]) {
    t.match(await rejection(jobs.put(value as never)), { name: 'MemcacheValueError', command: 'put', sent: false })
  }
  t.ok((await rejection(client.queue('jobs', { codec: 'string' }).put(''))) instanceof MemcacheValueError)
  t.ok((await rejection(client.queue('jobs', { codec: 'string' }).put('\ud800'))) instanceof MemcacheValueError)
  t.ok((await rejection(jobs.put(Buffer.from('x'), { minCompressLength: 1 } as never))) instanceof MemcacheValueError)
  t.ok((await rejection(jobs.put(Buffer.alloc(1_000_001)))) instanceof MemcacheValueError, 'maxValueLength')
  for (const options of [{ blockFor: -1 }, { blockFor: 1.5 }, { blockFor: 1e9 }, { blockfor: 1 }, { signal: 5 }, 5, null]) {
    t.ok((await rejection(jobs.get(options as never))) instanceof MemcacheValueError, JSON.stringify(options))
  }
  for (const options of [{ blockFor: 0 }, { concurrency: 0 }, { concurrency: 1.5 }, { ack: 'yes' }, { onFault: 5 }, { signal: 5 }, { nope: 1 }, null]) {
    t.throws(() => jobs.consume(options as never), MemcacheValueError, JSON.stringify(options))
  }
  for (const options of [{ onError: 'skip' }, { retries: -1 }, { backoff: 'long' }, { backoff: -1 }, { ack: 'auto' }, null]) {
    t.throws(() => jobs.process(() => {}, options as never), MemcacheValueError, JSON.stringify(options))
  }
  t.throws(() => jobs.process(() => {}, { deadLetter: 'a/b' }), MemcacheKeyError)
  t.throws(() => jobs.process(undefined as never), MemcacheValueError)
  const consumer = jobs.consume()
  await jobs.put(Buffer.from('x'))
  const { value: job } = await consumer.next()
  t.ok((await rejection((job as Job).retry({ to: 'a/open' }))) instanceof MemcacheKeyError)
  t.equal(job?.open, true, 'and the job is still open')
  await consumer.return()
})

t.test('what the server refuses ends a consumer, since it would be the same the next time', async (t) => {
  const server = await startScripted(answering(() => 'CLIENT_ERROR close current item first\r\n'))
  const client = new Client({ port: server.port })
  t.teardown(async () => {
    await client.close()
    await server.close()
  })
  const consumer = client.queue('jobs').consume()
  t.match(await rejection(consumer.next()), { name: 'MemcacheClientError' })
  t.match(await rejection(consumer.next()), { name: 'MemcacheClientError' })
  const worker = client.queue('jobs').process(() => {})
  t.match(await rejection(worker.finished), { name: 'MemcacheClientError' })
})

/** What the servers differ in, as the ordinary client sees it. */
const PLAIN = {
  kestrel: { waits: true, reserves: true, deleted: [true, true], flushes: true, version: /^2\.4/ },
  darner: { waits: true, reserves: true, deleted: [true, true], flushes: false, version: /^0\.2/ },
  siberite: { waits: false, reserves: true, deleted: [true, true], flushes: true, version: /^siberite/ },
  memcacheq: { waits: false, reserves: false, deleted: [true, false], flushes: false, version: /^0\.2/ },
} as const

for (const [dialect, { waits, reserves, deleted, flushes, version }] of Object.entries(PLAIN)) {
  t.test(`the ordinary client on ${dialect}`, async (t) => {
    const { client, server } = await scene(t, { dialect: dialect as 'kestrel' }, { timeout: 150 })
    for (const value of ['a', 'b']) t.equal(await client.set('jobs', value), true)
    t.strictSame(await Promise.all([client.get('jobs'), client.get('jobs')]), ['a', 'b'], 'two gets of one turn are two gets')
    for (const key of ['jobs/t=300', 'jobs/t=300/open', 'jobs/close', 'jobs/abort', 'jobs/peek', 'jobs']) {
      const began = performance.now()
      t.equal(await client.get(key), undefined)
      if (waits && key.includes('t=')) t.ok(performance.now() - began > 290, 'a reply that comes later than `timeout`, as it was asked to')
    }

    await client.set('jobs', 'a')
    if (reserves) {
      t.equal(await client.get('jobs/t=300/open'), 'a')
      t.equal(await client.get('jobs/abort'), undefined)
      t.equal(await client.get('jobs/open'), 'a', 'it was given back')
      t.match(await rejection(client.get('jobs/open')), { name: 'MemcacheClientError', command: 'get' }, 'one is open already')
      await until(() => !client.isConnected())
      t.equal(await client.get('jobs/open'), 'a', 'a connection that ends gives back what is open')
      await client.set('jobs', 'b')
      t.equal(await client.get('jobs/close/open'), 'b')
      t.equal(await client.get('jobs/close'), undefined)
      await client.set('jobs', 'a')
      t.equal(await client.get('jobs/peek'), 'a')
    }
    t.equal(await client.get('jobs'), 'a')

    await client.set('jobs', 'a')
    if (dialect === 'memcacheq') {
      t.match(await rejection(client.gets('jobs')), { name: 'MemcacheClientError' })
      await client.get('jobs')
    } else t.strictSame(await client.gets('jobs'), { value: 'a', cas: undefined })

    // Values have no flags there: what they are is for the caller to say.
    const plainText = { name: 'plain JSON', encode: (value: unknown) => ({ value: Buffer.from(JSON.stringify(value)), flags: 0 }), decode: (bytes: Buffer) => JSON.parse(bytes.toString()) as unknown, compressors: [] }
    await using chosen = new Client(server.url, { serializer: plainText })
    await chosen.set('jobs', { n: 1 })
    await chosen.set('jobs', { n: 2 })
    t.strictSame(await chosen.get('jobs'), { n: 1 }, 'a format of the caller\'s choice')
    t.equal(await client.get('jobs'), '{"n":2}')

    for (const refused of [() => client.incr('jobs'), () => client.add('jobs', 'a'), () => client.touch('jobs', 1), () => client.gat('jobs', 1)]) {
      t.match(await rejection(refused()), { name: 'MemcacheClientError', sent: true }, String(refused))
      await until(() => !client.isConnected() || dialect === 'memcacheq')
    }
    t.match(await client.version(), version, 'and the client goes on')
    t.type((await client.stats()).get('uptime'), 'string')
    await client.set('jobs', 'a')
    t.strictSame([await client.delete('jobs'), await client.delete('jobs')], deleted)
    t.equal(await client.get('jobs'), undefined)
    await client.set('jobs', 'a')
    if (flushes) {
      t.equal(await client.flushAll(), true)
      t.equal(await client.get('jobs'), undefined)
    } else t.ok((await rejection(client.flushAll())) instanceof (dialect === 'darner' ? MemcacheSocketError : MemcacheClientError))
  })
}

t.test('a deadline follows the wait that the key asks for', async (t) => {
  const server = await startScripted(async (peer) => peer.closed())
  t.teardown(() => server.close())
  for (const [key, timeout, least] of [['jobs/t=200/open', undefined, 300], ['jobs/close/open/t=200', undefined, 300], ['jobs/t=5000', 50, 50], ['jobs', undefined, 100]] as const) {
    await using client = new Client({ port: server.port, timeout: 100 })
    const began = performance.now()
    t.match(await rejection(client.get(key, { timeout })), { name: 'MemcacheTimeoutError' })
    const took = performance.now() - began
    t.ok(took >= least - 1 && took < least + 2000, `${key}: ${took} ms`)
  }
})

t.test('the example of a worker ends gracefully', async (t) => {
  const script = fileURLToPath(new URL('../docs/examples/queue-worker.ts', import.meta.url))
  const child = spawn(...outsideTap(process.execPath, ['--import', 'tsx', script]), { stdio: ['ignore', 'pipe', 'pipe'] })
  let [said, faults] = ['', ''] // two pipes: which of them is read first says nothing
  child.stdout?.on('data', (text) => (said += text))
  child.stderr?.on('data', (text) => (faults += text))
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  await until(() => said.split('sent ').length >= 10, 60_000)
  child.kill('SIGTERM')
  t.equal(await ended, 0, said + faults)
  t.match(said, /ended: \d+ done, [01] in mails-failed, 0 lost\n$/)
  const sent = said.match(/sent ".*/g) ?? []
  t.equal(new Set(sent).size, sent.length, 'none twice')
  t.match(said, `ended: ${sent.length} done`)
})
