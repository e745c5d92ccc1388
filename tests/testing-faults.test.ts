import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { startServer } from '../lib/testing/index.ts'
import { RawConnection, waitFor } from './support/raw-connection.ts'

/** Long enough for a reply on this machine, if there is one. */
const A_MOMENT = 40
const VERSION = 'VERSION 1.6.18\r\n'

t.test('where it listens', async (t) => {
  await using server = await startServer()
  t.equal(server.host, '127.0.0.1')
  t.ok(server.port > 0)
  t.equal(server.path, undefined)
  t.equal(server.url, `memcached://127.0.0.1:${server.port}`)
  t.ok(await new RawConnection(server).ask('version\r\n', VERSION))

  await t.rejects(startServer({ port: server.port }), { code: 'EADDRINUSE' }, 'an address in use')
  await t.rejects(startServer({ path: '/no/such/directory/socket' }), { code: /^E/ }, 'a path that cannot be')

  await using other = await startServer({ version: '1.6.45' })
  t.ok(await new RawConnection(other).ask('version\r\n', 'VERSION 1.6.45\r\n'), 'servers are independent, and so are their options')
})

t.test('IPv6', async (t) => {
  const server = await startServer({ host: '::1' }).catch((error: NodeJS.ErrnoException) => error.code)
  if (typeof server !== 'object') {
    t.pass(`no IPv6 here: ${server}`, { skip: true })
    return
  }
  t.equal(server.url, `memcached://[::1]:${server.port}`)
  t.ok(await new RawConnection(server).ask('version\r\n', VERSION))
  await server.close()
})

t.test('a unix socket', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'ermc-'))
  const path = join(directory, 'socket')
  {
    await using server = await startServer({ path })
    t.equal(server.url, `unix:${path}`)
    t.equal(server.port, 0)
    const client = new RawConnection(server)
    t.ok(await client.ask('version\r\n', VERSION))
    server.dropConnections({ reset: true })
    t.equal(await client.closed, 'end', 'a unix socket knows no reset')
  }
  rmSync(directory, { recursive: true })
})

t.test('counts its connections', async (t) => {
  await using server = await startServer()
  t.same([server.connections, server.connectionsAccepted], [0, 0])
  const [one, two] = [new RawConnection(server), new RawConnection(server)]
  t.ok(await one.ask('version\r\n', VERSION))
  t.ok(await two.ask('version\r\n', VERSION))
  t.same([server.connections, server.connectionsAccepted], [2, 2])
  one.socket.destroy()
  t.ok(await waitFor(() => server.connections === 1))
  t.equal(server.connectionsAccepted, 2)
})

t.test('clear', async (t) => {
  await using server = await startServer()
  const client = new RawConnection(server)
  t.ok(await client.ask('set a 0 0 1\r\n1\r\nset a 0 0 1\r\n2\r\n', 'STORED\r\nSTORED\r\n'))
  client.send('set half 0 0 4\r\nab')
  await sleep(A_MOMENT)
  server.clear()
  t.ok(await client.ask('cd\r\nget a half\r\n', 'STORED\r\nVALUE half 0 4\r\nabcd\r\nEND\r\n'), 'items are gone; a command under way goes on')
  server.clear()
  t.ok(await client.ask('set a 0 0 1\r\n1\r\ngets a\r\n', 'STORED\r\nVALUE a 0 1 1\r\n1\r\nEND\r\n'), 'cas ids begin anew')
  client.send('stats\r\n')
  await waitFor(() => client.received.endsWith('END\r\n'))
  t.match(client.received, /STAT cmd_set 1\r\n[^]*STAT curr_items 1\r\nSTAT total_items 1\r\n/, 'and so do the statistics')
})

t.test('stall and resume', async (t) => {
  await using server = await startServer()
  const [one, two] = [new RawConnection(server), new RawConnection(server)]
  t.ok(await one.ask('version\r\n', VERSION))
  server.stall()
  one.send('set a 0 0 1\r\n1\r\nget a\r\n')
  two.send('version\r\nquit\r\n')
  await sleep(A_MOMENT)
  t.same([one.received, two.received], ['', ''], 'nobody is answered')
  const late = new RawConnection(server)
  await once(late.socket, 'connect')
  one.send('incr a 1\r\n')
  await sleep(A_MOMENT)
  late.send('get a\r\n')
  await sleep(A_MOMENT)
  server.resume()
  const owed = 'STORED\r\nVALUE a 0 1\r\n1\r\nEND\r\n2\r\n'
  t.equal(await one.take(owed.length), owed, 'what is owed comes, in order')
  t.equal(await two.take(VERSION.length), VERSION)
  t.equal(await two.closed, 'end', 'with the end behind it')
  t.equal(await late.take(20), 'VALUE a 0 1\r\n2\r\nEND\r\n', 'connections are accepted, and commands run, while stalled')
  t.ok(await one.ask('version\r\n', VERSION), 'and from now on all is well')
  server.resume()
  t.ok(await one.ask('version\r\n', VERSION), 'a second resume does nothing')
})

