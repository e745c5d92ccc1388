import { once } from 'node:events'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { Request } from '../lib/commands.ts'
import {
  Client,
  MemcacheClosedError,
  MemcacheDriverError,
  MemcacheError,
  MemcacheOverloadError,
  MemcacheProtocolError,
  MemcacheServerError,
  MemcacheSocketError,
  MemcacheTimeoutError,
  MemcacheValueError,
  wrap,
  type ClientOptions,
} from '../lib/index.ts'
import { failure, recovers, SLACK } from './support/outcomes.ts'

/** What `wrap` does for a library that does everything wrong, or nothing at all. */

/** A library as it is seen from the outside: what it was asked, and what a test lets it do. */
class Library {
  connects = 0
  closes = 0
  readonly asked: { request: Request; answer: (reply: unknown) => void; fail: (error: unknown) => void }[] = []
  /** Says that the connection of this number has ended. */
  readonly lost: ((cause: unknown) => void)[] = []
  connect: () => Promise<void> | void = () => {}
  close: () => Promise<void> | void = () => {}

  /** A client with this library as its driver. */
  client(t: Test, options: ClientOptions = {}): Client {
    const command = (request: Request): Promise<never> =>
      new Promise((resolve, reject) => this.asked.push({ request, answer: resolve as (reply: unknown) => void, fail: reject }))
    const driver = wrap('toy', () => ({
      commands: { get: command, store: command, delete: command, getMulti: command },
      connect: async (lost) => {
        this.connects += 1
        this.lost.push(lost)
        await this.connect()
      },
      close: () => {
        this.closes += 1
        return this.close()
      },
    }))
    const client = new Client({ driver, timeout: 5000, ...options })
    t.teardown(() => client.close())
    return client
  }

  /** Waits until it was asked this many times. */
  async has(count: number): Promise<void> {
    while (this.asked.length < count) await nextTurn()
  }
}

void t.test('one attempt to connect for all that wait; what fails is told to each, and sent: false', async (t) => {
  const library = new Library()
  library.connect = async () => {
    await nextTurn()
    throw Object.assign(new Error('nobody is there'), { code: 'ENOBODY' })
  }
  const client = library.client(t)
  const errors = await Promise.all([failure(client.get('a')), failure(client.delete('b')), failure(client.connect())])
  t.strictSame([client.isConnected(), library.connects, library.asked.length, library.closes], [false, 1, 0, 1])
  t.equal(new Set(errors).size, 3, 'each has an error of its own')
  for (const error of errors) {
    t.type(error, MemcacheSocketError)
    t.match(error, { sent: false, message: /cannot connect to .*: nobody is there/, cause: { code: 'ENOBODY' } })
  }
  t.strictSame(errors.map(({ command }) => command), ['get', 'delete', undefined])

  for (let attempt = 0; attempt < 6; attempt += 1) await failure(client.connect()) // each makes the pause longer
  const paused = await failure(client.get('c'))
  t.match(paused, { name: 'MemcacheSocketError', sent: false, message: /no new attempt for \d+ ms/, cause: { code: 'ENOBODY' } })
  t.equal(library.connects, 7, 'for a moment no command makes another attempt')
  library.connect = () => {}
  const get = recovers(() => client.get('d'))
  await library.has(1)
  library.asked[0]?.answer(undefined)
  t.equal(await get, undefined)
  t.equal(client.isConnected(), true)
})

void t.test('an attempt to connect that fails in several ways at once', async (t) => {
  const library = new Library()
  library.connect = () => {
    throw new AggregateError([new Error('not by IPv6'), new Error('not by IPv4')])
  }
  t.match(await failure(library.client(t).get('a')), { message: /not by IPv6, not by IPv4/ })
})

void t.test('an attempt to connect that hangs is given up after connectTimeout', async (t) => {
  const library = new Library()
  let connected = (): void => {}
  library.connect = () => new Promise((resolve) => (connected = resolve))
  const client = library.client(t, { connectTimeout: 50 })
  const events: unknown[] = []
  client.on('connect', () => events.push('connect')).on('disconnect', (cause) => events.push(cause))
  const [get, connecting] = await Promise.all([failure(client.get('a')), failure(client.connect())])
  for (const error of [get, connecting]) {
    t.type(error, MemcacheTimeoutError)
    t.match(error, { sent: false, message: /no connection to .* within 50 ms/ })
  }
  t.equal(library.closes, 1, 'the library is told to leave it')
  connected()
  await nextTurn()
  t.strictSame([client.isConnected(), events, library.asked.length], [false, [], 0], 'what stands too late is no connection')
})

