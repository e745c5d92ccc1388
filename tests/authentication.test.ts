import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import { memjs } from '../drivers/memjs.ts'
import { binary, Client, MemcacheAuthError, MemcacheError, MemcacheSocketError, meta, noop, text, wire, wrap, type ClientOptions, type DriverFactory, type Protocol } from '../lib/index.ts'
import { startServer } from '../lib/testing/index.ts'
import { failure, Opened, outcome, PATIENT, recovers, SLACK, unhandled } from './support/outcomes.ts'
import { packet, packetsIn, type PacketParts } from './support/packets.ts'
import type { Peer } from './support/scripted-server.ts'
import { installed, startMemcached, withoutMemcached, type RealServer } from './support/servers.ts'

/** Authentication: SASL on memcached with `-S`, ASCII authentication with `-Y`, and what can go wrong on the way. */

/** A driver, and what a server sees of its authentication. */
interface Way {
  readonly name: string
  readonly driver: DriverFactory
  /** What memcached is called with. */
  readonly binary: boolean
  /** What a server asks back, and what it answers to right credentials. */
  readonly answers: (request: string) => string
}

const ada = { username: 'ada', password: 'pässword' }
const SECRETS = /pässword|p\\u00e4ssword|ssword|c3NlY3/

const ASCII = {
  binary: false,
  answers: (request: string) => (request === 'version\r\n' ? 'CLIENT_ERROR unauthenticated\r\n' : 'STORED\r\n'),
}
const SASL = { binary: true, answers: saslAnswer }
const WAYS: readonly Way[] = [
  { name: 'text', driver: text, ...ASCII },
  { name: 'meta', driver: meta, ...ASCII },
  { name: 'binary', driver: binary, ...SASL },
  { name: 'memjs', driver: memjs, ...SASL },
]

function reply(parts: PacketParts): string {
  return packet(parts)
}

function saslAnswer(request: string): string {
  const { opcode = 0, opaque = 0 } = packetsIn(request)?.[0] ?? {}
  return opcode === 0x20 ? reply({ opcode, opaque, value: 'CRAM-MD5 PLAIN' }) : reply({ opcode, opaque, value: 'Authenticated' })
}

/** The value of what was asked, in either protocol: to `version`, which is asked behind the handshake. */
function versionAnswer({ binary }: Way, request: string): string {
  const { opaque = 0 } = packetsIn(request)?.[0] ?? {}
  return binary ? reply({ opcode: 0x0b, opaque, value: '1' }) : 'VERSION 1\r\n'
}

/** A server that lets everybody in, and answers `version`. */
async function wellBehaved(way: Way, peer: Peer): Promise<void> {
  for (let count = 0; ; count += 1) {
    const request = await peer.request()
    peer.send(count < 2 ? way.answers(request) : versionAnswer(way, request))
  }
}

const unexpected = unhandled()
const opened = new Opened()
const folder = mkdtempSync(join(tmpdir(), 'ermc-auth-'))
t.teardown(async () => {
  await opened.close()
  rmSync(folder, { recursive: true })
})

const SASLPASSWD = '/usr/sbin/saslpasswd2'
const withoutSasl: string | false = installed('saslpasswd2') || installed(SASLPASSWD) ? false : 'saslpasswd2 (sasl2-bin) is not installed'

/** Starts a memcached that asks these for credentials. */
async function startAsking(t: Test, binary: boolean, users: Readonly<Record<string, string>>): Promise<RealServer> {
  const server = binary ? await startSasl(users) : await startAscii(users)
  t.teardown(() => server.stop())
  return server
}

function startAscii(users: Readonly<Record<string, string>>): Promise<RealServer> {
  const file = join(folder, 'users')
  writeFileSync(file, Object.entries(users).map(([name, password]) => `${name}:${password}\n`).join(''))
  return startMemcached(['-Y', file])
}

/** Cyrus looks for its settings where SASL_CONF_PATH says, and takes the mechanisms and users from there. */
async function startSasl(users: Readonly<Record<string, string>>): Promise<RealServer> {
  const database = join(folder, 'sasldb2')
  writeFileSync(join(folder, 'memcached.conf'), `mech_list: plain cram-md5\npwcheck_method: auxprop\nsasldb_path: ${database}\n`)
  for (const [name, password] of Object.entries(users)) {
    execFileSync(installed('saslpasswd2') ? 'saslpasswd2' : SASLPASSWD, ['-p', '-c', '-a', 'memcached', '-f', database, name], { input: password })
  }
  process.env['SASL_CONF_PATH'] = folder
  try {
    return await startMemcached(['-S'])
  } finally {
    delete process.env['SASL_CONF_PATH']
  }
}

