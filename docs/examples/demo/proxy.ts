/** What a caller sees behind twemproxy: one key space on two servers, and what becomes of it when one of them dies. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Client, MemcacheServerError } from '../../../lib/index.ts'
import type { ProxiedServers } from './proxied-servers.ts'
import type { Report } from './report.ts'

const KEYS = Array.from({ length: 1000 }, (_, id) => `user:${id}`)
const DEAD = { name: 'MemcacheServerError', code: 'ERR_MEMCACHE_SERVER', sent: true }

/** The three ways to the two servers: each pool of the proxy, and past it. */
interface Ways {
  readonly state: Client
  readonly cache: Client
  readonly one: Client
  readonly two: Client
}

/** Runs the chapters. One of the servers is killed and started again meanwhile. */
export async function proxy(servers: ProxiedServers, report: Report): Promise<void> {
  await using state = new Client({ port: servers.state })
  await using cache = new Client({ port: servers.cache })
  await using one = new Client({ port: servers.ports[0] })
  await using two = new Client({ port: servers.ports[1] })
  const ways = { state, cache, one, two }
  const onTwo = await spread(ways, report)
  await unsupported(ways, report)
  await servers.kill()
  await deadInState(ways, onTwo, report)
  await deadInCache(ways, onTwo, report)
  await servers.revive()
  await back(ways, onTwo, report)
}

/** Gives the keys that are on the server called two, which is the one to die. */
async function spread({ state, one, two }: Ways, report: Report): Promise<readonly string[]> {
  report.chapter('One key space, two servers')
  const stored = await state.setMulti(KEYS.map((key) => [key, `value of ${key}`] as const))
  report.check(`setMulti(1000 keys)`, count(stored.values(), true), 1000, 'so many were stored')
  const counts = [await one.getMulti(KEYS), await two.getMulti(KEYS)] as const
  report.holds(`the servers have ${counts[0].size} and ${counts[1].size} of them: each key is on one`, counts[0].size > 0 && counts[1].size > 0 && counts[0].size + counts[1].size === 1000)
  report.check(`getMulti(1000 keys)`, (await state.getMulti(KEYS)).size, 1000, 'from both, in one call')
  const singly = await Promise.all(KEYS.map((key) => state.get(key)))
  report.check(`1000 times get(key), at once`, count(singly, undefined), 0, 'misses')
  return [...counts[1].keys()]
}

async function unsupported({ state }: Ways, report: Report): Promise<void> {
  report.chapter('What twemproxy does not know: it closes without an answer, and the client goes on')
  await report.rejects('flushAll()', state.flushAll(), { name: 'MemcacheSocketError', code: 'ERR_MEMCACHE_SOCKET', sent: true })
  report.check(`get('user:1')`, await state.get('user:1'), 'value of user:1', 'on a new connection')
}

async function deadInState({ state }: Ways, onTwo: readonly string[], report: Report): Promise<void> {
  report.chapter('One server is killed. In the pool "state", its keys are errors, never misses')
  const [dead = '', second = ''] = onTwo
  await report.rejects(`get('${dead}')`, noticed(() => state.get(dead)), DEAD)
  await report.rejects(`set('${second}', …)`, state.set(second, 'new'), DEAD)
  const outcomes = await Promise.allSettled(KEYS.map((key) => state.get(key)))
  const hits = outcomes.filter((outcome) => outcome.status === 'fulfilled' && outcome.value !== undefined).length
  const errors = outcomes.filter((outcome) => outcome.status === 'rejected' && outcome.reason instanceof MemcacheServerError).length
  report.check('1000 times get(key): hits and errors', [hits, errors], [1000 - onTwo.length, onTwo.length], 'each key has its own result')
  await report.rejects('getMulti(1000 keys)', state.getMulti(KEYS), DEAD)
  report.note('    for many keys there is one answer: those on both servers fail together')
}

async function deadInCache({ cache, one }: Ways, onTwo: readonly string[], report: Report): Promise<void> {
  report.chapter('In the pool "cache", the proxy gives up on it: its keys become misses, on the other server')
  const [dead = ''] = onTwo
  let errors = 0
  const value = await until(async () => cache.get(dead), () => (errors += 1))
  report.holds(`get('${dead}') was an error ${errors === 1 ? 'once' : `${errors} times`}`, errors > 0)
  report.check(`get('${dead}')`, value, undefined, 'and then a miss')
  report.check(`set('${dead}', 'made again')`, await until(() => cache.set(dead, 'made again')), true)
  report.check(`get('${dead}'), past the proxy, from the server that is left`, await one.get(dead), 'made again')
}

async function back({ state, cache, two, one }: Ways, onTwo: readonly string[], report: Report): Promise<void> {
  report.chapter('The server is back, with nothing in it')
  const [dead = '', second = ''] = onTwo
  report.check(`get('${second}') in "state"`, await until(() => state.get(second)), undefined, 'a miss, no error')
  report.check(`set('${second}', 'stored anew') in "state"`, await state.set(second, 'stored anew'), true)
  report.check(`get('${second}'), past the proxy`, await two.get(second), 'stored anew', 'where it was before')
  const atHome = await until(async () => {
    await cache.set(dead, 'at home')
    if ((await two.get(dead)) !== 'at home') throw new Error(`${dead} is not back on its server`)
    return cache.get(dead)
  })
  report.check(`get('${dead}') in "cache", when the proxy has tried the server again`, atHome, 'at home')
  report.holds('what the other server has of that key is an old value: give such keys a time to live', (await one.get(dead)) !== undefined)
}

function count(values: Iterable<unknown>, wanted: unknown): number {
  return [...values].filter((value) => value === wanted).length
}

/** Calls until the proxy has noticed that the server is dead. What it was just sending there is refused with another word. */
async function noticed(call: () => Promise<unknown>): Promise<unknown> {
  for (;;) {
    const refused = await call().then(() => false, (error: unknown) => error instanceof MemcacheServerError && error.message.endsWith('refused'))
    if (refused) return call()
    await sleep(20)
  }
}

/** Calls until it works, as an application does that goes on. */
async function until<T>(call: () => Promise<T>, failed: () => void = () => {}): Promise<T> {
  const deadline = performance.now() + 20_000
  for (;;) {
    try {
      return await call()
    } catch (error) {
      failed()
      if (performance.now() > deadline) throw error
      await sleep(20)
    }
  }
}
