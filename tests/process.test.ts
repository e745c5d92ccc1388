import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { startServer, type ServerOptions } from '../lib/testing/index.ts'
import { DIALECTS, echoed, speaking, type Dialect } from './support/dialects.ts'
import { root } from './support/pages.ts'
import { startScripted, type ScriptedServer } from './support/scripted-server.ts'
import { scripts, type Ended } from './support/script-process.ts'

/**
 * What a client does to the process that it lives in, which is nothing: no rejection or event that nobody handles, nothing
 * printed, no handler of signals, nothing left behind, and an end of the process when there is nothing more to do.
 */

t.setTimeout(180_000)
t.jobs = 2

const { start, run } = scripts(t)
const DRIVERS = ['text', 'meta', 'binary', 'memjs'] as const

/** The end of a process that had nothing to complain about, and had to say only this. */
function quietEnd(stdout = ''): Ended {
  return { code: 0, signal: null, stdout, stderr: '' }
}

async function embedded(t: Test, options: ServerOptions = {}): Promise<Awaited<ReturnType<typeof startServer>>> {
  const server = await startServer(options)
  t.teardown(() => server.close())
  return server
}

/** A server that reads, and never answers. */
async function silent(t: Test): Promise<ScriptedServer> {
  const server = await startScripted((peer) => peer.closed())
  t.teardown(() => server.close())
  return server
}

void t.test('whatever happens to a client, the process is not told, and ends when all are closed', async (t) => {
  for (const driver of DRIVERS) {
    void t.test(driver, async (t) => {
      const ended = await run(`
        const driver = drivers[process.argv[2]]
        const server = await startServer()
        const clients = []
        const make = (options) => {
          const client = new Client({ port: server.port, driver, timeout: 60_000, ...options })
          clients.push(client)
          return client
        }
        const used = make()
        await used.set('k', 1)
        const dropped = make({ timeout: 150 })
        await dropped.set('k', 1)
        // Every way to lose a connection, with calls of several requests on it.
        const calls = () => [dropped.get('k'), dropped.getMulti(['k', 'l']), dropped.setMulti({ a: 1, b: 2 }), dropped.incr('n', 1, { initial: 1 }), dropped.stats()].map(quiet)
        const losses = [
          () => server.garble('GARBAGE\\r\\n'), () => server.closeAfterBytes(3), () => server.dropConnections({ reset: true }), () => server.dropConnections(),
          () => server.stall(), () => dropped.socket?.destroy(), () => dropped.socket?.destroy(new Error('by the user')), () => dropped.connect({ reconnect: true }),
        ]
        for (const lose of losses) {
          const before = calls()
          lose()
          await Promise.all(before)
          server.resume()
          server.closeAfterBytes(Infinity)
          const deadline = performance.now() + 20_000
          while (await dropped.get('k', { timeout: 10_000 }).then(() => false, () => performance.now() < deadline)) await sleep(5)
        }
        // Aborted while it is answered, while it is not, and before.
        server.stall()
        const controller = new AbortController()
        const aborted = Array.from({ length: 50 }, () => quiet(used.get('k', { signal: controller.signal })))
        await sleep(20)
        controller.abort()
        await Promise.all([...aborted, quiet(used.get('k', { signal: controller.signal }))])
        server.resume()
        // Nobody there, in every way, and nobody who waits for the attempt.
        await make({ port: 1, errorAsMiss: true }).get('k')
        await quiet(make({ port: 1 }).connect())
        await quiet(make({ host: 'no.such.host.invalid' }).get('k'))
        await quiet(make({ path: '/no/such/socket' }).get('k'))
        void quiet(make({ port: 1 }).get('k', { signal: AbortSignal.timeout(1) }))
        void quiet(make().connect())
        // What is wrong before anything is sent; layers, serializers that throw.
        for (const wrong of [used.get('a b'), used.set('k', undefined), used.get('k', { timeout: -1 }), used.incr('k', 0.5), used.getMulti(5)]) await quiet(wrong)
        const strange = make({ layers: [() => () => { throw new Error('a layer throws') }] })
        await quiet(strange.get('k'))
        await quiet(strange.getMulti(['k']))
        await quiet(make({ layers: [() => () => Promise.reject(undefined)] }).get('k'))
        await quiet(make({ serializer: { flag: 256, serialize() { throw undefined }, deserialize() { throw 0 } } }).set('k', {}))
        // close() in the middle of everything, twice, and once more; what nobody awaits cannot reject.
        for (let round = 0; round < 3; round += 1) {
          void quiet(used.get('k'))
          void used.close()
          void quiet(used.connect())
          void quiet(used.get('k'))
        }
        make()
        for (const client of clients) void client.close()
        await Promise.all([...clients.map((client) => client.close()), server.close()])
      `, [driver])
      t.strictSame(ended, quietEnd())
    })
  }

  void t.test('queues', async (t) => {
    const ended = await run(`
      const server = await startServer({ dialect: 'kestrel' })
      const client = new Client({ port: server.port, timeout: 300 })
      const jobs = client.queue('jobs', { codec: 'string' })
      for (const job of ['a', 'b', 'c', 'd']) await jobs.put(job)
      const faults = []
      const worker = jobs.process(async (job) => { if (job === 'b') throw new Error('the handler throws') }, { onError: 'ack', blockFor: 50, onFault: (fault) => faults.push(fault) })
      await sleep(50)
      server.dropConnections({ reset: true })
      await sleep(50)
      server.garble('GARBAGE\\r\\n')
      await until(() => faults.length > 0)
      const given = jobs.consume({ blockFor: 50 })[Symbol.asyncIterator]()
      void quiet(given.next())
      await client.close()
      await quiet(Promise.resolve(worker))
      await server.close()
    `)
    t.strictSame(ended, quietEnd())
  })
})

