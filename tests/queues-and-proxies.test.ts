import t from 'tap'
import {
  Client,
  MemcacheClientError,
  MemcacheError,
  MemcacheProtocolError,
  MemcacheServerError,
  MemcacheSocketError,
  type ClientOptions,
} from '../lib/index.ts'
import { rejection as failure } from '../lib/testing/contract/rejection.ts'
import { conversations, playConversation, playing, type Answer } from './support/recorded-conversations.ts'
import { startScripted as start, type Peer, type ScriptedServer } from './support/scripted-server.ts'

/** The ordinary client on queue servers and behind proxies, whose recorded answers are played by a scripted server. */

const opened: { close(): Promise<void> }[] = []
t.teardown(() => Promise.all(opened.map((each) => each.close())))

async function startScripted(script: (peer: Peer) => void | Promise<void>): Promise<ScriptedServer> {
  const server = await start(script)
  opened.push(server)
  return server
}

function clientOf({ port }: ScriptedServer, options: ClientOptions = {}): Client {
  const client = new Client({ port, timeout: 3000, ...options })
  opened.push(client)
  return client
}

t.test('answers that memcached does not give', async (t) => {
  const cases: readonly (readonly [what: string, answer: Answer, call: (client: Client) => Promise<unknown>, result: unknown])[] = [
    ['a queue without its options', { bytes: 'VALUE jobs 0 3\r\nabc\r\nEND\r\n' }, (client) => client.get('jobs/t=500/open'), 'abc'],
    ['a queue without its cursor', { bytes: 'VALUE jobs 0 3\r\nabc\r\nEND\r\n' }, (client) => client.get('jobs.cursor'), 'abc'],
    ['gets without a cas id', { bytes: 'VALUE jobs 0 3\r\nabc\r\nEND\r\n' }, (client) => client.gets('jobs'), { value: 'abc', cas: undefined }],
    ['gets without a cas id, remembered', { bytes: 'VALUE jobs 0 3\r\nabc\r\nEND\r\n' }, (client) => client.gets('jobs/open'), { value: 'abc', cas: undefined }],
    ['an item that is one NUL', { bytes: 'VALUE jobs 0 1\r\n\x00\r\nEND\r\n' }, (client) => client.get('jobs'), '\x00'],
    ['a full queue', { bytes: 'NOT_STORED\r\n' }, (client) => client.set('jobs', 'v'), false],
    ['Flushed all queues.', { bytes: 'Flushed all queues.\r\n' }, (client) => client.flushAll(), true],
    ['END for delete', { bytes: 'END\r\n' }, (client) => client.delete('jobs'), true],
    ['END for close', { bytes: 'END\r\n' }, (client) => client.get('jobs/close'), undefined],
    ["moxi's version", { bytes: 'VERSION ${PRODUCT_VERSION}\r\n' }, (client) => client.version(), '${PRODUCT_VERSION}'],
    [
      "moxi's order", { bytes: 'VALUE c 0 1\r\n3\r\nVALUE a 0 1\r\n1\r\nVALUE b 0 1\r\n2\r\nEND\r\n' },
      (client) => client.getMulti(['a', 'b', 'x', 'c']).then((map) => [...map]), [['a', '1'], ['b', '2'], ['c', '3']],
    ],
  ]
  for (const [what, answer, call, result] of cases) {
    const server = await startScripted(playing([answer]))
    const client = clientOf(server, { cacheCas: true })
    t.strictSame(await call(client), result, what)
    t.equal(await client.version(), 'the end', 'on the same connection')
    t.equal(server.peers.length, 1)
    await client.close()
    await server.close()
  }
  const server = await startScripted(playing([{ bytes: 'VALUE jobs 0 3\r\nabc\r\nEND\r\n' }]))
  const client = clientOf(server, { cacheCas: true })
  await client.gets('jobs')
  t.equal((await failure(client.cas('jobs', 'v'))).code, 'ERR_MEMCACHE_VALUE', 'where there is no cas id, none is made up')
})

