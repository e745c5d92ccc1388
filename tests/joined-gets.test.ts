import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { textProtocol } from '../drivers/text.ts'
import type { Request } from '../lib/commands.ts'
import { MemcacheClosedError, MemcacheProtocolError, MemcacheServerError, MemcacheSocketError, MemcacheTimeoutError } from '../lib/errors.ts'
import type { Client } from '../lib/client.ts'
import { wire } from '../lib/wire.ts'
import { failure, Opened, outcome, recovers } from './support/outcomes.ts'
import type { Peer } from './support/scripted-server.ts'
import { startMemcached, withoutMemcached } from './support/servers.ts'

/** Concurrent gets that travel as one: when they may, what they look like, and that each caller has his own result all the same. */

const opened = new Opened()
t.afterEach(() => opened.close())

type Item = string | undefined

interface Script {
  readonly version?: string | undefined
  /** What a key has; `undefined` is a miss. Default: its own name. */
  readonly item?: (key: string) => Item
  /** What is said to a line, in place of what a memcached would say. */
  readonly instead?: (line: string, peer: Peer) => string | undefined
}

/** A server that knows `get`, `gets`, `set` and `version`, and the lines that it was sent. */
async function serve(script: Script = {}): Promise<{ client: Client; lines: string[]; server: Awaited<ReturnType<Opened['scripted']>> }> {
  const { version = '1.6.18', item = (key) => key, instead } = script
  const lines: string[] = []
  const said = (line: string): string => {
    const [verb, ...keys] = line.split(' ')
    if (verb === 'version') return `VERSION ${version}\r\n`
    if (verb === 'set') return 'STORED\r\n'
    const values = keys.map((key) => [key, item(key)] as const)
    return `${values.map(([key, value]) => (value === undefined ? '' : `VALUE ${key} 0 ${value.length}${verb === 'gets' ? ' 7' : ''}\r\n${value}\r\n`)).join('')}END\r\n`
  }
  const server = await opened.scripted(async (peer) => {
    while (!peer.gone) {
      const line = (await peer.request()).split('\r\n')[0] as string
      lines.push(line)
      const reply = instead?.(line, peer) ?? said(line)
      if (reply !== '') peer.send(reply)
    }
  })
  return { client: opened.client(server), lines, server }
}

/** Makes the client ask what the server is, and wait for the answer. */
async function acquaint(client: Client): Promise<void> {
  await Promise.all(['w', 'x', 'y', 'z'].map((key) => client.get(key)))
  await client.get('last')
}

t.test('a server is asked what it is behind the first run of four, and answered gets are joined from then on', async (t) => {
  const { client, lines } = await serve({ item: (key) => (key.startsWith('miss') ? undefined : key) })
  await Promise.all([client.get('a'), client.get('b'), client.get('c')])
  t.same(lines, ['get a', 'get b', 'get c'], 'three are not worth the question')
  t.same(await Promise.all(['a', 'b', 'c', 'd'].map((key) => client.get(key))), ['a', 'b', 'c', 'd'])
  await client.get('alone')
  t.same(lines.splice(0), ['get a', 'get b', 'get c', 'get a', 'get b', 'get c', 'get d', 'version', 'get alone'])
  const keys = ['a', 'miss-1', 'b', 'a', 'miss-1', 'miss-2']
  t.same(await Promise.all(keys.map((key) => client.get(key))), ['a', undefined, 'b', 'a', undefined, undefined], 'duplicates and misses')
  t.same(lines.splice(0), ['get a miss-1 b a miss-1 miss-2'])
  t.equal(await client.get('alone'), 'alone')
  t.same(lines, ['get alone'])
})

t.test('the order of the calls is the order on the wire, and only what is alike is joined', async (t) => {
  const { client, lines } = await serve()
  await acquaint(client)
  lines.length = 0
  const results = await Promise.all([
    client.get('a'), client.get('b'), client.set('a', '1'), client.get('a'), client.gets('c'), client.gets('d'), client.get('e'), client.getMulti(['f', 'g']), client.get('h'), client.get('i'),
  ])
  t.same(lines, ['get a b', 'set a 0 0 1', 'get a', 'gets c d', 'get e', 'get f g', 'get h i'])
  t.same(results, ['a', 'b', true, 'a', { value: 'c', cas: 7n }, { value: 'd', cas: 7n }, 'e', new Map([['f', 'f'], ['g', 'g']]), 'h', 'i'])
  lines.length = 0
  const keys = Array.from({ length: 300 }, (_, place) => `k${place}`)
  t.same(await Promise.all(keys.map((key) => client.get(key))), keys)
  t.equal(lines.length, 3, 'at most 128 in one')
  lines.length = 0
  const long = Array.from({ length: 100 }, (_, place) => String(place).padStart(250, 'k'))
  t.same(await Promise.all(long.map((key) => client.get(key))), long, 'and lines of at most 16 KB')
  t.ok(lines.length === 2 && lines.every((line) => line.length + 2 <= 16_384))
})

