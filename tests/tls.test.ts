import { execFileSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer, type Server, type TlsOptions, type TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import { memjs } from '../drivers/memjs.ts'
import { binary, Client, MemcacheSocketError, MemcacheTimeoutError, meta, noop, text, wrap, type ClientOptions, type DriverFactory } from '../lib/index.ts'
import { startServer } from '../lib/testing/index.ts'
import { Authority, withoutOpenssl } from './support/certificates.ts'
import { failure, Opened, outcome, random, recovers, SLACK, unhandled } from './support/outcomes.ts'
import { outsideTap } from './support/outside-tap.ts'
import { root } from './support/pages.ts'
import { startMemcached, withoutMemcached, type RealServer } from './support/servers.ts'

/** TLS, on a real memcached (`-Z`) and on servers that do not keep to it. */

const DRIVERS: readonly (readonly [name: string, driver: DriverFactory])[] = [['text', text], ['binary', binary], ['meta', meta], ['memjs', memjs]]
const skip = withoutMemcached || withoutOpenssl

const unexpected = unhandled()
const opened = new Opened()
const authority = withoutOpenssl ? undefined : new Authority()
const ca = authority?.ca ?? ''
const right = authority?.certify('server', 'DNS:localhost', 'IP:127.0.0.1')
t.teardown(async () => {
  await opened.close()
  authority?.remove()
})

/** Starts a memcached that speaks TLS and nothing else. */
async function startTls(t: Test, args: readonly string[] = [], certified = right): Promise<RealServer> {
  const { certFile = '', keyFile = '' } = certified ?? {}
  const server = await startMemcached(['-Z', '-o', `ssl_chain_cert=${certFile}`, '-o', `ssl_key=${keyFile}`, ...args])
  t.teardown(() => server.stop())
  return server
}

/** A server of Node's, as far as TLS goes, that answers each line with `VERSION <what it is told of the client>`. */
async function startNode(t: Test, options: TlsOptions, to: { port: number } | { path: string } = { port: 0 }): Promise<{ readonly server: Server; readonly port: number; readonly sockets: TLSSocket[] }> {
  const sockets: TLSSocket[] = []
  const server = createServer({ cert: right?.cert, key: right?.key, ...options }, (socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    socket.on('data', () => socket.write(`VERSION ${String(socket.servername)}\r\n`))
  })
  await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', ...to }, resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { server, sockets, port: (server.address() as AddressInfo).port }
}

t.test('every driver, by a certificate of an authority that the client is told', { skip }, async (t) => {
  const server = await startTls(t)
  for (const [name, driver] of DRIVERS) {
    const client = opened.client(server, { driver, tls: { ca } })
    const long = 'x'.repeat(700_000)
    await Promise.all([client.set('long', long), client.set('short', 1), client.set('bytes', Buffer.from('\r\n\0'))])
    t.same(await client.getMulti(['long', 'short', 'bytes', 'none']), new Map<string, unknown>([['long', long], ['short', 1], ['bytes', Buffer.from('\r\n\0')]]), name)
    const values = await Promise.all(Array.from({ length: 300 }, (_, index) => client.incr(`${name}${index}`, 1, { initial: index })))
    t.same(values, Array.from(values, (_, index) => index), `${name}: in order`)
    const socket = client.socket as TLSSocket
    t.ok(socket.encrypted && socket.authorized, `${name}: encrypted, and verified`)
    await client.close()
    t.equal(await client.connect().then(() => client.get('short')), 1, `${name}: again`)
  }
})

t.test('the last reply comes, however the requests lie in records', { skip }, async (t) => {
  const server = await startTls(t)
  for (const [name, driver] of DRIVERS) {
    const client = opened.client(server, { driver, tls: { ca } })
    const next = random(20261128)
    for (const count of [1, 2, 5, 100, 400]) {
      const sizes = Array.from({ length: count }, () => Math.floor(next() * (count > 50 ? 400 : 90_000)))
      const calls = sizes.flatMap((size, index) => [client.set(`${name}${index}`, 'x'.repeat(size)), client.get(`${name}${index}`)])
      const replies = await Promise.all(calls)
      t.ok(replies.every((reply, place) => reply === true || reply === 'x'.repeat(sizes[Math.floor(place / 2)] as number)), `${name}: ${count} values of one turn`)
    }
    for (let size = 16_300; size < 16_450; size += 1) {
      const [stored, found] = await Promise.all([client.set('edge', 'x'.repeat(size)), client.get('none')])
      if (!stored || found !== undefined) t.fail(`${name}: a value of ${size} bytes, about a record long`)
    }
    t.equal(await client.set('edge', ''), true)
  }
})

t.test('what a URL says', { skip }, async (t) => {
  const server = await startTls(t)
  const client = new Client(`memcacheds://localhost:${server.port}`, { tls: { ca } })
  t.equal(await client.set('k', 'v'), true)
  await client.close()
  const strict = new Client(`memcacheds://127.0.0.1:${server.port}`)
  t.match(await failure(strict.get('k')), { name: 'MemcacheSocketError', message: /certificate/ }, 'it verifies by itself')
  await strict.close()
})

t.test('a certificate that is not good says why, and nothing is sent', { skip }, async (t) => {
  const server = await startTls(t)
  const elsewhere = await startTls(t, [], authority?.certify('elsewhere', 'DNS:cache.example.org', 'IP:10.0.0.1'))
  const wrong: readonly (readonly [what: string, at: RealServer, options: ClientOptions, code: string, why: RegExp])[] = [
    ['no authority', server, { tls: true }, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', /unable to verify/],
    ['another authority', server, { tls: { ca: right?.cert } }, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', /unable to verify/],
    ['another address', elsewhere, { tls: { ca } }, 'ERR_TLS_CERT_ALTNAME_INVALID', /IP: 127\.0\.0\.1 is not in the cert/],
    ['another name', elsewhere, { tls: { ca }, host: 'localhost' }, 'ERR_TLS_CERT_ALTNAME_INVALID', /localhost\. is not in the cert/],
  ]
  for (const [what, at, options, code, why] of wrong) {
    for (const [name, driver] of DRIVERS) {
      const client = opened.client(at, { driver, ...options })
      const errors = await Promise.all([failure(client.get('k')), failure(client.set('k', 1)), failure(client.connect())])
      const behind = await failure(client.get('k'))
      for (const error of errors) {
        t.match(error, { name: 'MemcacheSocketError', sent: false, message: why, cause: { code } }, `${name}: ${what}`)
        t.match(error.message, `cannot connect to ${error.server}`)
      }
      t.match(behind, { name: 'MemcacheSocketError', message: /no new attempt for/ }, 'and is not tried at once again')
      t.equal(client.isConnected(), false)
    }
  }
  const named = opened.client(elsewhere, { tls: { ca, servername: 'cache.example.org' } })
  t.equal(await named.set('k', 1), true, 'the name that the certificate should have can be told')
  const careless = opened.client(elsewhere, { tls: { rejectUnauthorized: false } })
  t.equal(await careless.get('k'), 1, 'verification can be given up, in so many words')
})

t.test('a server that asks for a certificate of the client', { skip }, async (t) => {
  const server = await startTls(t, ['-o', 'ssl_verify_mode=2', '-o', `ssl_ca_cert=${authority?.file}`])
  const { cert, key } = authority?.certify('client') ?? {}
  for (const [name, driver] of DRIVERS) {
    const client = opened.client(server, { driver, tls: { ca, cert, key } })
    t.equal(await client.set('k', name), true, name)
    // With TLS 1.3 the client learns only after its own handshake that the server wants more.
    const stranger = opened.client(server, { driver, tls: { ca } })
    const { error, took } = await outcome(stranger.get('k'))
    t.type(error, MemcacheSocketError, name)
    t.ok(took < SLACK)
    t.equal(await client.get('k'), name, 'and nobody else minds')
  }
})

t.test('TLS meets no TLS', { skip }, async (t) => {
  const secure = await startTls(t)
  const plain = await startMemcached()
  t.teardown(() => plain.stop())
  for (const [name, driver] of DRIVERS) {
    const inClear = await outcome(opened.client(secure, { driver, timeout: 400, connectTimeout: 400 }).get('k'))
    t.type(inClear.error, MemcacheSocketError, `${name} in clear`)
    const client = opened.client(plain, { driver, tls: { ca }, connectTimeout: 400 })
    const { error, took } = await outcome(client.get('k'))
    t.type(error, MemcacheSocketError, name)
    t.equal(error?.sent, false)
    t.ok(took < 400 + SLACK, `${name}: in time`)
  }
})

t.test('a handshake that does not end', async (t) => {
  const silent = await opened.scripted(() => {})
  const babbling = await opened.scripted((peer) => peer.send('VERSION 1.6.18\r\n'))
  const closing = await opened.scripted((peer) => peer.fin())
  const resetting = await opened.scripted((peer) => peer.reset())
  for (const [name, driver] of DRIVERS) {
    const late = await outcome(opened.client(silent, { driver, tls: { ca }, connectTimeout: 150 }).get('k'))
    t.type(late.error, MemcacheTimeoutError, name)
    t.match(late.error, { sent: false, message: /no connection to .* within 150 ms/ })
    t.ok(late.took >= 149 && late.took < 150 + SLACK, 'the handshake counts in connectTimeout')
    for (const server of [babbling, closing, resetting]) {
      t.match(await failure(opened.client(server, { driver, tls: { ca } }).get('k')), { name: 'MemcacheSocketError', sent: false, message: /./ }, name)
    }
    const client = opened.client(silent, { driver, tls: { ca } })
    const pending = failure(client.get('k'))
    await client.close()
    t.match(await pending, { name: 'MemcacheClosedError', sent: false }, `${name}: close() does not wait for it`)
    const given = opened.client(silent, { driver, tls: { ca } })
    t.match(await failure(given.get('k', { signal: AbortSignal.timeout(20) })), { name: 'TimeoutError' }, `${name}: nor does a signal`)
    t.match(await failure(given.get('k', { timeout: 20 })), { name: 'MemcacheTimeoutError', sent: false }, `${name}: nor a call's own timeout`)
  }
  t.notMatch(silent.received, /get k|version/, 'no command in clear')
})

t.test('names: SNI has the host, and no address', { skip: withoutOpenssl }, async (t) => {
  const { port } = await startNode(t, {})
  t.equal(await opened.client({ port }, { host: 'localhost', tls: { ca } }).version(), 'localhost')
  t.equal(await opened.client({ port }, { tls: { ca } }).version(), 'false', 'an address is verified, and not said')
  t.equal(await opened.client({ port }, { tls: { ca, servername: 'localhost' } }).version(), 'localhost')
})

t.test('a unix socket can have TLS in front of it', { skip: withoutOpenssl }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'ermc-'))
  const path = join(folder, 's')
  await startNode(t, {}, { path })
  t.teardown(() => rm(folder, { recursive: true }))
  const client = new Client({ path, tls: { ca } })
  t.equal(await client.version(), 'false', 'the name that is verified is localhost, unless told')
  await client.close()
  const other = new Client({ path, tls: { ca, servername: 'cache.example.org' } })
  t.match(await failure(other.version()), { name: 'MemcacheSocketError', server: path, cause: { code: 'ERR_TLS_CERT_ALTNAME_INVALID' } })
  await other.close()
})