t.test('a client that gives up on a stalled server', async (t) => {
  await using server = await startServer()
  const client = new RawConnection(server)
  server.stall()
  client.send('version\r\n')
  await sleep(A_MOMENT)
  client.socket.destroy()
  t.ok(await waitFor(() => server.connections === 0))
  server.resume()
  t.ok(await new RawConnection(server).ask('version\r\n', VERSION))
})

t.test('dropConnections', async (t) => {
  await using server = await startServer()
  for (const [reset, how] of [[false, 'end'], [true, 'ECONNRESET']] as const) {
    const clients = [new RawConnection(server), new RawConnection(server)]
    for (const client of clients) t.ok(await client.ask('version\r\n', VERSION))
    server.dropConnections({ reset })
    for (const client of clients) t.equal(await client.closed, how)
    t.ok(await waitFor(() => server.connections === 0))
    t.ok(await new RawConnection(server).ask('version\r\n', VERSION), 'new connections are accepted')
  }
  server.dropConnections()
  const client = new RawConnection(server)
  server.stall()
  client.send('set a 0 0 1\r\n1\r\n')
  await sleep(A_MOMENT)
  server.dropConnections()
  t.equal(await client.closed, 'end')
  server.resume()
  t.equal(client.received, '', 'replies held back are lost')
  t.ok(await new RawConnection(server).ask('get a\r\n', 'VALUE a 0 1\r\n1\r\nEND\r\n'), 'but the command was run')
})

t.test('garble', async (t) => {
  await using server = await startServer()
  const client = new RawConnection(server)
  server.garble('\xff\0what?')
  server.garble(Buffer.from('EN'))
  t.ok(await client.ask('set a 0 0 1\r\n1\r\nget a b\r\nget a\r\n', '\xff\0what?ENVALUE a 0 1\r\n1\r\nEND\r\n'), 'whole replies, one each')
  server.garble('!')
  client.send('delete a noreply\r\n')
  await sleep(A_MOMENT)
  t.equal(client.received, '', 'what has no reply uses nothing up')
  t.ok(await client.ask('get a\r\nversion\r\n', `!${VERSION}`))
  const bytes = Buffer.from('abc')
  server.garble(bytes)
  bytes.fill('x')
  t.ok(await client.ask('version\r\nversion\r\n', `abc${VERSION}`), 'the bytes are those of the call')
  server.garble('')
  t.ok(await client.ask('version\r\nget a\r\n', 'END\r\n'), 'no bytes: the reply is left out')
})

t.test('delay', async (t) => {
  await using server = await startServer()
  const client = new RawConnection(server)
  t.ok(await client.ask('version\r\n', VERSION))
  server.delay(120)
  const start = performance.now()
  client.send('set a 0 0 1\r\n1\r\n')
  await sleep(30)
  client.send('get a\r\n')
  t.equal(await client.take(1), 'STORED\r\n')
  const first = performance.now() - start
  server.delay(0)
  client.send('version\r\n')
  const rest = `VALUE a 0 1\r\n1\r\nEND\r\n${VERSION}`
  t.equal(await client.take(rest.length), rest, 'in order, also behind what is still held back')
  const last = performance.now() - start
  t.ok(first >= 115 && first < 1000, `the first after ${first.toFixed()} ms`)
  t.ok(last >= 145 && last < 1000, `the last after ${last.toFixed()} ms`)
  const again = performance.now()
  t.ok(await client.ask('version\r\n', VERSION))
  t.ok(performance.now() - again < 100, 'then without delay')
  server.delay(30)
  client.send('version\r\nquit\r\n')
  t.equal(await client.closed, 'end')
  t.equal(client.received, VERSION, 'the end waits its turn')
})