t.test('deadlines and signals stay each caller\'s own', async (t) => {
  let silent = false
  const { client, lines } = await serve({ instead: (line) => (silent && line.startsWith('get') ? '' : undefined) })
  await acquaint(client)
  const own = new AbortController()
  const gone = AbortSignal.abort(new Error('before'))
  const calls = [client.get('a'), client.get('b', { signal: own.signal }), client.get('c', { signal: gone }), client.get('d', { signal: own.signal }), client.get('e')]
  own.abort(new Error('mine'))
  const outcomes = await Promise.all(calls.map(outcome))
  t.same(outcomes.map(({ value, error }) => (error as Error | undefined)?.message ?? value), ['a', 'mine', 'before', 'mine', 'e'])
  t.equal(lines.at(-1), 'get a e', 'who has given up is not asked for')
  silent = true
  const [first, second, third] = [client.get('a'), client.get('b', { timeout: 40 }), client.get('c', { timeout: 20_000 })].map(outcome)
  t.type((await second!).error, MemcacheTimeoutError)
  t.equal(lines.at(-1), 'get a b c')
  await client.close()
  for (const call of [first!, third!]) t.type((await call).error, MemcacheClosedError)
})

for (const [what, script] of Object.entries<Script>({
  'a kestrel': { version: '2.4.8-SNAPSHOT' },
  'an old kestrel': { version: '1.3.1' },
  'a darner': { version: '0.2.0' },
  'a siberite': { version: 'siberite-0.6.4' },
  'a moxi': { version: '${PRODUCT_VERSION}' },
  'who refuses': { instead: (line) => (line === 'version' ? 'ERROR\r\n' : undefined) },
  'who ignores the question': { instead: (line) => (line === 'version' ? '' : undefined) },
})) {
  t.test(`${what} is never sent a joined get, and asked no second time`, async (t) => {
    const { client, lines } = await serve(script)
    for (let round = 0; round < 3; round += 1) {
      const keys = Array.from({ length: 10 }, (_, place) => `${round}-${place}`)
      t.same(await Promise.all(keys.map((key) => client.get(key))), keys)
    }
    t.same(lines.filter((line) => line.split(' ').length > 2), [])
    t.equal(lines.filter((line) => line === 'version').length, 1)
  })
}

t.test('a server that closes when it is asked for its version is asked once, and not on the next connection', async (t) => {
  const { client, lines } = await serve({ instead: (line, peer) => (line === 'version' ? (peer.fin(), '') : undefined) })
  await Promise.allSettled(Array.from({ length: 10 }, (_, place) => client.get(`k${place}`)))
  for (let round = 0; round < 3; round += 1) {
    const keys = Array.from({ length: 10 }, (_, place) => `${round}-${place}`)
    t.same(await recovers(() => Promise.all(keys.map((key) => client.get(key)))), keys)
  }
  t.equal(lines.filter((line) => line === 'version').length, 1)
})

t.test('joinGets: false', async (t) => {
  const { server, lines } = await serve()
  const client = opened.client(server, { joinGets: false })
  const keys = Array.from({ length: 10 }, (_, place) => `k${place}`)
  for (let round = 0; round < 3; round += 1) t.same(await Promise.all(keys.map((key) => client.get(key))), keys)
  t.equal(lines.length, 30)
  t.ok(lines.every((line) => /^get k\d$/.test(line)))
})

t.test('a server that answers a key once, however often it is asked for: the others are asked again', async (t) => {
  const { client, lines } = await serve({
    instead: (line) => {
      const [verb, ...keys] = line.split(' ')
      return verb === 'get' ? `${[...new Set(keys)].map((key) => `VALUE ${key} 16 4\r\n${key.padEnd(4)}\r\n`).join('')}END\r\n` : undefined
    },
  })
  await acquaint(client)
  const values = (await Promise.all(['a', 'b', 'a', 'a'].map((key) => client.get<Buffer>(key)))) as Buffer[]
  t.same(values.map(String), ['a   ', 'b   ', 'a   ', 'a   '])
  values[0]!.fill('!')
  t.equal(String(values[2]), 'a   ', 'each has bytes of its own')
  t.same(lines.slice(-3), ['get a b a a', 'get a', 'get a'])
})

