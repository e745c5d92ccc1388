import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { MemcacheError } from '../lib/index.ts'
import { DIALECTS, type Answer, type Asked, type Dialect } from './support/dialects.ts'
import { Opened, outcome, random, SLACK, unhandled } from './support/outcomes.ts'
import type { Peer } from './support/scripted-server.ts'

/** Many callers at once, servers that do whatever they like, the same in each run: a reply is never given to another request. */

const unexpected = unhandled()
const opened = new Opened()
t.teardown(() => opened.close())

/** The same test for each protocol. */
function onEach(name: string, run: (t: Test, dialect: Dialect) => Promise<void>): void {
  for (const dialect of DIALECTS) t.test(`${name} (${dialect.name})`, (t) => run(t, dialect))
}

/** To each request an answer of its own, made of its key. */
function answerOf({ op, keys }: Asked): Answer {
  const [key = ''] = keys
  switch (op) {
    case 'get':
    case 'getMulti':
      return keys.map((each) => (each.startsWith('miss') ? undefined : { value: `${each}|${each}|${each}` }))
    case 'store':
      return key.startsWith('full') ? 'not-stored' : 'stored'
    case 'count':
      return BigInt(key.replace(/\D/g, ''))
    case 'delete':
      return key.startsWith('miss') ? 'not-found' : 'deleted'
    default:
      return { version: '1' }
  }
}

/** Answers, except that it cuts, delays, stalls, drips, refuses and hangs up as it likes. */
function nasty(dialect: Dialect, next: () => number): (peer: Peer) => Promise<void> {
  return async (peer) => {
    for (;;) {
      const request = await peer.request()
      const reply = dialect.said(request, answerOf(dialect.asked(request)))
      const chance = next()
      const at = Math.floor(next() * reply.length)
      if (chance < 0.01) return peer.reset()
      if (chance < 0.02) return peer.fin()
      if (chance < 0.03) {
        peer.send(reply.slice(0, at))
        return next() < 0.5 ? peer.fin() : peer.reset()
      }
      if (chance < 0.035) {
        peer.send(dialect.said(request, { trouble: 'something' }))
        continue
      }
      if (chance < 0.04) {
        peer.send('bad line\r\n')
        return peer.closed()
      }
      if (chance < 0.043) return peer.closed() // stalls
      if (chance < 0.3) await peer.pieces([reply.slice(0, at), reply.slice(at)])
      else if (chance < 0.35) {
        await sleep(next() * 25)
        peer.send(reply)
      } else peer.send(reply)
    }
  }
}

onEach('a server that does what it likes', async (t, dialect) => {
  for (const seed of [1, 2]) {
    const next = random(seed)
    const server = await opened.scripted(nasty(dialect, random(seed + 100)))
    const client = opened.client(server, { driver: dialect.driver, timeout: 120 })
    const wrong: unknown[] = []
    let right = 0
    let failed = 0
    const check = async (call: Promise<unknown>, expected: unknown): Promise<void> => {
      const { value, error, took } = await outcome(call)
      if (took > 120 + SLACK) wrong.push({ took })
      if (error !== undefined) {
        failed += 1
        if (!(error instanceof MemcacheError || (error as Error).name === 'AbortError')) wrong.push(error)
      } else if (JSON.stringify(value) === JSON.stringify(expected)) right += 1
      else wrong.push({ value, expected })
    }
    const of = (key: string): string => `${key}|${key}|${key}`
    let nonce = 0
    const worker = async (): Promise<void> => {
      for (let round = 0; round < 100; round += 1) {
        nonce += 1
        const key = `key-${nonce}`
        const controller = new AbortController()
        const options = { ...(next() < 0.1 ? { timeout: 1 + Math.floor(next() * 20) } : {}), ...(next() < 0.1 ? { signal: controller.signal } : {}) }
        const kind = next()
        const calls =
          kind < 0.4 ? [check(client.get(key, options), of(key))]
          : kind < 0.5 ? [check(client.get(`miss-${key}`, options), undefined)]
          : kind < 0.6 ? [check(client.getMulti([key, `miss-${key}`, `b${key}`], options).then((map) => [...map]), [[key, of(key)], [`b${key}`, of(`b${key}`)]])]
          : kind < 0.7 ? [check(client.set(key, 'v'.repeat(next() * 6000), options), true), check(client.set(`full-${key}`, 'v', options), false)]
          : kind < 0.8 ? [check(client.incr(key, 1, options), nonce)]
          : kind < 0.9 ? [check(client.delete(`miss-${key}`, options), false), check(client.delete(key, options), true)]
          : [check(client.version(options), '1')]
        const abortAt = next()
        if (abortAt < 0.3) controller.abort()
        else if (abortAt < 0.6) setImmediate(() => controller.abort())
        else setTimeout(() => controller.abort(), 5)
        if (next() < 0.003) void client.connect({ reconnect: true }).catch(() => {})
        await Promise.all(calls)
        if (failed > 0 && next() < 0.3) await sleep(next() * 10)
      }
    }
    await Promise.all(Array.from({ length: 12 }, worker))
    t.same(wrong, [], `seed ${seed}`)
    t.ok(right > 200 && failed > 20, `seed ${seed}: ${right} right, ${failed} failed, ${server.peers.length} connections`)
    await client.close()
    await server.close()
  }
})

t.test('nothing was left unhandled, nothing was warned of', async (t) => {
  await sleep(20)
  t.same(unexpected, [])
})