/** No credential is in what a log would show of these. */
function silent(t: Test, ...shown: readonly unknown[]): void {
  const said = inspect(shown, { depth: 12, showHidden: true, getters: true }) + JSON.stringify(shown) + shown.map((each) => (each instanceof Error ? `${each.message}${each.stack}` : '')).join('')
  t.notMatch(said, SECRETS)
}

for (const real of [false, true]) {
  t.test(real ? 'on the real memcached' : 'on the embedded server', { skip: real && (withoutMemcached || withoutSasl) }, async (t) => {
    const long = 'ü'.repeat(100) // memcached's files have lines of 256 bytes
    const users = { ada: ada.password, long }
    for (const way of WAYS) {
      const server = real
        ? await startAsking(t, way.binary, users)
        : await startServer({ protocol: way.binary ? 'binary' : 'ascii', auth: users })
      const { name, driver } = way
      const client = opened.client(server, { driver, ...ada })
      t.same(await Promise.all([client.set('k', 'v'), client.get('k'), client.incr('n', 1, { initial: 5 })]), [true, 'v', 5], `${name}: many at once`)
      await client.connect({ reconnect: true })
      t.equal(await client.get('k'), 'v', `${name}: again on a new connection`)
      t.equal(await client.get('auth'), undefined, `${name}: no item of the name that the credentials are sent by`)

      t.equal(await opened.client(server, { driver, username: 'long', password: long }).get('k'), 'v', `${name}: bytes count, not characters`)

      const other = new Client(`memcached://ada:p%C3%A4ssword@127.0.0.1:${server.port}`, { driver })
      t.equal(await other.get('k'), 'v', `${name}: by a URL, percent-encoded`)
      await other.close()

      for (const wrong of [{ ...ada, password: 'pässwort' }, { ...ada, username: 'bob' }]) {
        const stranger = opened.client(server, { driver, ...wrong })
        const events: unknown[] = []
        stranger.on('connect', () => events.push('connect')).on('disconnect', () => events.push('disconnect'))
        const errors = await Promise.all([failure(stranger.get('k')), failure(stranger.set('k', 1)), failure(stranger.connect()), failure(stranger.getMulti(['a', 'b']))])
        const behind = await failure(stranger.get('k'))
        for (const error of errors) t.match(error, { name: 'MemcacheAuthError', code: 'ERR_MEMCACHE_AUTH', sent: false, message: /^cannot authenticate at 127\.0\.0\.1:\d+: / }, `${name}: every waiting call`)
        t.match(behind, { name: 'MemcacheAuthError', sent: false, message: /no new attempt for \d+ ms/ }, `${name}: and those in the pause`)
        silent(t, stranger, errors, behind)
        t.same(events, [])
      }
      t.equal(await client.get('k'), 'v')

      const nobody = opened.client(server, { driver })
      const errors = await Promise.all([failure(nobody.get('k')), failure(nobody.get('l')), failure(nobody.set('k', 'changed'))])
      for (const error of errors) t.match(error, { name: 'MemcacheAuthError', sent: true }, `${name}: no credentials where they are asked for`)
      t.match(await failure(nobody.get('k')), { name: 'MemcacheAuthError', sent: false, message: /no new attempt/ })
      t.equal(await client.get('k'), 'v')
      silent(t, client, server)
      if ('close' in server) await server.close()
    }
  })

  t.test(`a server that does not ask is not told, ${real ? 'the real memcached' : 'the embedded server'}`, { skip: real && withoutMemcached }, async (t) => {
    const server = real ? await startMemcached() : await startServer()
    t.teardown(() => ('close' in server ? server.close() : server.stop()))
    for (const { name, driver } of WAYS) {
      const errors = await Promise.all([failure(opened.client(server, { driver, ...ada }).get('auth')), failure(opened.client(server, { driver, ...ada }).connect())])
      for (const error of errors) t.match(error, { name: 'MemcacheAuthError', sent: false, message: /does not ask for credentials/ }, name)
    }
    const stats = await opened.client(server).stats()
    t.equal(stats.get('cmd_set'), '0', 'nothing was stored')
    t.equal(stats.get('auth_cmds'), '0', 'and nothing tried')
  })
}