t.test('a proxy that answers in an order of its own, each key as often as it was asked for', async (t) => {
  const { client, lines, server } = await serve({
    instead(line) {
      const [verb, ...keys] = line.split(' ')
      return verb === 'get' ? `${keys.reverse().map((key, place) => `VALUE ${key} 0 ${key.length + 1}\r\n${key}${place % 10}\r\n`).join('')}END\r\n` : undefined
    },
  })
  await acquaint(client)
  const keys = ['a', 'b', 'a', 'c', 'b', 'a', 'd']
  t.same((await Promise.all(keys.map((key) => client.get<string>(key)))).map((value) => value?.[0]), keys)
  t.equal(lines.at(-1), 'get a b a c b a d')
  t.equal(server.peers.length, 1)
})

t.test('what cannot be in the reply ends the connection, and nobody gets what is another\'s', async (t) => {
  for (const wrong of ['VALUE other 0 1\r\n1\r\nEND\r\n', 'VALUE a 0 1\r\n12\r\nEND\r\n', 'STORED\r\n']) {
    let misled = false
    const { client, server } = await serve({ instead: (line) => (misled && line === 'get a b' ? wrong : undefined) })
    await acquaint(client)
    misled = true
    const errors = await Promise.all([failure(client.get('a')), failure(client.get('b'))])
    t.type(errors[0], MemcacheProtocolError, wrong)
    t.ok(errors[1] instanceof MemcacheSocketError && errors[1].sent && errors[1].command === 'get')
    t.equal(await client.get('c'), 'c')
    t.equal(server.peers.length, 2)
  }
})

t.test('what has come is given at once, whatever comes behind it', async (t) => {
  for (const behind of ['VALUE a 0 1\r\n1\r\nEND\r\n', 'VALUE c 0 1\r\n12\r\n', 'STORED\r\n']) {
    let reached = false
    const { client, lines, server } = await serve({
      instead(line, peer) {
        if (line !== 'get a b c d') return undefined
        peer.send('VALUE a 0 1\r\n1\r\nVALUE c 0 1\r\n3\r\n')
        setTimeout(() => {
          reached = true
          peer.send(behind)
        }, 50)
        return ''
      },
    })
    await acquaint(client)
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((key) => outcome(client.get(key)))
    t.same([(await a)!.value, (await c)!.value, reached], ['1', '3', false])
    t.type((await b)!.error, MemcacheProtocolError, behind)
    t.ok((await d)!.error instanceof MemcacheSocketError)
    t.equal(lines.at(-1), 'get a b c d')
    t.equal(await client.get('e'), 'e')
    t.equal(server.peers.length, 2)
  }
})

t.test('a server that ends no reply although all has come: the connection ends, and what is behind is told so', async (t) => {
  let stuck = false
  const { server } = await serve({
    instead(line, peer) {
      if (peer !== server.peers[0] || (line !== 'get a b' && !stuck)) return undefined
      if (stuck) return ''
      stuck = true
      return 'VALUE a 0 1\r\n1\r\nVALUE b 0 1\r\n2\r\n'
    },
  })
  const client = opened.client(server, { timeout: 200 })
  await acquaint(client)
  const [a, b, set, later] = [client.get('a'), client.get('b'), failure(client.set('k', 'v')), failure(client.get('c', { timeout: 2000 }))]
  t.same(await Promise.all([a, b]), ['1', '2'])
  for (const error of [await set, await later]) t.ok((error instanceof MemcacheTimeoutError || error instanceof MemcacheSocketError) && error.sent, error.message)
  await recovers(() => client.get('d'))
  t.equal(server.peers.length, 2)
})

