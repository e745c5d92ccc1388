import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Client, MemcacheServerError, MemcacheSocketError, MemcacheTimeoutError } from '../lib/index.ts'
import { startServer } from '../lib/testing/index.ts'
import { DIALECTS } from './support/dialects.ts'
import { DRIVERS } from './support/drivers.ts'
import { failure, Opened, outcome, recovers, SLACK, unhandled } from './support/outcomes.ts'
import { outsideTap } from './support/outside-tap.ts'
import { freePort, startMemcached, withoutMemcached } from './support/servers.ts'

/**
 * Servers that are not there, or that have no room, and a process that is busy: what the connection sees to, whatever the
 * protocol.
 */

const unexpected = unhandled()
const opened = new Opened()
t.teardown(() => opened.close())

/** Keeps the event loop from running. */
function block(milliseconds: number): void {
  const until = performance.now() + milliseconds
  while (performance.now() < until);
}

t.test('refused, not found, not there', async (t) => {
  const refused = opened.client({ port: await freePort() })
  const first = await failure(refused.get('k'))
  t.type(first, MemcacheSocketError)
  t.match(first, { command: 'get', sent: false, server: /^127\.0\.0\.1:\d+$/, cause: { code: 'ECONNREFUSED' } })
  const [second, third] = await Promise.all([failure(refused.set('k', 1)), failure(refused.connect())])
  t.match(second, { sent: false, command: 'set' })
  t.type(second, MemcacheSocketError)
  t.type(third, MemcacheSocketError)
  t.notOk(refused.isConnected())
  await refused.close()

  const nowhere = new Client({ host: 'no-such-host.invalid', timeout: 3000, connectTimeout: 3000 })
  const lost = await outcome(nowhere.get('k'))
  t.type(lost.error, MemcacheSocketError)
  t.match(lost.error, { sent: false, command: 'get' })
  t.ok(lost.took < 3000 + SLACK)
  await nowhere.close()

  const path = `${t.testdir({})}/socket`
  const absent = new Client({ path })
  const missing = await failure(absent.version())
  t.type(missing, MemcacheSocketError)
  t.match(missing, { sent: false, command: 'version', server: path })
  await absent.close()

  const tooLong = new Client({ path: `/${'x'.repeat(300)}` })
  t.type(await failure(tooLong.version()), MemcacheSocketError, 'a path that no socket can have')
  await tooLong.close()
})

t.test('it comes back when the server does', async (t) => {
  const port = await freePort()
  const client = opened.client({ port })
  for (let attempt = 0; attempt < 8; attempt += 1) t.match(await failure(client.get('k')), { sent: false })
  const server = await startServer({ port })
  t.equal(await recovers(() => client.set('k', 1)), true)
  await server.close()
  t.ok((await failure(client.get('k'))) instanceof MemcacheSocketError)
  await client.close()
})

t.test('a connection that is never completed', async (t) => {
  // A server that never accepts: when its backlog is full, the kernel leaves further attempts without an answer.
  const port = await freePort()
  const listener = `require('net').createServer().listen({ port: ${port}, host: '127.0.0.1', backlog: 1 }, () => process.send('up'))`
  const child = spawn(...outsideTap(process.execPath, ['-e', listener]), { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
  await new Promise((resolve) => child.once('message', resolve))
  child.kill('SIGSTOP')
  const fillers = Array.from({ length: 8 }, () => new Client({ port, connectTimeout: 60_000, timeout: 60_000 }))
  const filling = fillers.map((filler) => filler.connect().catch(() => {}))
  await sleep(100)
  await Promise.all(DRIVERS.map(async ({ name, driver }) => {
    const client = opened.client({ port }, { driver, connectTimeout: 250, timeout: 2000 })
    const connecting = await outcome(client.connect())
    if (connecting.error === undefined) t.comment('the backlog of this machine has no end: not tested')
    else {
      t.type(connecting.error, MemcacheTimeoutError, name)
      t.match(connecting.error, { sent: false, message: /no connection to .* within 250 ms/ }, name)
      await sleep(600)
      const [get, set] = await Promise.all([outcome(client.get('k')), outcome(client.set('k', 1, { timeout: 60 }))])
      t.type(get.error, MemcacheTimeoutError, name)
      t.match(get.error, { sent: false, command: 'get' }, name)
      t.type(set.error, MemcacheTimeoutError, `${name}: a deadline that is shorter than the attempt to connect`)
      t.match(set.error, { sent: false, command: 'set' }, name)
      t.ok(get.took < 250 + SLACK && set.took < 60 + SLACK, name)
    }
    await client.close()
  }))
  await Promise.all(fillers.map((filler) => filler.close()))
  await Promise.all(filling)
  child.kill('SIGKILL')
})

t.test('a limit of connections, on the real memcached', { skip: withoutMemcached }, async (t) => {
  const server = await startMemcached(['-t', '1', '-c', '16'])
  const clients = Array.from({ length: 42 }, (_, index) => opened.client(server, { driver: DIALECTS[index % DIALECTS.length]!.driver }))
  const outcomes = await Promise.all(clients.map((client) => outcome(client.set('k', 1))))
  t.ok(outcomes.some(({ value }) => value === true))
  for (const { error } of outcomes) if (error !== undefined) t.ok(error instanceof MemcacheServerError || error instanceof MemcacheSocketError, error.message)
  await Promise.all(clients.map((client) => client.close()))
  const client = opened.client(server)
  t.equal(await recovers(() => client.set('k', 2)), true)
  await client.close()
  await server.stop()
})

t.test('a busy process does not take its own pauses for a silent server', async (t) => {
  await t.test('replies that wait in the kernel', { skip: withoutMemcached }, async (t) => {
    const server = await startMemcached()
    const client = opened.client(server, { timeout: 200 })
    await client.set('k', 'v'.repeat(1000))
    // Without a pause between the rounds: what the first has left due is seen in the turn of the next.
    for (let round = 0; round < 3; round += 1) {
      const calls = Array.from({ length: 50 }, () => outcome(client.get('k')))
      await new Promise((resolve) => process.nextTick(() => process.nextTick(resolve))) // written by now
      block(450)
      const results = await Promise.all(calls)
      t.equal(results.filter(({ value }) => value === 'v'.repeat(1000)).length, 50, `round ${round}: the replies were there, nobody is late`)
    }
    await client.close()
    await server.stop()
  })

  await t.test('a connection that stands in the kernel', { skip: withoutMemcached }, async (t) => {
    const server = await startMemcached()
    const client = opened.client(server, { connectTimeout: 200 })
    const call = outcome(client.version())
    await new Promise((resolve) => process.nextTick(() => process.nextTick(resolve))) // the attempt is under way
    block(450)
    const { value, error } = await call
    t.equal(error, undefined, 'the connection was there in time')
    t.type(value, 'string')
    await client.close()
    await server.stop()
  })
})

t.test('nothing was left unhandled, nothing was warned of', async (t) => {
  await sleep(20)
  t.same(unexpected, [])
})