t.test('the other kind of server: an error within the deadline', { skip: withoutMemcached || withoutSasl }, async (t) => {
  for (const way of WAYS) {
    const server = await startAsking(t, !way.binary, { ada: ada.password })
    for (const credentials of [ada, {}]) {
      const { error, took } = await outcome(opened.client(server, { driver: way.driver, connectTimeout: 300, timeout: 400, ...credentials }).get('k'))
      t.type(error, MemcacheError, `${way.name}: ${error?.message}`)
      t.ok(error instanceof MemcacheSocketError || error instanceof MemcacheAuthError, way.name)
      t.ok(took < 400 + SLACK)
      silent(t, error)
    }
  }
})

t.test('what is sent, in which order, and nothing before it is done', async (t) => {
  for (const way of WAYS) {
    const asked: string[][] = []
    const server = await opened.scripted(async (peer) => {
      const own: string[] = []
      asked.push(own)
      for (let count = 0; ; count += 1) {
        const request = await peer.request()
        await new Promise((resolve) => setTimeout(resolve, 20)) // what is sent too early would be here by now
        own.push(peer.received)
        peer.received = ''
        peer.send(count < 2 ? way.answers(request) : versionAnswer(way, request))
      }
    })
    const client = opened.client(server, { driver: way.driver, ...ada })
    t.equal(client.isConnected(), false)
    const first = client.version()
    t.equal(await first, '1', way.name)
    const [handshake = []] = asked
    const [probe = '', credentials = '', command = ''] = handshake
    if (way.binary) {
      t.match(packetsIn(probe), [{ opcode: 0x20, key: '' }])
      t.match(packetsIn(credentials), [{ opcode: 0x21, key: 'PLAIN', value: '\0ada\0p\xc3\xa4ssword' }])
      t.match(packetsIn(command), [{ opcode: 0x0b }])
    } else {
      t.same([probe, credentials, command], ['version\r\n', 'set auth 0 0 13\r\nada p\xc3\xa4ssword\r\n', 'version\r\n'])
    }
    t.equal(client.isConnected(), true)
  }
})

t.test('a handshake that is cut at every byte, by FIN and RST', async (t) => {
  for (const way of WAYS) {
    const lengths = way.binary ? [0, 1, 23, 24, 30, 38] : Array.from({ length: 31 }, (_, length) => length)
    for (const step of [0, 1]) {
      for (const end of ['fin', 'reset'] as const) {
        for (const length of lengths) {
          const server = await opened.scripted(async (peer) => {
            if (peer.index > 0) return wellBehaved(way, peer)
            for (let count = 0; count <= step; count += 1) {
              const answer = way.answers(await peer.request())
              peer.send(count < step ? answer : answer.slice(0, Math.min(length, answer.length - 1)))
            }
            peer[end]()
          })
          const client = opened.client(server, { driver: way.driver, ...ada })
          const errors = await Promise.all([failure(client.version()), failure(client.get('k'))])
          for (const error of errors) t.match(error, { name: 'MemcacheSocketError', sent: false, message: /./ }, `${way.name}: ${end} at ${length} of answer ${step}`)
          t.equal(await recovers(() => client.version(PATIENT)), '1', 'the next connection authenticates anew')
          await client.close()
        }
      }
    }
  }
})