void t.test('a connection that the library has lost', async (t) => {
  const library = new Library()
  const client = library.client(t)
  await client.connect()
  const causes: MemcacheError[] = []
  client.on('disconnect', (cause) => causes.push(cause))

  const lost = [failure(client.get('a')), failure(client.set('b', 1))]
  await library.has(2)
  const reset = new Error('read ECONNRESET')
  library.lost[0]?.(reset)
  library.lost[0]?.(new Error('and once more'))
  t.equal(client.isConnected(), false)
  const next = client.get('c') // made before the others are told: it goes to the next connection
  const [first, second] = await Promise.all(lost)
  t.match(first, { name: 'MemcacheSocketError', command: 'get', sent: true, message: /no answer to "get": the connection to .* broke: read ECONNRESET/ })
  t.match(second, { name: 'MemcacheSocketError', command: 'set', sent: true })
  t.equal((first?.cause as Error).cause, reset)
  await library.has(3)
  t.strictSame([library.connects, library.closes, causes.length], [2, 1, 1])

  library.asked[0]?.answer({ value: Buffer.from('late'), flags: 0 })
  library.lost[0]?.(new Error('a late word of the first connection'))
  await nextTurn()
  t.equal(client.isConnected(), true, 'which reaches nobody')
  library.asked[2]?.answer({ value: Buffer.from('right'), flags: 0 })
  t.equal(await next, 'right')
  t.equal(causes.length, 1)

  const unsent = failure(client.get('d'))
  library.lost[1]?.(reset)
  t.match(await unsent, { name: 'MemcacheSocketError', sent: false })
  t.equal(library.asked.length, 3, 'a library that has lost its connection is not asked')
})

void t.test('what was answered before the connection was lost is answered', async (t) => {
  const library = new Library()
  const client = library.client(t)
  const [answered, unanswered] = [client.delete('a'), failure(client.delete('b'))]
  await library.has(2)
  library.asked[0]?.answer(true)
  library.lost[0]?.(new Error('gone'))
  t.equal(await answered, true)
  t.match(await unanswered, { name: 'MemcacheSocketError', sent: true })
})

void t.test('what is wrong with an answer is told to the one whose turn it is', async (t) => {
  for (const fault of [new MemcacheProtocolError('gibberish'), new MemcacheServerError('ERROR Too many open connections')]) {
    const library = new Library()
    const client = library.client(t)
    const cause = once(client, 'disconnect')
    const calls = [failure(client.get('a')), failure(client.delete('b'))]
    await library.has(2)
    library.lost[0]?.(fault)
    const [first, second] = await Promise.all(calls)
    t.equal(first, fault)
    t.match(first, { command: 'get', sent: true })
    t.match(second, { name: 'MemcacheSocketError', command: 'delete', sent: true, cause: fault })
    t.strictSame(await cause, [fault])
  }
})

void t.test('what the library rejects with', async (t) => {
  const library = new Library()
  const client = library.client(t)
  const foreign = new TypeError('oh')
  const refusal = new MemcacheServerError('SERVER_ERROR oh')
  const calls = [failure(client.get('a')), failure(client.get('b')), failure(client.get('c'))]
  await library.has(3)
  for (const [place, error] of [foreign, refusal, 'a string'].entries()) library.asked[place]?.fail(error)
  const [first, second, third] = await Promise.all(calls)
  t.type(first, MemcacheDriverError)
  t.match(first, { code: 'ERR_MEMCACHE_DRIVER', message: 'toy: oh', command: 'get', sent: true })
  t.equal(first?.cause, foreign)
  t.equal(second, refusal)
  t.match(third, { message: 'toy: a string', cause: 'a string' })
  t.equal(client.isConnected(), true, 'a refusal leaves the connection')

  const [broken, other] = [failure(client.get('d')), failure(client.get('e'))]
  await library.has(5)
  library.asked[3]?.fail(new MemcacheProtocolError('gibberish'))
  t.match(await broken, { name: 'MemcacheProtocolError', command: 'get', sent: true })
  t.match(await other, { name: 'MemcacheSocketError', cause: { name: 'MemcacheProtocolError' } })
  t.equal(client.isConnected(), false, 'what concerns the connection ends it')
  t.equal(library.closes, 1)
})

void t.test('an answer that is late by the client\'s own timeout ends the connection', async (t) => {
  const library = new Library()
  const client = library.client(t, { timeout: 80 })
  await client.connect()
  const started = performance.now()
  const [first, second, patient] = await Promise.all([failure(client.get('a')), failure(client.get('b')), failure(client.get('c', { timeout: 60_000 }))])
  t.ok(performance.now() - started < 80 + SLACK)
  t.match(first, { name: 'MemcacheTimeoutError', sent: true, command: 'get', message: 'no reply to "get" within 80 ms' })
  t.match(second, { name: /^Memcache(Timeout|Socket)Error$/, sent: true })
  t.match(patient, { name: 'MemcacheSocketError', sent: true, cause: { name: 'MemcacheTimeoutError' } })
  t.strictSame([client.isConnected(), library.closes], [false, 1])
  const next = client.delete('d')
  await library.has(4)
  library.asked[0]?.answer({ value: Buffer.from('late'), flags: 0 })
  library.asked[3]?.answer(true)
  t.equal(await next, true)
  t.equal(library.connects, 2)
})