t.test('a protocol that says nothing of what has come: it is given when the reply has ended', async (t) => {
  const { getMulti } = textProtocol.commands as { getMulti: { encode: never; decode: (request: Request<'getMulti'>, opaque: number) => never } }
  const driver = wire({ ...textProtocol, commands: { ...textProtocol.commands, getMulti: { encode: getMulti.encode, decode: (request: Request<'getMulti'>, opaque: number) => getMulti.decode(request, opaque) } } })
  const { server, lines } = await serve({ item: (key) => (key.startsWith('miss') ? undefined : key.repeat(20_000)) })
  const client = opened.client(server, { driver })
  await acquaint(client)
  const keys = ['a', 'miss', 'b', 'a', 'miss', 'c']
  const lengths = (await Promise.all(keys.map((key) => client.get<string>(key)))).map((value) => value && [value[0], value.length])
  t.same(lengths, [['a', 20_000], undefined, ['b', 20_000], ['a', 20_000], undefined, ['c', 20_000]])
  t.equal(lines.at(-1), 'get a miss b a miss c')
})

t.test('an end that comes late is waited for, whoever gave up before', async (t) => {
  const { server } = await serve({
    instead(line, peer) {
      if (line === 'get slow') setTimeout(() => peer.send('END\r\n'), 150)
      if (line === 'get behind') setTimeout(() => peer.send('END\r\nVALUE behind 0 1\r\n3\r\nEND\r\n'), 250)
      return line === 'get slow' || line === 'get behind' ? '' : line === 'get a b' ? 'VALUE a 0 1\r\n1\r\nVALUE b 0 1\r\n2\r\n' : undefined
    },
  })
  const client = opened.client(server, { timeout: 400 })
  await acquaint(client)
  await failure(client.get('slow', { timeout: 50 }))
  await sleep(600) // what the one that was given up had been granted is over
  await client.set('k', 'v', { timeout: 100 }) // at whose deadline the connection looks around, before the end comes
  t.same(await Promise.all([client.get('a'), client.get('b')]), ['1', '2'])
  t.equal(await client.get('behind'), '3')
  t.equal(server.peers.length, 1, 'on the same connection')
})

t.test('a joined get that is refused: each is asked for again alone, and none is joined any more', async (t) => {
  for (const [refusal, first] of [['SERVER_ERROR backend failure\r\n', 'a'], ['VALUE a 0 1\r\n1\r\nSERVER_ERROR timeout\r\n', '1']] as const) {
    const { client, lines, server } = await serve({
      instead: (line) => (line.split(' ').length > 2 && line.startsWith('get') ? refusal : line === 'get dead' ? 'SERVER_ERROR backend failure\r\n' : undefined),
    })
    await acquaint(client)
    lines.length = 0
    const outcomes = await Promise.all(['a', 'dead', 'b', 'a'].map((key) => outcome(client.get(key))))
    t.same(outcomes.map(({ value }) => value), [first, undefined, 'b', 'a'])
    t.type(outcomes[1]!.error, MemcacheServerError)
    t.same(lines, ['get a dead b a', ...(first === 'a' ? ['get a'] : []), 'get dead', 'get b', 'get a'], 'but what has come already')
    t.equal(server.peers.length, 2, 'it is not known where the refused reply ends')
    await Promise.allSettled(Array.from({ length: 20 }, (_, place) => client.get(`k${place}`)))
    t.same(lines.filter((line) => line.split(' ').length > 2), ['get a dead b a'])
  }
})

t.test('twemproxy answers what it has read, then closes: what is behind gets its reply, what comes later goes on the next connection', async (t) => {
  const { client, lines, server } = await serve({
    instead: (line, peer) => {
      if (line === 'set last 0 0 1') setTimeout(() => peer.fin(), 30)
      return line.split(' ').length > 2 && line.startsWith('get') ? 'SERVER_ERROR Connection refused\r\n' : line === 'get dead' ? 'SERVER_ERROR Connection refused\r\n' : undefined
    },
  })
  await acquaint(client)
  lines.length = 0
  const gets = ['a', 'dead', 'b'].map((key) => outcome(client.get(key)))
  const stores = [client.set('first', '1'), client.set('last', '1')]
  t.same(await Promise.all(stores), [true, true], 'no other command fails')
  const [a, dead, b] = await Promise.all(gets)
  t.same([a!.value, b!.value], ['a', 'b'])
  t.type(dead!.error, MemcacheServerError)
  t.same(lines, ['get a dead b', 'set first 0 0 1', 'set last 0 0 1', 'get a', 'get dead', 'get b'])
  t.equal(server.peers.length, 2)
})