t.test('refusals as others spell them', async (t) => {
  const lines: readonly (readonly [string, typeof MemcacheClientError | typeof MemcacheServerError])[] = [
    ['ERROR', MemcacheClientError], ['ERROR ', MemcacheClientError], ['ERROR Unknown command', MemcacheClientError], ['ERROR queue: name is too long', MemcacheClientError],
    ['CLIENT_ERROR', MemcacheClientError], ['CLIENT_ERROR close current item first', MemcacheClientError], ['CLIENT_ERROR Invalid command', MemcacheClientError],
    ['SERVER_ERROR', MemcacheServerError], ['SERVER_ERROR Connection refused', MemcacheServerError], ['SERVER_ERROR backend failure', MemcacheServerError],
    ['SERVER_ERROR proxy write to downstream 127.0.0.1', MemcacheServerError], ['SERVER_ERROR unknown', MemcacheServerError],
  ]
  const calls: readonly (readonly [string, (client: Client) => Promise<unknown>])[] = [
    ['get', (client) => client.get('k')], ['gets', (client) => client.gets('k')], ['gat', (client) => client.gat('k', 1)], ['getMulti', (client) => client.getMulti(['k', 'l'])],
    ['set', (client) => client.set('k', 'v')], ['add', (client) => client.add('k', 'v')], ['delete', (client) => client.delete('k')], ['incr', (client) => client.incr('k')],
    ['touch', (client) => client.touch('k', 1)], ['flushAll', (client) => client.flushAll()], ['stats', (client) => client.stats()], ['version', (client) => client.version()],
    ['verbosity', (client) => client.verbosity(1)],
  ]
  for (const [line, ErrorClass] of lines) {
    for (const closes of [false, true]) {
      for (const [command, call] of calls) {
        const server = await start(playing([{ bytes: `${line}\r\n`, closes }]))
        const client = new Client({ port: server.port, timeout: 3000 })
        const error = await failure(call(client))
        const what = `${command}: "${line}"${closes ? ', then FIN' : ''}`
        if (!(error instanceof ErrorClass) || error.command !== command || error.sent !== true || error.server !== `127.0.0.1:${server.port}`) t.fail(what, { error })
        else t.pass(what)
        // The end of the connection may be seen only by the next command, which is told so.
        const next = await client.version().catch((reason: unknown) => reason)
        if (closes && next instanceof MemcacheSocketError) t.equal((next.cause as Error | undefined)?.cause instanceof ErrorClass || next.sent, true)
        else if (next !== 'the end') t.fail(`${what}: the next command`, { next })
        if (next !== 'the end' && (await client.version()) !== 'the end') t.fail(`${what}: the command after that`)
        await client.close()
        await server.close()
      }
    }
  }
})

t.test('a refusal and FIN: what was pipelined behind it is told why', async (t) => {
  for (const line of ['ERROR ', 'CLIENT_ERROR close current item first', 'SERVER_ERROR Connection refused']) {
    const server = await startScripted(playing([{ bytes: `${line}\r\n`, closes: true, requests: 3 }]))
    const client = clientOf(server)
    const [first, second, third] = await Promise.all([failure(client.get('a')), failure(client.get('b')), failure(client.set('c', 1))])
    t.equal(first.message.trimEnd().startsWith(line.trimEnd()), true)
    for (const [error, command] of [[second, 'get'], [third, 'set']] as const) {
      t.type(error, MemcacheSocketError)
      t.match(error, { command, sent: true, cause: { message: first.message } }, `${line} is the cause of what befell ${command}`)
    }
    t.equal(await client.version(), 'the end')
    await client.close()
  }
})