void t.test('is told of a listener that throws, which harms nothing else', async (t) => {
  const { code, stdout, stderr } = await run(`
    const uncaught = []
    process.on('uncaughtException', (error) => uncaught.push(error.message))
    const server = await startServer()
    const client = new Client({ host: server.host, port: server.port })
    client.on('connect', () => { throw new Error('in connect') })
    client.on('disconnect', () => { throw new Error('in disconnect') })
    const set = await Promise.all([client.set('a', 1), client.set('b', 2), client.connect()])
    server.dropConnections()
    await until(() => uncaught.length === 2)
    const get = await Promise.all([client.get('a'), client.get('b')])
    await client.close()
    await server.close()
    await until(() => uncaught.length === 4)
    console.log(JSON.stringify({ set, get, uncaught }))
  `)
  t.equal(stderr, '')
  t.equal(code, 0)
  t.strictSame(JSON.parse(stdout), { set: [true, true, null], get: [1, 2], uncaught: ['in connect', 'in disconnect', 'in connect', 'in disconnect'] })
})

void t.test('an open connection keeps the process alive until it ends', async (t) => {
  const server = await embedded(t)
  const child = start('const client = new Client({ port: Number(process.argv[2]) })\nawait client.set("k", 1)\nconsole.log("idle")\n', [String(server.port)])
  while (child.said() === '') await sleep(5)
  const first = await Promise.race([child.ended, sleep(200)])
  t.equal(first, undefined, 'it is still there')
  await server.close()
  t.strictSame(await child.ended, quietEnd('idle\n'))
})