void t.test('callers that are less patient than the client only leave, if the answer then comes', async (t) => {
  const library = new Library()
  const client = library.client(t, { timeout: 300 })
  const controller = new AbortController()
  const [late, aborted] = [failure(client.get('a', { timeout: 10 })), failure(client.get('b', { signal: controller.signal }))]
  await library.has(2)
  controller.abort(new Error('enough'))
  t.match(await late, { name: 'MemcacheTimeoutError', sent: true })
  t.match(await aborted, { message: 'enough' })
  library.asked[0]?.answer({ value: Buffer.from('late'), flags: 0 })
  library.asked[1]?.fail(new Error('late as well'))
  await sleep(330)
  t.strictSame([client.isConnected(), library.connects], [true, 1])

  const silent = failure(client.get('c', { timeout: 10 }))
  t.match(await silent, { name: 'MemcacheTimeoutError' })
  const began = performance.now()
  const [cause] = (await once(client, 'disconnect')) as [MemcacheError]
  t.type(cause, MemcacheTimeoutError)
  t.ok(performance.now() - began >= 250, 'an answer that nobody waits for has one more timeout')
})

void t.test('a caller that is more patient than the client keeps the connection for those behind it', async (t) => {
  const library = new Library()
  const client = library.client(t, { timeout: 60 })
  const patient = client.get('slow', { timeout: 60_000 })
  const behind = failure(client.get('behind'))
  t.match(await behind, { name: 'MemcacheTimeoutError', sent: true })
  await sleep(150)
  t.equal(client.isConnected(), true, 'the next answer is that of the patient one, and not late')
  library.asked[0]?.answer({ value: Buffer.from('at last'), flags: 0 })
  t.equal(await patient, 'at last')
  t.type((await once(client, 'disconnect'))[0], MemcacheTimeoutError, 'now it is the turn of the one that nobody waits for')
})

void t.test('a busy process does not take its own pauses for a silent library', async (t) => {
  const library = new Library()
  const client = library.client(t, { timeout: 50 })
  const call = client.delete('a')
  await library.has(1)
  setImmediate(() => library.asked[0]?.answer(true)) // the answer is there, and waits to be read
  for (const until = performance.now() + 120; performance.now() < until;);
  t.equal(await call, true)
})

void t.test('maxPending and maxPendingBytes count what the library still has', async (t) => {
  const library = new Library()
  const client = library.client(t, { maxPending: 3, maxPendingBytes: 1000 })
  const gone = failure(client.get('a', { timeout: 5 }))
  await library.has(1)
  await gone
  const kept = [client.delete('b'), client.delete('c')]
  t.type(await failure(client.get('d')), MemcacheOverloadError, 'the call that was given up has its place until it is answered')
  await library.has(3)
  library.asked[0]?.answer(undefined)
  await nextTurn()
  t.type(await failure(client.set('e', Buffer.alloc(1000))), MemcacheOverloadError)
  t.type(await failure(client.getMulti(['x'.repeat(200), 'y'.repeat(200), ...Array.from({ length: 7 }, (_, index) => `${index}`.repeat(100))])), MemcacheOverloadError)
  const set = client.set('f', Buffer.alloc(900))
  await library.has(4)
  for (const { answer } of library.asked.slice(1, 3)) answer(true)
  library.asked[3]?.answer('stored')
  t.strictSame(await Promise.all([...kept, set]), [true, true, true])
  const again = client.set('g', Buffer.alloc(900))
  await library.has(5)
  library.asked[4]?.answer('stored')
  t.equal(await again, true, 'what is answered is counted no more')
})

void t.test('a Buffer that changes its length before it leaves is not stored', async (t) => {
  const library = new Library()
  const client = library.client(t)
  const bytes = Buffer.from(new ArrayBuffer(10, { maxByteLength: 20 }))
  const set = failure(client.set('a', bytes))
  ;(bytes.buffer as ArrayBuffer & { resize(length: number): void }).resize(4)
  t.type(await set, MemcacheValueError)
  t.match(await set, { sent: false, command: 'set' })
  t.strictSame(library.asked, [])
})

void t.test('the next connection is not begun before the library has closed the last one', async (t) => {
  const library = new Library()
  const client = library.client(t)
  await client.connect()
  let closed = (): void => {}
  library.close = () => new Promise((resolve) => (closed = resolve))
  library.lost[0]?.(new Error('gone'))
  const next = client.delete('a')
  await sleep(10)
  t.equal(library.connects, 1)
  closed()
  await library.has(1)
  t.equal(library.connects, 2)
  library.asked[0]?.answer(true)
  t.equal(await next, true)
  library.close = () => {
    throw new Error('the library cannot even close')
  }
  await client.close()
  t.type(await failure(client.get('b')), MemcacheClosedError)
})