t.test('a handshake that drips, stalls, babbles', async (t) => {
  for (const way of WAYS) {
    const dripping = await opened.scripted(async (peer) => {
      for (let count = 0; count < 2; count += 1) await peer.drip(way.answers(await peer.request()))
      for (;;) peer.send(versionAnswer(way, await peer.request()))
    })
    t.equal(await opened.client(dripping, { driver: way.driver, ...ada }).version(), '1', `${way.name}: drop by drop`)

    for (let at = 1; at < 40; at += 1) {
      const halting = await opened.scripted(async (peer) => {
        for (let count = 0; count < 2; count += 1) {
          const answer = way.answers(await peer.request())
          await peer.pieces([answer.slice(0, at), answer.slice(at)])
        }
        for (;;) peer.send(versionAnswer(way, await peer.request()))
      })
      const client = opened.client(halting, { driver: way.driver, ...ada })
      t.equal(await client.version(), '1', `${way.name}: in two pieces, cut at ${at}`)
      await client.close()
    }

    for (const step of [0, 1]) {
      const stalling = await opened.scripted(async (peer) => {
        for (let count = 0; count < step; count += 1) peer.send(way.answers(await peer.request()))
      })
      const late = await outcome(opened.client(stalling, { driver: way.driver, connectTimeout: 120, ...ada }).get('k'))
      t.match(late.error, { name: 'MemcacheTimeoutError', sent: false, message: /no connection to .* within 120 ms/ }, `${way.name}: step ${step} counts in connectTimeout`)
      const client = opened.client(stalling, { driver: way.driver, ...ada })
      t.match(await failure(client.get('k', { timeout: 20 })), { name: 'MemcacheTimeoutError', sent: false }, "and a call's own timeout holds")
      t.match(await failure(client.get('k', { signal: AbortSignal.timeout(20) })), { name: 'TimeoutError' }, 'as does a signal')
      const pending = failure(client.get('k'))
      await client.close()
      t.match(await pending, { name: 'MemcacheClosedError', sent: false })
    }

    const answers = way.answers.bind(way)
    const garbage = ['garbage\r\n', '\0', 'HTTP/1.1 400 Bad Request\r\n', 'END\r\n', reply({ opcode: 0x0a }), reply({ opcode: 0x21, status: 0x21, value: 'go on' }), 'VALUE k 0 1\r\nv\r\n', 'x'.repeat(70_000), 'ERROR\r\n', 'SERVER_ERROR busy\r\n']
    for (const bad of garbage) {
      for (const step of [0, 1]) {
        const server = await opened.scripted(async (peer) => {
          if (peer.index > 0) return wellBehaved(way, peer)
          for (let count = 0; count < step; count += 1) peer.send(answers(await peer.request()))
          await peer.request()
          peer.send(bad)
        })
        const client = opened.client(server, { driver: way.driver, connectTimeout: 500, ...ada })
        const errors = await Promise.all([failure(client.version()), failure(client.get('k'))])
        for (const error of errors) {
          t.ok(error instanceof MemcacheSocketError || error instanceof MemcacheAuthError, `${way.name}: ${error.name}: ${error.message}`)
          t.equal(error.sent, false)
          t.equal(error.server, `127.0.0.1:${server.port}`)
        }
        silent(t, errors)
        t.equal(await recovers(() => client.version(PATIENT)), '1')
        await client.close()
      }
    }

    const eager = await opened.scripted(async (peer) => {
      const probe = way.answers(await peer.request())
      peer.send(probe + (way.binary ? reply({ opcode: 0x21, value: 'Authenticated' }) : 'STORED\r\n'))
    })
    t.match(await failure(opened.client(eager, { driver: way.driver, ...ada }).get('k')), { name: 'MemcacheProtocolError', message: /nobody asked for/ }, 'an answer that comes before its question is none')
    t.notMatch(eager.received, /ssword/, 'so that the password stays here')
  }
})

t.test('no storm: a refusal is not asked for again at once', async (t) => {
  for (const way of WAYS) {
    for (const credentials of [ada, {}]) {
      const server = await opened.scripted(async (peer) => {
        const request = await peer.request()
        peer.send(way.binary ? refusedPacket(request) : await refuseInText(peer, request))
      })
      const client = opened.client(server, { driver: way.driver, ...credentials })
      const until = performance.now() + 600
      const names = new Set<string>()
      let calls = 0
      for (; performance.now() < until; calls += 1) {
        names.add((await failure(client.get('k'))).name)
        await nextTurn()
      }
      t.same([...names], ['MemcacheAuthError'], way.name)
      t.ok(server.peers.length <= 4, `${way.name}: ${server.peers.length} connections for ${calls} calls in 600 ms`)
    }
  }
})

function refusedPacket(request: string): string {
  const { opcode = 0, opaque = 0 } = packetsIn(request)?.[0] ?? {}
  return reply({ opcode, opaque, status: 0x20, value: 'Auth failure.' })
}