void t.test('unref: an idle connection does not, what is waited for does', async (t) => {
  for (const driver of DRIVERS) {
    void t.test(driver, async (t) => {
      const [server, stalled, slow] = [await embedded(t), await silent(t), await embedded(t)]
      slow.delay(200)
      const began = performance.now()
      const ended = await run(`
        const [driver, port, stalled, slow] = [drivers[process.argv[2]], ...process.argv.slice(3).map(Number)]
        const make = (options) => new Client({ port, driver, unref: true, ...options })
        const used = make()
        console.log(await used.set('k', 1), await used.get('k'), await used.getMulti(['k']))
        const connected = make()
        await connected.connect()
        await Promise.all(Array.from({ length: 1000 }, () => used.set('large', 'x'.repeat(10_000))))
        console.log(await make({ port: slow }).get('k'))
        console.log((await quiet(make({ port: stalled, timeout: 200 }).get('k'))).code)
        console.log((await quiet(make({ port: 1 }).get('k'))).code)
        const aborted = make({ timeout: 200, port: stalled })
        console.log((await quiet(aborted.get('k', { signal: AbortSignal.timeout(20) }))).name)
        const lost = make()
        await lost.get('k')
        const { socket } = lost
        socket.destroy()
        await quiet(lost.get('k'))
        console.log(await lost.get('k'))
      `, [driver, String(server.port), String(stalled.port), String(slow.port)])
      t.strictSame(ended, quietEnd("true 1 Map(1) { 'k' => 1 }\nundefined\nERR_MEMCACHE_TIMEOUT\nERR_MEMCACHE_SOCKET\nTimeoutError\n1\n"))
      t.ok(performance.now() - began < 50_000, 'by itself: the server has not closed a connection')
    })
  }

  void t.test('queues', async (t) => {
    const server = await embedded(t, { dialect: 'kestrel' })
    const ended = await run(`
      const client = new Client({ port: Number(process.argv[2]), unref: true })
      const jobs = client.queue('jobs', { codec: 'string' })
      await jobs.put('a')
      setTimeout(() => void jobs.put('b'), 100)
      const found = []
      for await (const job of jobs.consume({ blockFor: 2000, ack: 'auto' })) {
        found.push(job)
        if (found.length === 2) break
      }
      console.log(found.length)
    `, [String(server.port)])
    t.strictSame(ended, quietEnd('2\n'), 'a reader that waits for a job is waited for')
  })
})

void t.test('signals do what they do without a client', async (t) => {
  const server = await silent(t)
  const client = `
    const before = process.eventNames().length
    const client = new Client({ port: Number(process.argv[2]), driver: drivers[process.argv[3]] })
    void quiet(client.get('k'))
    await until(() => client.isConnected())
    console.log(process.eventNames().length - before)
  `
  for (const [index, signal] of (['SIGTERM', 'SIGINT', 'SIGHUP'] as const).entries()) {
    const child = start(client, [String(server.port), DRIVERS[index + 1] ?? 'text'])
    while (child.said() === '') await sleep(5)
    child.kill(signal)
    t.strictSame(await child.ended, { code: null, signal, stdout: '0\n', stderr: '' })
  }
})

void t.test('worker threads, that end in mid-command as well, and forked processes', async (t) => {
  const server = await embedded(t)
  const ended = await run(`
    import { fork } from 'node:child_process'
    import { once } from 'node:events'
    import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
    const load = async ({ port, name, rounds }) => {
      const client = new Client({ port, driver: drivers[name] })
      for (let round = 0; round < rounds; round += 1) {
        const key = name + '-' + round
        await client.set(key, key)
        const values = await Promise.all(Array.from({ length: 20 }, (_, at) => client.get(name + '-' + Math.max(0, round - at))))
        if (values.some((value, at) => value !== name + '-' + Math.max(0, round - at))) throw new Error('a value of another key')
        if (round === 10) parentPort?.postMessage('busy')
      }
      const error = await quiet(client.get('a b'))
      await client.close()
      return error
    }
    if (process.send !== undefined) {
      process.once('message', async (work) => {
        process.send(String(await load(work)))
        process.disconnect()
      })
    } else if (!isMainThread) {
      parentPort.postMessage(await load(workerData))
    } else {
      const port = Number(process.argv[2])
      const url = new URL(import.meta.url)
      const work = (name, rounds) => new Worker(url, { workerData: { port, name, rounds }, argv: process.argv.slice(2) })
      const said = (worker, wanted) => new Promise((resolve) => worker.on('message', (message) => wanted(message) && resolve(message)))
      const errors = ['text', 'memjs'].map((name) => said(work(name, 100), (message) => message !== 'busy'))
      const terminated = ['meta', 'binary', 'memjs', 'text'].map(async (name) => {
        const worker = work(name, Infinity)
        await said(worker, (message) => message === 'busy')
        await worker.terminate()
      })
      const forked = fork(url, process.argv.slice(2))
      forked.send({ port, name: 'binary', rounds: 50 })
      const [[message]] = await Promise.all([once(forked, 'message'), once(forked, 'exit'), load({ port, name: 'meta', rounds: 50 })])
      await Promise.all(terminated)
      for (const error of await Promise.all(errors)) console.log(error instanceof Error, error.message)
      console.log(message)
      await load({ port, name: 'meta', rounds: 5 })
    }
  `, [String(server.port)])
  const refusal = 'the key "a b" has byte 0x20 at 1: blanks and control characters are not allowed'
  t.strictSame(ended, quietEnd(`${`true ${refusal}\n`.repeat(2)}MemcacheKeyError: ${refusal}\n`))
})

