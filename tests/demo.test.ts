import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Report, useColour } from '../docs/examples/demo/report.ts'
import { MemcacheSocketError } from '../lib/index.ts'
import { startServer } from '../lib/testing/index.ts'
import { outsideTap } from './support/outside-tap.ts'
import { ended, type Ended } from './support/program.ts'
import { freePort, startMemcached, withoutMemcached, withoutTwemproxy } from './support/servers.ts'

/** The demo as `npm run demo` runs it, in a process of its own that has to end by itself. */
function demo(...args: string[]): Promise<Ended> {
  return example('demo.ts', args)
}

async function example(name: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = process.env): Promise<Ended> {
  const script = fileURLToPath(new URL(`../docs/examples/${name}`, import.meta.url))
  const command = outsideTap(process.execPath, ['--import', 'tsx', script, ...args])
  return ended(command, { env, timeout: 60_000 })
}

t.test('by itself it shows every capability, and every step is right', async (t) => {
  const { code, out, err } = await demo()
  t.equal(code, 0)
  t.equal(err, '')
  t.match(out, /a server inside this process/)
  t.match(out, /All \d{2} steps did what they say\.\n$/)
  t.notMatch(out, '✗')
  t.notMatch(out, '\x1b', 'no colour codes where nobody looks')
  for (const name of ['MemcacheKeyError', 'MemcacheTimeoutError', 'MemcacheSocketError']) t.match(out, `→ ${name}\n`)
  for (const sent of ['true', 'false']) t.match(out, `sent ${sent}: `)
})

t.test('on a server of the user', async (t) => {
  await using server = await startServer()
  const { code, out } = await demo('--server', `127.0.0.1:${server.port}`)
  t.equal(code, 0)
  t.match(out, `memcached://127.0.0.1:${server.port}`)
  t.match(out, /the chapters on faults run on a server inside this process/)
  t.notMatch(out, '✗')
  t.ok(server.connectionsAccepted > 0, 'it was used')
})

t.test('on a real memcached', { skip: withoutMemcached }, async (t) => {
  const server = await startMemcached()
  t.teardown(() => server.stop())
  const { code, out } = await demo(`--server=${server.host}:${server.port}`)
  t.equal(code, 0, out)
})

t.test('a server that answers wrongly is a failed demo', async (t) => {
  await using server = await startServer({ version: '9.9.9' })
  server.garble('VERSION 9.9.9\r\n') // the first reply is right,
  server.garble('NOT_STORED\r\n') // the first set does nothing
  const { code, out } = await demo('--server', `127.0.0.1:${server.port}`)
  t.not(code, 0)
  t.match(out, /steps failed\.\n$/)
})

t.test('a server that is not there is a failed demo', async (t) => {
  const { code, out } = await demo('--server', `127.0.0.1:${await freePort()}`)
  t.equal(code, 1)
  t.match(out, 'MemcacheSocketError: cannot connect')
  t.match(out, '1 of 1 steps failed.')
})

t.test('arguments that it does not understand', async (t) => {
  for (const args of [['--server', 'host:not-a-port'], ['--sever', 'x:1'], ['--server']]) {
    const { code, out, err } = await demo(...args)
    t.equal(code, 2, args.join(' '))
    t.equal(out, '')
    t.match(err, 'npm run demo -- --server host:port')
  }
})

t.test('the demo of a proxy: every step is right', { skip: withoutTwemproxy || withoutMemcached }, async (t) => {
  const { code, out, err } = await example('demo-proxy.ts')
  t.equal(code, 0, out)
  t.equal(err, '')
  t.match(out, /the servers have \d+ and \d+ of them/)
  t.match(out, /All \d{2} steps did what they say\.\n$/)
  t.notMatch(out, '✗')
})

t.test('the demo of a proxy, where there is none', async (t) => {
  const bare = t.testdir({ env: t.fixture('symlink', '/usr/bin/env') }) // which outsideTap needs
  const { code, out, err } = await example('demo-proxy.ts', [], { ...process.env, PATH: bare })
  t.equal(code, 2)
  t.equal(out, '')
  t.match(err, 'memcached and nutcracker')
  t.match(err, 'apt-get install memcached nutcracker')
})

t.test('the report', async (t) => {
  const lines: string[] = []
  const report = (colour: boolean): Report => new Report({ write: (text) => lines.push(text) }, colour)

  t.notOk(report(false).summary(), 'no step at all is no success')

  const good = report(false)
  good.check('get', { a: [1n] }, { a: [1n] })
  good.holds('so it is', true)
  t.ok(good.summary())

  const wrong = report(false)
  wrong.check('get', '1', 1)
  t.notOk(wrong.summary())
  t.match(lines.join(''), "✗ get → '1'\n    expected 1\n")

  const expected = { name: 'MemcacheSocketError', code: 'ERR_MEMCACHE_SOCKET', sent: true }
  const fault = report(false)
  await fault.rejects('get', Promise.reject(new MemcacheSocketError('gone', { sent: true })), expected)
  t.ok(fault.summary())
  await fault.rejects('get', Promise.reject(new MemcacheSocketError('gone', { sent: false })), expected)
  t.notOk(fault.summary(), 'sent is wrong')

  const fulfilled = report(false)
  await fulfilled.rejects('get', Promise.resolve(1), expected)
  t.notOk(fulfilled.summary(), 'it should have rejected')

  lines.length = 0
  report(true).holds('so it is', true)
  t.match(lines[0], '\x1b[32m')
})

t.test('colour only where somebody looks', async (t) => {
  t.equal(useColour({ isTTY: true }, {}), true)
  t.equal(useColour({ isTTY: true }, { NO_COLOR: '1' }), false)
  t.equal(useColour({ isTTY: true }, { TERM: 'dumb' }), false)
  t.equal(useColour({}, {}), false)
})
