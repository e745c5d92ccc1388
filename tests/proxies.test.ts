import t from 'tap'
import { meta } from '../drivers/meta.ts'
import { Client, MemcacheClientError, MemcacheDriverError, MemcacheServerError, MemcacheSocketError } from '../lib/index.ts'
import { failure, Opened, outcome, random } from './support/outcomes.ts'
import { conversations, playConversation } from './support/recorded-conversations.ts'
import type { Peer } from './support/scripted-server.ts'

/** Proxies that cannot be run here: every recording of one, and what they say where nothing was recorded. */

const opened = new Opened()
t.teardown(() => opened.close())

t.test('every recording: a client of ours makes of it what it says, or would not have asked that', { timeout: 60_000 }, async (t) => {
  const played = new Map<string, number>()
  const why = new Map<string, number>()
  for (const recording of conversations('proxies.jsonl')) {
    const name = `${recording.server}: ${recording.case}`
    const { problems, reasons, count } = await playConversation(recording)
    for (const problem of problems) t.fail(`${name}: ${problem}`)
    for (const reason of reasons) why.set(reason, (why.get(reason) ?? 0) + 1)
    t.ok(count > 0 || reasons.length > 0, `${name}: ${count > 0 ? `${count} turns` : reasons[0]}`)
    const kind = recording.server.split(/[-/]/)[0]!
    played.set(kind, (played.get(kind) ?? 0) + count)
  }
  for (const kind of ['twemproxy', 'memcached', 'moxi']) t.ok((played.get(kind) ?? 0) > 75, `${played.get(kind)} turns with ${kind}`)
  for (const [reason, count] of why) t.comment(`${count} turns: ${reason}`)
})

/** How a proxy answers a `get`, of keys whose names say on which server they are: those on the dead one begin with `d`, misses with `m`. */
type GetAnswer = (keys: readonly string[], peer: Peer) => string

const FAILURE = 'SERVER_ERROR backend failure\r\n'
const isDead = (key: string): boolean => key.startsWith('d')
const valueOf = (key: string): string => (key.startsWith('m') ? '' : `VALUE ${key} 0 ${key.length}\r\n${key}\r\n`)
const closing = (peer: Peer): void => void setImmediate(() => peer.fin())

const PROXIES: { readonly [name: string]: GetAnswer } = {
  "memcached's": (keys) =>
    keys.length === 1 && isDead(keys[0]!) ? FAILURE : `${keys.map((key) => (isDead(key) ? FAILURE : valueOf(key))).join('')}END\r\n`,
  twemproxy: (keys, peer) => {
    if (!keys.some(isDead)) return `${keys.map(valueOf).join('')}END\r\n`
    if (keys.length > 1) closing(peer)
    return 'SERVER_ERROR Connection refused\r\n'
  },
  mcrouter: (keys) => keys.filter((key) => !isDead(key)).map(valueOf).join('') + (keys.some(isDead) ? 'SERVER_ERROR connection error\r\n' : 'END\r\n'),
}

/** A proxy for which there are only `get`, `version` and `set`. */
function speaking(answer: GetAnswer): (peer: Peer) => Promise<void> {
  return async (peer) => {
    while (!peer.gone) {
      const request = await peer.request()
      const [verb, ...keys] = request.trimEnd().split(' ')
      peer.send(verb === 'get' ? answer(keys, peer) : verb === 'version' ? 'VERSION 1.6.45\r\n' : 'STORED\r\n')
    }
  }
}

for (const [name, answer] of Object.entries(PROXIES)) {
  t.test(`${name} proxy, one of its servers dead`, async (t) => {
    const client = opened.client(await opened.scripted(speaking(answer)))
    const keys = Array.from({ length: 150 }, (_, place) => `${['a', 'd', 'b', 'm'][place % 4]}-${place}`)
    for (let round = 0; round < 3; round += 1) {
      const outcomes = await Promise.all(keys.map((key) => outcome(client.get(key))))
      for (const [place, key] of keys.entries()) {
        const { value, error } = outcomes[place]!
        if (isDead(key)) t.ok(error instanceof MemcacheServerError && error.command === 'get' && error.sent, `${key}: ${String(error ?? value)}`)
        else if (error !== undefined || value !== (key.startsWith('m') ? undefined : key)) t.fail(`${key} has its own result`, { value, error })
      }
      await client.version() // from now on it may know what it talks to
    }
    const [multi, behind] = await Promise.all([failure(client.getMulti(['a', 'd', 'm', 'b'])), outcome(client.set('k', 'v'))])
    t.ok(multi instanceof MemcacheServerError && multi.command === 'getMulti', 'some keys of several: an error, not a miss')
    t.ok(behind.value === true || behind.error instanceof MemcacheSocketError, 'and what is behind it has its own answer or none')
    t.same([...(await client.getMulti(['b', 'm', 'a']))], [['b', 'b'], ['a', 'a']], 'others go on')
    const several = Array.from({ length: 60 }, (_, place) => `${place === 50 ? 'd' : 'a'}-${place}`.padEnd(200, '-'))
    t.type(await failure(client.getMulti(several)), MemcacheServerError, 'in one of several lines')
    t.equal(await client.get('a'), 'a')
  })
}