void t.test('a client that is used from a vm context: options, keys, Buffers, errors, signals of another realm', async (t) => {
  const server = await embedded(t)
  for (const driver of DRIVERS) {
    const ended = await run(`
      import { createContext, runInContext } from 'node:vm'
      const context = createContext({ Client, Buffer, driver: drivers[process.argv[2]], port: Number(process.argv[3]) })
      const said = await runInContext(\`(async () => {
        const client = new Client({ port, driver, keyPrefix: 'vm:', layers: [(next) => (request, call) => next(request, call)] })
        const said = []
        const fails = (promise) => promise.then(() => said.push('no error'), (error) => said.push([error.name, error instanceof Error, Object.prototype.toString.call(error)].join()))
        const bytes = new Uint8Array([0x76, 0x31]) // of this realm, as all that is made here
        said.push(await client.set('a', { n: [1] }, { ttl: 60 }), JSON.stringify(await client.get('a')))
        said.push(await client.set(Buffer.from('b'), Buffer.from('v'), { timeout: 5000 }), String(await client.get('b')))
        said.push(await client.set('d', 1, { ttl: new Date(Date.now() + 60000) }), await client.get('d'))
        await fails(client.set('m', bytes)) // which JSON cannot say, of whatever realm they are
        said.push([...(await client.setMulti(new Map([['e', 'x'], ['f', 'y']]))).values()].join(), [...(await client.setMulti({ g: 'z' })).values()].join(), [...(await client.getMulti(new Set(['e', 'f', 'g'])))].join())
        said.push(await client.incr('d', 2n, { initial: 5n }))
        await fails(client.get('a b'))
        await fails(client.set('a', 1, { expires: 5 }))
        await fails(client.set('a', 1, new Date()))
        await client.close()
        await fails(client.get('a'))
        return said.map(String).join(' ')
      })()\`, context)
      console.log(said)
    `, [driver, String(server.port)])
    const ownError = 'MemcacheKeyError,false,[object Error]'
    t.strictSame(ended, quietEnd(['true', '{"n":[1]}', 'true', 'v', 'true', '1', ownError.replace('Key', 'Value'), 'true,true', 'true', 'e,x,f,y,g,z', '3', ownError, ...['Value', 'Value', 'Closed'].map((kind) => ownError.replace('Key', kind))].join(' ') + '\n'), driver)
  }
})