async function refuseInText(peer: Peer, request: string): Promise<string> {
  if (request !== 'version\r\n') return 'CLIENT_ERROR unauthenticated\r\n'
  peer.send('CLIENT_ERROR unauthenticated\r\n')
  await peer.request()
  return 'CLIENT_ERROR authentication failure\r\n'
}

t.test('a server with other mechanisms says which', async (t) => {
  const server = await opened.scripted(async (peer) => {
    await peer.request()
    peer.send(reply({ opcode: 0x20, value: 'CRAM-MD5 SCRAM-SHA-1' }))
  })
  for (const driver of [binary, memjs]) {
    t.match(await failure(opened.client(server, { driver, ...ada }).get('k')), { name: 'MemcacheAuthError', message: /PLAIN.*CRAM-MD5 SCRAM-SHA-1/ })
  }
  t.notMatch(server.received, /ssword/)
})

t.test('credentials that cannot be said, and drivers that cannot say them', async (t) => {
  const cannot: readonly (readonly [ClientOptions, RegExp, ...DriverFactory[]])[] = [
    [{ username: 'ada' }, /no password/], [{ password: 'secret' }, /no username/], [{ username: '', password: 'secret' }, /username is empty/], [{ username: 'ada', password: '' }, /password is empty/],
    [{ username: 'ada', password: 'sec\0ret' }, /password .*NUL/], [{ username: 'a\0da', password: 'secret' }, /username .*NUL/], [{ username: 'ada', password: 'secret\r\nflush_all' }, /password/], [{ username: 'ada', password: 'secret\ud800' }, /surrogate/],
    [{ username: 'ada', password: 'sec ret' }, /password .*blank/, text, meta], [{ username: 'a da', password: 'secret' }, /username .*blank/, text, meta],
    [{ username: 5 as unknown as string, password: 'secret' }, /username/], [{ username: 'ada', password: ['secret'] as unknown as string }, /password/],
  ]
  for (const [options, why, ...drivers] of cannot) {
    for (const driver of drivers.length === 0 ? [text, meta, binary, memjs, noop] : drivers) {
      t.throws(() => new Client({ driver, ...options }), { name: 'MemcacheValueError', message: why })
      t.throws(() => new Client({ driver, ...options }), { message: /^(?!.*(?:secret|sec|a.?da))/ }, 'neither is in the message')
    }
  }
  t.doesNotThrow(() => new Client({ driver: binary, username: 'a da', password: 'sec ret' }), 'SASL has no trouble with blanks')
  const { authenticate: _, ...without }: Protocol<string> = { ...(await bare()) }
  for (const driver of [wire(without), wrap('mine', () => ({ commands: {}, close() {} }))]) {
    t.throws(() => new Client({ driver, ...ada }), { name: 'MemcacheUnsupportedError', message: /username/ })
    t.doesNotThrow(() => new Client({ driver }))
  }
  t.equal(await new Client({ driver: noop, ...ada }).get('k'), undefined, 'noop has nobody to tell')
})

/** A protocol that has nothing but what it must have. */
async function bare(): Promise<Protocol<string>> {
  return { name: 'bare', commands: {}, frame: () => undefined, unasked: () => new MemcacheAuthError('?'), usableAfter: () => false }
}

t.test('connections of queues authenticate, too', async (t) => {
  const answers: Readonly<Record<string, string>> = { 'version\r\n': 'CLIENT_ERROR unauthenticated\r\n' }
  const server = await opened.scripted(async (peer) => {
    for (let taken = false; ; ) {
      const request = await peer.request()
      const job: boolean = /^get jobs\S*open/.test(request) && !taken
      taken ||= job
      peer.send(answers[request] ?? (request.startsWith('set auth ') ? 'STORED\r\n' : job ? 'VALUE jobs 0 1\r\nj\r\nEND\r\n' : 'END\r\n'))
    }
  })
  const client = opened.client(server, ada)
  for await (const job of client.queue('jobs', { codec: 'string' }).consume()) {
    t.equal(job.value, 'j')
    break
  }
  await client.close()
  t.ok(server.peers.length > 0)
  for (const { received } of server.peers) t.match(received, /^version\r\nset auth 0 0 13\r\n/)
})

t.test('nothing was left unhandled, nothing was warned of', async (t) => {
  t.same(unexpected, [])
})
