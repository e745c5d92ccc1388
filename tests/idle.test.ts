import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { memjs } from '../drivers/memjs.ts'
import { binary, meta, text, type DriverFactory } from '../lib/index.ts'
import { packet, packetsIn } from './support/packets.ts'
import { eventually, failure, Opened, unhandled } from './support/outcomes.ts'
import { answering, type Peer } from './support/scripted-server.ts'
import { startMemcached, withoutMemcached } from './support/servers.ts'

/** Connections that the server closes while nobody uses them: nothing was asked, so nobody is told. */

const DRIVERS: readonly (readonly [name: string, driver: DriverFactory])[] = [['text', text], ['binary', binary], ['meta', meta], ['memjs', memjs]]

const unexpected = unhandled()
const opened = new Opened()
t.teardown(() => opened.close())

/** Answers `version`, in the protocol that it is asked in. */
const versions = answering((request) => {
  const { opaque } = packetsIn(request)?.[0] ?? {}
  return opaque === undefined ? 'VERSION 1\r\n' : packet({ opcode: 0x0b, opaque, value: '1' })
})

/** Keeps this thread from reading anything, until what others do has reached the kernel. */
function busy(milliseconds: number): void {
  for (const until = performance.now() + milliseconds; performance.now() < until; );
}

t.test('a real memcached with idle_timeout', { skip: withoutMemcached }, async (t) => {
  const server = await startMemcached(['-o', 'idle_timeout=1'])
  t.teardown(() => server.stop())
  const clients = DRIVERS.map(([name, driver]) => {
    const client = opened.client(server, { driver })
    const events: string[] = []
    client.on('connect', () => events.push('connect')).on('disconnect', ({ message }) => events.push(message))
    return { name, client, events }
  })
  await Promise.all(clients.map(({ name, client }) => client.set(name, 1)))
  await Promise.all(clients.map(async ({ name, client, events }) => {
    for (let attempt = 0; client.isConnected() && attempt < 400; attempt += 1) await sleep(50)
    t.same(events, ['connect', `127.0.0.1:${server.port} closed the connection`], name)
    t.equal(await client.get(name), 1, `${name}: the next call connects anew, and that is all`)
    t.equal(events.at(-1), 'connect')
  }))
})

for (const end of ['fin', 'reset'] as const) {
  t.test(`a server that closes while nothing is asked: ${end}`, async (t) => {
    for (const [name, driver] of DRIVERS) {
      const server = await opened.scripted(versions)
      const client = opened.client(server, { driver })
      for (let round = 0; round < 5; round += 1) {
        t.equal(await client.version(), '1')
        server.peers.at(-1)?.[end]()
        await eventually(() => !client.isConnected(), 'the end is noticed')
        // Two of one turn, and one from the listener of the event: none of them had anything on the old connection.
        t.same(await Promise.all([client.version(), client.version()]), ['1', '1'], `${name}: round ${round}`)
      }
      t.equal(server.peers.length, 6, `${name}: a connection for each, and no more`)
      const again = new Promise((resolve) => client.once('disconnect', () => resolve(client.version())))
      server.peers.at(-1)?.[end]()
      t.equal(await again, '1', `${name}: as early as anybody can know`)
      await client.close()
    }
  })

  t.test(`an end that this process has not read yet: ${end}`, async (t) => {
    for (const [name, driver] of DRIVERS) {
      const peers: Peer[] = []
      const server = await opened.scripted((peer) => {
        peers.push(peer)
        return versions(peer)
      })
      const client = opened.client(server, { driver })
      t.equal(await client.version(), '1')
      const received = peers[0]?.received
      // The server is in this process, too: it closes within this turn, and the call is written at the end of the same.
      await new Promise<void>((resolve) => setImmediate(() => {
        if (end === 'reset') peers[0]?.socket.resetAndDestroy()
        else peers[0]?.socket.destroy()
        process.nextTick(resolve)
      }))
      busy(20)
      const error = await failure(client.version())
      t.match(error, { name: 'MemcacheSocketError', command: 'version', sent: true }, `${name}: it was written, so nobody can know`)
      t.equal(peers[0]?.received, received, 'here it did not arrive, but that is for the server to say')
      t.equal(await client.version(), '1', `${name}: and the next one connects anew`)
      t.equal(peers.length, 2)
      await client.close()
    }
  })
}

t.test('nothing was left unhandled, nothing was warned of', async (t) => {
  t.same(unexpected, [])
})