/** The names of all that lib/ and drivers/ may leave out of an object that they have made, or have been given. */
function optionalNames(): string[] {
  const files = ['lib', 'lib/queue', 'drivers'].flatMap((folder) => readdirSync(join(root, folder)).filter((name) => name.endsWith('.ts')).map((name) => join(root, folder, name)))
  const found = files.flatMap((file) => Array.from(readFileSync(file, 'utf8').matchAll(/\b(\w+)\?: |[{,] (\w+) = [^=]/g), ([, declared, destructured]) => declared ?? destructured ?? ''))
  return [...new Set(found)].sort()
}

/** What nobody can write to Object.prototype: Node and the language look for it themselves. */
const DEADLY = new Set(['value', 'error', 'signal'])

void t.test('what somebody has written to Object.prototype changes no byte on the wire, whatever its name', async (t) => {
  const names = optionalNames().filter((name) => !DEADLY.has(name))
  t.ok(['cas', 'touch', 'reconnect', 'ttl', 'timeout', 'most', 'path', 'keyPrefix', 'joinGets'].every((name) => names.includes(name)), `${names.length} names`)
  for (const driver of DRIVERS) {
    const dialect = DIALECTS.find(({ name }) => name === (driver === 'memjs' ? 'binary' : driver)) as Dialect
    void t.test(driver, async (t) => {
      const server = await startScripted(speaking(dialect, echoed))
      t.teardown(() => server.close())
      const { code, stdout, stderr } = await run(`
        const [driver, port, names] = [process.argv[2], Number(process.argv[3]), JSON.parse(process.argv[4])]
        const VALUES = { cas: [5n], touch: [60], ttl: [60], initial: [7n], delta: [9n], reconnect: [true], layers: [[() => () => Promise.reject(new Error('a layer of nobody'))]], driver: [noop], path: ['/no/such/socket'], timeout: [50_000], ...(driver === 'memjs' && { cas: [] }) } // memjs itself looks for cas
        const own = (options) => Object.assign(Object.create(null), options)
        const use = async () => {
          const client = new Client(own({ port, driver: drivers[driver] }))
          const commands = [
            () => client.connect(), () => client.set('k', 'v'), () => client.set('k', { a: [1] }), () => client.get('k'), () => client.gets('k'), () => client.getMulti(['k', 'l']), () => client.getsMulti(['k', 'l']), () => client.connect(),
            () => client.gat('k', 5), () => client.gats('k', 5), () => client.add('k', 'v'), () => client.replace('k', 'v'), () => client.append('k', 'v'), () => client.prepend('k', 'v'), () => client.cas('k', 'v', own({ cas: 8n })),
            () => client.incr('n'), () => client.decr('n', 2n), () => client.touch('k', 5), () => client.delete('k'), () => client.setMulti([['k', 'v'], ['l', 'v']]), () => client.deleteMulti(['k', 'l']), () => client.stats('items'), () => client.flushAll(), () => client.version(),
            ...(driver === 'text' ? [() => client.queue('jobs').put(Buffer.from('v'))] : []),
            ...(driver === 'meta' ? [() => client.metaGet('k')] : []),
          ]
          const results = []
          for (const command of commands) results.push(String(await command().catch((error) => error)))
          await client.close()
          return results.join()
        }
        const plain = await use()
        for (const name of names) {
          for (const value of VALUES[name] ?? [true, 5, 'evil']) {
            Object.defineProperty(Object.prototype, name, { value, writable: true, configurable: true, enumerable: true })
            let results
            try {
              results = await use().catch((error) => error.stack)
            } finally {
              delete Object.prototype[name]
            }
            console.log(name, String(value), results === plain ? 'same' : results.replaceAll('\\n', ' '))
          }
        }
      `, [driver, String(server.port), JSON.stringify(names)])
      t.equal(stderr, '')
      t.equal(code, 0)
      const outcomes = stdout.trim().split('\n')
      t.strictSame(outcomes.filter((outcome) => !outcome.endsWith(' same')), [], 'no result is another')
      const each = server.peers.length / (outcomes.length + 1)
      t.ok(Number.isInteger(each), 'as many connections for each')
      const [plain, ...polluted] = Array.from({ length: outcomes.length + 1 }, (_, use) => server.peers.slice(use * each, (use + 1) * each).map(({ received }) => received).join())
      t.strictSame(outcomes.filter((_, index) => polluted[index] !== plain), [], 'no byte is another')
    })
  }
})

void t.test('an error that is cloned still says what, where and why', async (t) => {
  const ended = await run(`
    const client = new Client({ port: 1 })
    for (const call of [() => client.get('k'), () => client.get('a b'), () => client.connect()]) {
      const error = await quiet(call())
      const clone = structuredClone(error)
      console.log(clone instanceof Error && clone.message === error.message && clone.stack === error.stack && clone.cause?.message === error.cause?.message)
    }
  `)
  t.strictSame(ended, quietEnd('true\n'.repeat(3)))
})

void t.test('thousands of clients leave nothing: memory, handles, descriptors, listeners', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'ermc-process-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const server = await embedded(t, { path: join(dir, 'socket') })
  for (const driver of DRIVERS) {
    void t.test(driver, async (t) => {
      const { code, stdout, stderr } = await run(`
        import { readdirSync } from 'node:fs'
        const [driver, path, count] = [drivers[process.argv[2]], process.argv[3], Number(process.argv[4])]
        const descriptors = () => process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0
        const handles = () => process.getActiveResourcesInfo().filter((name) => !/^(TTY|Pipe|FSReq)Wrap|^FSReq/.test(name)).length
        const one = async (index) => {
          const client = new Client({ path, driver })
          client.on('connect', () => {})
          if (index % 3 === 0) await client.set('k', index)
          if (index % 3 === 1) void quiet(client.get('k')) // closed while it connects
          await client.close()
        }
        const failing = new Client({ path: '/no/such/socket', driver })
        const refused = async () => {
          const client = new Client({ path: '/no/such/socket', driver })
          await Promise.all([quiet(client.get('k')), quiet(failing.get('k'))])
          await client.close()
        }
        const rounds = async (each, count) => {
          for (let at = 0; at < count; at += 100) await Promise.all(Array.from({ length: 100 }, (_, index) => each(at + index)))
        }
        const state = async () => {
          await sleep(20)
          gc()
          await sleep(20)
          gc()
          return { heap: process.memoryUsage().heapUsed, descriptors: descriptors(), handles: handles(), listeners: process.eventNames().length }
        }
        for (const each of [one, refused]) await rounds(each, 1000) // what is allocated once
        const before = await state()
        for (const each of [one, refused]) await rounds(each, count)
        const after = await state()
        await failing.close()
        console.log(JSON.stringify({ grown: after.heap - before.heap, before: { ...before, heap: 0 }, after: { ...after, heap: 0 } }))
      `, [driver, server.path as string, driver === 'text' ? '10000' : '1000'])
      t.equal(stderr, '')
      t.equal(code, 0)
      const { grown, before, after } = JSON.parse(stdout) as { grown: number; before: object; after: object }
      t.strictSame(after, before)
      t.ok(grown < 1e6, `the heap has grown by ${grown} bytes`)
    })
  }
})