t.test('FIN in place of an answer', async (t) => {
  const calls: readonly (readonly [string, (client: Client) => Promise<unknown>])[] = [
    ['gat', (client) => client.gat('k', 1)], ['gats', (client) => client.gats('k', 1)], ['stats', (client) => client.stats()], ['flushAll', (client) => client.flushAll()],
    ['verbosity', (client) => client.verbosity(1)], ['touch', (client) => client.touch('k', -1)], ['getMulti', (client) => client.getMulti(['a', 'b'])], ['set', (client) => client.set('k', 'v', { ttl: -1 })],
  ]
  for (const [command, call] of calls) {
    const server = await startScripted(playing([{ bytes: '', closes: true }]))
    const client = clientOf(server)
    const error = await failure(call(client))
    t.type(error, MemcacheSocketError)
    t.notOk(error instanceof MemcacheProtocolError)
    t.match(error, { command, sent: true, message: /closed the connection/ })
    t.ok(error.message.includes(`"${command}"`), `the message names ${command}: ${error.message}`)
    t.equal(await client.version(), 'the end', 'the client goes on')
    t.equal(server.peers.length, 2, 'and has not repeated the command')
    await client.close()
  }
  // twemproxy closes at the first command that it does not know; what was asked before in the same turn has no reply either.
  const server = await startScripted(playing([{ bytes: '', closes: true, requests: 3 }]))
  const client = clientOf(server)
  for (const error of await Promise.all([failure(client.set('k', 1)), failure(client.flushAll()), failure(client.get('k'))])) {
    t.match(error, { code: 'ERR_MEMCACHE_SOCKET', sent: true })
  }
  t.equal(await client.version(), 'the end')
})

t.test('a proxy that fails some keys of a multi-key get', async (t) => {
  const bodies = [
    'SERVER_ERROR backend failure\r\nSERVER_ERROR backend failure\r\nSERVER_ERROR backend failure\r\n', // and no END, as recorded
    'VALUE a 0 1\r\n1\r\nSERVER_ERROR backend failure\r\nVALUE c 0 1\r\n3\r\nEND\r\n',
    'SERVER_ERROR backend failure\r\nEND\r\n',
    'VALUE a 0 1\r\n1\r\nCLIENT_ERROR key too long\r\nVALUE c 0 1\r\n3\r\nEND\r\n',
    'VALUE a 0 1\r\n1\r\nSERVER_ERROR timeout\r\n', // mcrouter: in place of END
  ]
  for (const bytes of bodies) {
    const server = await startScripted(playing([{ bytes, requests: 2 }, { bytes: 'VALUE x 0 5\r\nright\r\nEND\r\n' }]))
    const client = clientOf(server)
    const [multi, behind] = await Promise.all([failure(client.getMulti(['a', 'b', 'c'])), failure(client.get('z'))])
    t.ok(multi instanceof MemcacheServerError || multi instanceof MemcacheClientError, multi.message)
    t.equal(multi.command, 'getMulti')
    t.type(behind, MemcacheSocketError, 'nobody gets what may be left of that reply')
    t.equal(await client.get('x'), 'right', JSON.stringify(bytes.slice(0, 50)))
    t.equal(server.peers.length, 2)
    await client.close()
  }
  const server = await startScripted(playing([{ bytes: 'SERVER_ERROR Connection refused\r\n', closes: true }]))
  const client = clientOf(server)
  t.type(await failure(client.getMulti(['a', 'b'])), MemcacheServerError, 'twemproxy: one line for all, then FIN')
  t.equal(await client.version(), 'the end')
})

t.test('a line that leaks out of somebody else\'s noreply', async (t) => {
  const server = await startScripted(async (peer) => {
    if (peer.index > 0) return playing([{ bytes: 'VALUE k 0 5\r\nright\r\nEND\r\n' }])(peer)
    await peer.request()
    peer.send('VERSION 1\r\nSERVER_ERROR backend failure\r\n')
    await peer.closed()
  })
  const client = clientOf(server)
  const gone = new Promise<MemcacheError>((resolve) => client.once('disconnect', resolve))
  t.equal(await client.version(), '1')
  t.type(await gone, MemcacheServerError)
  t.equal(await client.get('k'), 'right')
})

t.test('whole recordings of queue servers', { timeout: 60_000 }, async (t) => {
  const played = new Map<string, number>()
  for (const recording of conversations('queues.jsonl')) {
    const { problems, count } = await playConversation(recording)
    for (const problem of problems) t.fail(`${recording.server}: ${recording.case}: ${problem}`)
    const kind = recording.server.split(/[-/]/)[0]!
    if (count > 0) played.set(kind, (played.get(kind) ?? 0) + 1)
  }
  for (const kind of ['kestrel', 'darner', 'siberite', 'memcacheq']) t.ok((played.get(kind) ?? 0) > 5, `${played.get(kind)} recordings of ${kind}`)
})