t.test('a connection that breaks, closes, or says too much', { skip: withoutOpenssl }, async (t) => {
  const { port, sockets, server } = await startNode(t, {})
  const client = opened.client({ port }, { tls: { ca } })
  const lost: unknown[] = []
  client.on('disconnect', (cause) => lost.push(cause.message))
  for (const end of [() => sockets.at(-1)?.end(), () => sockets.at(-1)?.destroy(), () => sockets.at(-1)?.write('VERSION 2\r\n')]) {
    await recovers(() => client.version())
    const before = lost.length
    const ended = new Promise((resolve) => client.once('disconnect', resolve))
    end()
    await ended
    t.equal(lost.length, before + 1)
    t.equal(await client.version(), 'false', 'what comes next connects anew')
  }
  t.match(lost, [/closed the connection/, /./, /nobody asked for/])
  server.removeAllListeners('secureConnection').on('secureConnection', (socket) => {
    sockets.push(socket)
    socket.on('data', () => socket.end('VERSION 1'))
  })
  await client.connect({ reconnect: true })
  t.match(await failure(client.version()), { name: 'MemcacheSocketError', sent: true, message: /closed the connection in the middle of a reply/ })
})

t.test('connections of queues speak TLS, too', { skip: withoutOpenssl }, async (t) => {
  const kestrel = await startServer({ dialect: 'kestrel' })
  t.teardown(() => kestrel.close())
  const { port, server, sockets } = await startNode(t, {})
  server.removeAllListeners('secureConnection').on('secureConnection', (socket) => {
    sockets.push(socket)
    const behind = connect(kestrel.port, '127.0.0.1')
    socket.pipe(behind).pipe(socket)
    socket.on('error', () => behind.destroy()).on('close', () => behind.destroy())
  })
  const queue = opened.client({ port }, { tls: { ca } }).queue('jobs', { codec: 'string' })
  await queue.put('one')
  await queue.put('two')
  const seen: string[] = []
  for await (const job of queue.consume()) {
    seen.push(job.value)
    await job.ack()
    if (seen.length === 2) break
  }
  t.same(seen, ['one', 'two'])
  t.ok(sockets.length > 1, 'one that consumes, and the client\'s own')
})