t.test('refusals as mcrouter words them', async (t) => {
  const words = [
    'SERVER_ERROR timeout', 'SERVER_ERROR connection timeout', 'SERVER_ERROR connection error', 'SERVER_ERROR 307 busy', 'SERVER_ERROR 302 try again', 'SERVER_ERROR 301 shutdown',
    'SERVER_ERROR unavailable', 'SERVER_ERROR request deadline exceeded', 'SERVER_ERROR local error', 'SERVER_ERROR remote error', 'SERVER_ERROR Command disabled',
    'SERVER_ERROR Server unavailable. Reason: TKO', 'CLIENT_ERROR bad command', 'CLIENT_ERROR bad key',
  ]
  let line = ''
  const client = opened.client(await opened.scripted(async (peer) => {
    for (;;) peer.send((await peer.request()) === 'version\r\n' ? 'VERSION mcrouter 1.0\r\n' : `${line}\r\n`)
  }))
  const calls = { get: () => client.get('k'), gets: () => client.gets('k'), set: () => client.set('k', 'v'), delete: () => client.delete('k'), incr: () => client.incr('k'), touch: () => client.touch('k', 1), flushAll: () => client.flushAll() }
  for (line of words) {
    for (const [command, call] of Object.entries(calls)) {
      const error = await failure(call())
      t.ok(error instanceof (line.startsWith('S') ? MemcacheServerError : MemcacheClientError) && error.message === line && error.command === command, `${command}: ${line}`)
      t.equal(await client.version(), 'mcrouter 1.0')
    }
  }
})

t.test('whatever stands in a reply to many keys, no key is said to be a miss that is none', { timeout: 60_000 }, async (t) => {
  const next = random(11)
  const below = (most: number): number => Math.floor(next() * most)
  let reply = { bytes: '', closes: false }
  const server = await opened.scripted(async (peer) => {
    while (!peer.gone) {
      const request = await peer.request()
      if (!request.startsWith('get a b c d e')) peer.send(request === 'get z\r\n' ? 'VALUE z 0 1\r\nz\r\nEND\r\n' : 'VERSION 1.6.45\r\n')
      else if (next() < 0.5) peer.send(reply.bytes)
      else await peer.pieces(reply.bytes)
      if (request.startsWith('get a') && reply.closes) return peer.fin()
    }
  })
  for (let round = 0; round < 300; round += 1) {
    const client = new Client({ port: server.port, timeout: 5000 })
    const kinds = ['a', 'b', 'c', 'd', 'e'].map((key) => ({ key, kind: ['hit', 'hit', 'miss', 'SERVER_ERROR backend failure', 'CLIENT_ERROR key too long', 'ERROR'][below(next() < 0.3 ? 6 : 3)]! }))
    const order = next() < 0.5 ? kinds : kinds.toSorted(() => next() - 0.5)
    const said = order.map(({ key, kind }) => (kind === 'hit' ? valueOf(key) : kind === 'miss' ? '' : `${kind}\r\n`)).join('')
    const failed = kinds.some(({ kind }) => kind.includes('ERROR'))
    const end = failed ? ['END\r\n', '', 'SERVER_ERROR timeout\r\n'][below(3)]! : 'END\r\n'
    reply = { bytes: said + end, closes: failed && next() < 0.3 }
    const [many, behind] = await Promise.all([outcome(client.getMulti(kinds.map(({ key }) => key))), outcome(client.get('z'))])
    const hits = kinds.filter(({ kind }) => kind === 'hit').map(({ key }) => [key, key])
    const right = failed ? many.error instanceof MemcacheDriverError && many.error.command === 'getMulti' : JSON.stringify([...((many.value ?? []) as Map<string, string>)].sort()) === JSON.stringify(hits)
    const next2 = failed ? behind.value === 'z' || behind.error instanceof MemcacheSocketError : behind.value === 'z'
    if (!right || !next2) t.fail(JSON.stringify(reply), { many, behind })
    const after = await client.get('z').catch((error: unknown) => error)
    if (after !== 'z' && !(reply.closes && after instanceof MemcacheSocketError)) t.fail(`${JSON.stringify(reply)}: then`, { after })
    await client.close()
  }
  t.pass('300 replies')
})

t.test('meta: the end of a reply to many keys is certain', async (t) => {
  const failing = (request: string): string => {
    const lines = request.split('\r\n').filter((line) => line.startsWith('mg '))
    return `${lines.map((line) => {
      const [, key = '', ...flags] = line.split(' ')
      const opaque = flags.find((flag) => flag.startsWith('O')) ?? ''
      return isDead(key) ? FAILURE : `VA ${key.length}${flags.filter((flag) => /^[fcO]/.test(flag)).map((flag) => ` ${flag === 'f' ? 'f0' : flag === 'c' ? 'c1' : opaque}`).join('')}\r\n${key}\r\n`
    }).join('')}${request.endsWith('mn\r\n') ? 'MN\r\n' : ''}`
  }
  const server = await opened.scripted(async (peer) => {
    for (;;) {
      const request = await peer.request()
      peer.send(request.startsWith('version') ? 'VERSION 1.6.45\r\n' : failing(request))
    }
  })
  const client = opened.client(server, { driver: meta })
  const [first, many, behind] = await Promise.all([outcome(client.get('a')), failure(client.getMulti(['a', 'd', 'b'])), outcome(client.get('b'))])
  t.equal(first.value, 'a')
  t.ok(many instanceof MemcacheServerError && many.command === 'getMulti', String(many))
  t.equal(behind.value, 'b', 'MN has ended it, and the connection goes on')
  t.equal(server.peers.length, 1)
})