void t.test('a signal that a hundred thousand calls share has no listener in the end, and nobody is warned', async (t) => {
  const server = await embedded(t)
  for (const [driver, calls] of [['text', 70_000], ['memjs', 30_000]] as const) {
    const ended = await run(`
      import { getEventListeners } from 'node:events'
      const [driver, port, calls] = [drivers[process.argv[2]], Number(process.argv[3]), Number(process.argv[4])]
      const client = new Client({ port, driver })
      const dead = new Client({ port: 1, driver })
      const controller = new AbortController()
      const { signal } = controller
      await client.set('k', 1)
      let most = 0
      for (let done = 0; done < calls; done += 1000) {
        const some = Array.from({ length: 1000 }, (_, at) => quiet((at % 10 === 0 ? dead : client).get('k', { signal })))
        most = Math.max(most, getEventListeners(signal, 'abort').length)
        await Promise.all(some)
      }
      console.log(getEventListeners(signal, 'abort').length, most)
      const last = client.get('k', { signal })
      controller.abort()
      console.log((await quiet(last)).name, getEventListeners(signal, 'abort').length)
      await Promise.all([client.close(), dead.close()])
    `, [driver, String(server.port), String(calls)])
    t.strictSame(ended, quietEnd('0 1\nAbortError 0\n'), driver)
  }
})