t.test('closeAfterBytes', async (t) => {
  await using server = await startServer()
  const [one, two] = [new RawConnection(server), new RawConnection(server)]
  t.ok(await one.ask('version\r\n', VERSION))
  server.closeAfterBytes(VERSION.length + 5)
  t.ok(await one.ask('version\r\n', VERSION))
  two.send('version\r\nversion\r\n')
  t.equal(await two.closed, 'end')
  t.equal(two.received, 'VERSI', 'counted over all connections')
  t.ok(await one.ask('version\r\n', VERSION), 'the others stay')
  t.ok(await new RawConnection(server).ask('version\r\n', VERSION), 'and it happens once')
  server.closeAfterBytes(0)
  one.send('set a 0 0 1\r\n1\r\n')
  t.equal(await one.closed, 'end')
  t.equal(one.received, '', '0: before the reply')
  server.closeAfterBytes(3)
  server.closeAfterBytes(Infinity)
  t.ok(await new RawConnection(server).ask('get a\r\n', 'VALUE a 0 1\r\n1\r\nEND\r\n'), 'Infinity takes it back')
})

t.test('closeAfterBytes in a value', async (t) => {
  await using server = await startServer()
  const value = 'v'.repeat(500_000)
  const client = new RawConnection(server)
  t.ok(await client.ask(`set a 0 0 ${value.length}\r\n${value}\r\n`, 'STORED\r\n'))
  server.closeAfterBytes(100_000)
  client.send('get a\r\n')
  t.equal(await client.closed, 'end')
  t.equal(client.received.length, 100_000)
})

t.test('close, and start again at the same port', async (t) => {
  const server = await startServer()
  const { port } = server
  const client = new RawConnection(server)
  t.ok(await client.ask('set a 0 0 1\r\n1\r\n', 'STORED\r\n'))
  server.stall()
  client.send('version\r\n')
  await sleep(A_MOMENT)
  const closing = server.close()
  await Promise.all([closing, server.close()])
  t.equal(await client.closed, 'end')
  t.equal(server.connections, 0)
  t.equal(await new RawConnection(server).closed, 'ECONNREFUSED')
  await server.close()
  await using again = await startServer({ port })
  t.equal(again.port, port)
  t.ok(await new RawConnection(again).ask('get a\r\n', 'END\r\n'), 'with nothing in it')
})

t.test('too many connections', async (t) => {
  await using server = await startServer({ maxConnections: 1 })
  const client = new RawConnection(server)
  t.ok(await client.ask('version\r\n', VERSION))
  const refused = new RawConnection(server)
  t.equal(await refused.closed, 'end')
  t.equal(refused.received, 'ERROR Too many open connections\r\n')
  client.socket.destroy()
  t.ok(await waitFor(() => server.connections === 0))
  t.ok(await new RawConnection(server).ask('version\r\n', VERSION))
})

t.test('shutdown', async (t) => {
  const server = await startServer({ shutdownEnabled: true })
  const [one, two] = [new RawConnection(server), new RawConnection(server)]
  t.ok(await two.ask('version\r\n', VERSION))
  one.send('shutdown\r\n')
  t.same(await Promise.all([one.closed, two.closed]), ['end', 'end'])
  t.equal(await new RawConnection(server).closed, 'ECONNREFUSED')
  await server.close()
})

t.test('a client that does not read its replies', async (t) => {
  await using server = await startServer()
  const client = new RawConnection(server)
  const value = 'v'.repeat(1_000_000)
  t.ok(await client.ask(`set a 0 0 ${value.length}\r\n${value}\r\n`, 'STORED\r\n'))
  client.socket.pause()
  const before = process.memoryUsage().external
  for (let index = 0; index < 200; index++) {
    client.send('get a\r\n')
    if (index % 20 === 0) await sleep(1)
  }
  await sleep(A_MOMENT)
  t.ok(process.memoryUsage().external - before < 100_000_000, 'takes no memory for them')
  client.socket.resume()
  const reply = `VALUE a 0 ${value.length}\r\n${value}\r\nEND\r\n`
  const replies = await client.take(200 * reply.length)
  t.equal(replies.length, 200 * reply.length, 'and gets them all in the end')
})

t.test('the process ends when its servers are closed, and prints nothing', async (t) => {
  const script = `
    const { startServer } = await import(${JSON.stringify(new URL('../lib/testing/index.ts', import.meta.url).href)})
    const { connect } = await import('node:net')
    const server = await startServer({ idleTimeout: 60 })
    const client = connect(server.port, '127.0.0.1').on('error', () => {})
    server.delay(60_000)
    client.write('version\\r\\n')
    setTimeout(() => server.close(), 50)`
  const { status, stdout, stderr } = spawnSync(process.execPath, [...process.execArgv, '--input-type=module', '--eval', script], { encoding: 'utf8', timeout: 20_000 })
  t.equal(status, 0)
  t.equal(stdout, '')
  t.equal(stderr.replace(/^.*(?:ExperimentalWarning|--trace-warnings).*\n/gm, ''), '')
})
