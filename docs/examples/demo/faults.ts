/** What a caller sees when a server fails: a typed error, in time, that says whether the request had left. */
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client, MemcacheSocketError } from '../../../lib/index.ts'
import { startServer, type TestServer } from '../../../lib/testing/index.ts'
import type { Report } from './report.ts'

/** Runs the chapters against a server that it breaks and ends; it is of no use afterwards. */
export async function faults(server: TestServer, report: Report): Promise<void> {
  await using client = new Client(server.url, { timeout: 300 })
  await client.set('visits', 7)
  await badKey(client, report)
  await stall(client, server, report)
  await lostReply(client, server, report)
  await death(client, server, report)
}

async function badKey(client: Client, report: Report): Promise<void> {
  report.chapter('A key that would be two commands never leaves')
  const call = client.get('x\r\nflush_all')
  await report.rejects(`get('x\\r\\nflush_all')`, call, { name: 'MemcacheKeyError', code: 'ERR_MEMCACHE_KEY', sent: false })
}

async function stall(client: Client, server: TestServer, report: Report): Promise<void> {
  report.chapter('A server that does not answer: nothing hangs')
  server.stall()
  const call = client.get('visits')
  await report.rejects(`get('visits')`, call, { name: 'MemcacheTimeoutError', code: 'ERR_MEMCACHE_TIMEOUT', sent: true })
  server.resume()
  report.check(`get('visits')`, await client.get('visits'), 7, 'it answers again: a new connection, by itself')
}

async function lostReply(client: Client, server: TestServer, report: Report): Promise<void> {
  report.chapter('A connection that is lost in the middle of a reply')
  server.closeAfterBytes(1)
  const call = client.incr('visits')
  await report.rejects(`incr('visits')`, call, { name: 'MemcacheSocketError', code: 'ERR_MEMCACHE_SOCKET', sent: true })
  report.note('    sent true: it may have been run, so only the caller can know whether to repeat it')
  report.check(`get('visits')`, await client.get('visits'), 8, 'it was run, once')
}

async function death(client: Client, server: TestServer, report: Report): Promise<void> {
  report.chapter('A server that is gone, and comes back')
  const { port, url } = server
  const disconnected = once(client, 'disconnect')
  await server.close()
  await disconnected
  report.holds(`the event 'disconnect' came; isConnected() is ${client.isConnected()}`, !client.isConnected())
  const call = client.get('visits')
  await report.rejects(`get('visits')`, call, { name: 'MemcacheSocketError', code: 'ERR_MEMCACHE_SOCKET', sent: false })

  await using cacheOnly = new Client(url, { errorAsMiss: true })
  report.check(`get('visits') with errorAsMiss: true, for those who prefer a miss`, await cacheOnly.get('visits'), undefined)

  await using reborn = await startServer({ port })
  report.note(`a new server listens on port ${reborn.port}`)
  report.check(`get('visits')`, await whenBack(() => client.get('visits')), undefined, 'it is empty: a miss, no error')
  report.check(`set('visits', 1)`, await client.set('visits', 1), true)
}

/** After a failed attempt to connect, calls fail at once for a short while. What was not sent is safe to repeat. */
async function whenBack<T>(call: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await call()
    } catch (error) {
      if (!(error instanceof MemcacheSocketError) || error.sent || attempt === 20) throw error
      await sleep(50)
    }
  }
}