t.test('what somebody has written to Object.prototype is no part of how a joined get is read', async (t) => {
  const { client, lines } = await serve({ item: (key) => (key === 'miss' ? undefined : key) })
  await acquaint(client)
  lines.length = 0
  for (const reply of [() => 'polluted', 'polluted']) {
    let results: unknown
    Object.defineProperty(Object.prototype, 'reply', { value: reply, configurable: true, writable: true })
    try {
      results = await outcome(Promise.all(['a', 'b', 'miss', 'd'].map((key) => client.get(key))))
    } finally {
      delete (Object.prototype as { reply?: unknown }).reply
    }
    t.match(results, { value: ['a', 'b', undefined, 'd'] }, typeof reply)
  }
  t.same(lines, ['get a b miss d', 'get a b miss d'])
})

t.test('given up on the connection on which they are asked again: one that never answers is not waited for', async (t) => {
  let asked = false
  const { server } = await serve({
    instead(line, peer) {
      if (peer !== server.peers[0]) return line === 'get behind' && server.peers.length > 2 ? undefined : '' // the second is silent
      if (line === 'get a b c d') asked = true
      return line === 'get a b c d' ? 'SERVER_ERROR no\r\n' : undefined
    },
  })
  const client = opened.client(server, { timeout: 300 })
  await acquaint(client)
  const control = new AbortController()
  const gets = ['a', 'b', 'c', 'd'].map((key) => failure(client.get(key, { signal: control.signal, timeout: 1000 })))
  while (server.peers.length < 2) await sleep(5)
  await sleep(50)
  t.ok(asked)
  control.abort()
  for (const error of await Promise.all(gets)) t.equal(error.name, 'AbortError')
  await recovers(() => client.get('behind'))
  t.equal(server.peers.length, 3, 'it has ended, and the next one answers')
})

t.test('replies that come in pieces, each of another connection in turn', async (t) => {
  const [readers, keys] = [4, Array.from({ length: 40 }, (_, place) => `a:key:that:is:like:others:${place}`)]
  const lacks = (reader: number, key: string): boolean => (key.length + key.charCodeAt(key.length - 1) + reader) % 5 === 0
  const replies: string[] = []
  const { client: first, server } = await serve({
    instead(line, peer) {
      const [verb, ...asked] = line.split(' ')
      if (verb !== 'get' || asked.length < 3) return undefined
      const found = asked.filter((key) => !lacks(peer.index, key)).map((key) => `VALUE ${key} 0 ${key.length + 2}\r\n${peer.index}:${key}\r\n`)
      replies[peer.index] = `${found.join('')}END\r\n`
      return ''
    },
  })
  const clients = [first, ...Array.from({ length: readers - 1 }, () => opened.client(server))]
  for (const client of clients) await acquaint(client)
  for (const size of [1, 7, 33, 100, 1000]) {
    replies.length = 0
    const calls = clients.map((client, reader) => (reader % 2 === 0 ? client.getMulti(keys) : Promise.all(keys.map(async (key) => [key, await client.get(key)] as const)).then((pairs) => new Map(pairs))))
    while (Object.keys(replies).length < readers) await sleep(1)
    for (let at = 0; replies.some((reply) => at < reply.length); at += size) {
      for (const [reader, reply] of replies.entries()) server.peers[reader]!.send(reply.slice(at, at + size))
      if (at % 5 === 0) await sleep(0)
    }
    for (const [reader, results] of (await Promise.all(calls)).entries()) {
      const expected = keys.map((key) => (lacks(reader, key) ? undefined : `${reader}:${key}`))
      t.same(keys.map((key) => results.get(key)), expected, `pieces of ${size} bytes, connection ${reader}`)
    }
  }
})

t.test('on a real memcached, one call in many turns beside the others', { skip: withoutMemcached }, async (t) => {
  const server = await startMemcached()
  const client = opened.client(server)
  const keys = Array.from({ length: 500 }, (_, place) => `key-${place}`)
  await client.setMulti(keys.filter((_, place) => place % 3 > 0).map((key) => [key, { key, text: key.repeat(place(key) % 50) }]))
  for (let round = 0; round < 20; round += 1) {
    const picked = Array.from({ length: 200 }, (_, place_) => keys[(place_ * 7 + round * 13) % keys.length] as string)
    const before = Number((await client.stats()).get('cmd_get'))
    const found = await Promise.all(picked.map((key) => client.get<{ key: string }>(key)))
    t.same(found.map((value) => value?.key), picked.map((key) => (place(key) % 3 > 0 ? key : undefined)))
    t.equal(Number((await client.stats()).get('cmd_get')) - before, 200)
  }
  await client.close()
  await server.stop()

  function place(key: string): number {
    return Number(key.slice(4))
  }
})