t.test('options that cannot be, and drivers that cannot', async (t) => {
  for (const tls of [false, null, 'yes', 1, [], () => {}]) t.throws(() => new Client({ tls: tls as unknown as true }), { name: 'MemcacheValueError', message: /"tls"/ })
  for (const name of ['host', 'port', 'path', 'socket', 'timeout', 'onread']) {
    t.throws(() => new Client({ tls: { [name]: 1 } }), { name: 'MemcacheValueError', message: new RegExp(`"${name}"`) })
  }
  t.throws(() => new Client({ tls: true, driver: wrap('mine', () => ({ commands: {}, close() {} })) }), { name: 'MemcacheUnsupportedError', message: /TLS/ })
  t.equal(await new Client({ tls: true, driver: noop }).get('k'), undefined, 'noop has no connection that could be without')
  for (const tls of [{ key: 'no key', passphrase: 'secret' }, { minVersion: 'TLSv9' as 'TLSv1.3' }, { ciphers: 'none' }]) {
    t.throws(() => new Client({ tls }), { name: 'MemcacheValueError', message: /^(?!.*secret)the option "tls" has something that Node cannot use: ./ }, Object.keys(tls).join())
  }
})

t.test('node:tls is loaded by those who use it, and by nobody else', async (t) => {
  const server = await startServer()
  t.teardown(() => server.close())
  const program = (tls: string): string => `
    import { Client } from './lib/index.ts'
    const client = new Client({ port: ${server.port}, connectTimeout: 200, ${tls} })
    await client.get('k').catch(() => {})
    await client.close()
    process.stdout.write(String(process.moduleLoadList.includes('NativeModule _tls_wrap')))`
  const run = (tls: string): string => execFileSync(...outsideTap(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program(tls)]), { cwd: root, encoding: 'utf8' })
  t.equal(run('tls: true'), 'true')
  t.equal(run(''), 'false')
})

t.test('nothing was left unhandled, nothing was warned of', async (t) => {
  t.same(unexpected, [])
})
