import { setTimeout as sleep } from 'node:timers/promises'
import type { Feature } from './contract.ts'
import { rejection } from './rejection.ts'

const DAY = 24 * 60 * 60

/** Asks again and again for what has to be true in the end. */
async function eventually(what: () => Promise<boolean>): Promise<boolean> {
  for (let attempt = 0; attempt < 150; attempt += 1) {
    if (await what()) return true
    await sleep(100)
  }
  return false
}

/** Times to live, and flushAll, which ends all of them. The last parts of the contract: they move the server's clock. */
export function expiring(feature: Feature): void {
  feature('0 never expires, a negative ttl is expired at once', ['set', 'get', 'gat', 'touch', 'add', 'setMulti', 'getMulti', 'incr'], async (t, { client, key, secondsLeft }) => {
    const [a, b] = [key('a'), key('b')]
    for (const ttl of [0, undefined]) {
      await client.set(a, 'v', { ttl })
      t.equal(await client.get(a), 'v')
      if (secondsLeft !== undefined) t.equal(await secondsLeft(a), -1)
    }
    for (const ttl of [-1, -3600, -1e12, new Date(0), new Date(1000), new Date(Date.now() - 5000)]) {
      t.equal(await client.set(a, 'v', { ttl }), true)
      t.equal(await client.get(a), undefined, `set with ${String(ttl)}`)
      await client.set(a, 'v')
      t.equal(await client.touch(a, ttl), true)
      t.equal(await client.get(a), undefined, `touch with ${String(ttl)}`)
      t.equal(await client.touch(a, 60), false)
      await client.set(a, 'v')
      t.equal(await client.gat(a, ttl), 'v')
      t.equal(await client.get(a), undefined, `gat with ${String(ttl)}`)
    }
    await client.setMulti({ [a]: 1, [b]: 2 }, { ttl: -1 })
    t.strictSame(await client.getMulti([a, b]), new Map())
    t.equal(await client.incr(b, 1, { initial: 5, ttl: 60 }), 5)
    if (secondsLeft !== undefined) t.ok((await secondsLeft(b)) > 0)
  })

  feature('seconds, dates and more than 30 days reach the server as they are meant', ['set', 'add', 'replace', 'cas', 'gets', 'gat', 'gats', 'touch', 'setMulti', 'incr'], async (t, { client, key, secondsLeft }) => {
    if (secondsLeft === undefined) return
    const k = key()
    // A server's clock ticks once a second, and the machine may be slow in between.
    const lives = async (seconds: number, how: string): Promise<void> => {
      const left = await secondsLeft(k)
      t.ok(left > seconds - 30 && left <= seconds + 2, `${how}: ${left} of ${seconds} s left`)
    }
    for (const seconds of [60, 30 * DAY, 30 * DAY + 1, 90 * DAY, 365 * DAY]) {
      await client.set(k, 'v', { ttl: seconds })
      await lives(seconds, 'set')
      await client.set(k, 'v', { ttl: new Date(Date.now() + seconds * 1000) })
      await lives(seconds, 'set with a Date')
      await client.touch(k, 5000)
      t.equal(await client.touch(k, seconds), true)
      await lives(seconds, 'touch')
      await client.touch(k, new Date(Date.now() + 5_000_000))
      t.equal(await client.gat(k, seconds), 'v')
      await lives(seconds, 'gat')
      await client.touch(k, 5000)
      await client.gats(k, seconds)
      await lives(seconds, 'gats')
      await client.replace(k, 'w', { ttl: seconds + 100 })
      await lives(seconds + 100, 'replace')
      await client.cas(k, 'x', { ttl: seconds, cas: (await client.gets(k))?.cas })
      await lives(seconds, 'cas')
      await client.setMulti({ [k]: 'v' }, { ttl: seconds + 200 })
      await lives(seconds + 200, 'setMulti')
      await client.set(k, 'v', { ttl: -1 })
      await client.add(k, 'v', { ttl: seconds })
      await lives(seconds, 'add')
      await client.set(k, 'v', { ttl: -1 })
      await client.incr(k, 1, { initial: 1, ttl: seconds })
      await lives(seconds, 'incr with initial')
      await client.incr(k, 1, { initial: 1, ttl: 5000 })
      await lives(seconds, 'a counter that is there keeps its ttl')
      await client.touch(k, 0)
      t.equal(await secondsLeft(k), -1, 'and with 0 it lives for ever')
    }
  })

  feature('what is no time is refused', ['set', 'get', 'gat', 'gats', 'touch', 'incr', 'cas', 'setMulti'], async (t, { client, key }) => {
    const k = key()
    await client.set(k, 'kept')
    for (const ttl of [NaN, Infinity, -Infinity, 0.5, -1.5, new Date(NaN), '60', null, {}, [60], 10n, 1e15, new Date('2100-01-01')]) {
      const wrong = ttl as number
      const calls = [client.gat(k, wrong), client.gats(k, wrong), client.touch(k, wrong)]
      if (ttl !== null) calls.push(client.set(k, 'new', { ttl: wrong }), client.cas(k, 'new', { ttl: wrong, cas: 1n }), client.incr(k, 1, { initial: 1, ttl: wrong }))
      for (const call of calls) t.match(await rejection(call), { name: 'MemcacheValueError', sent: false }, String(ttl))
      if (ttl !== null) t.match(await rejection(client.setMulti([[k, 'new']], { ttl: wrong })), { name: 'MemcacheValueError', command: 'setMulti' })
    }
    t.equal(await client.get(k), 'kept')
  })

  feature('an item is gone when its time is up', ['set', 'get', 'touch', 'add'], async (t, { client, key, advance }) => {
    const [short, long, touched] = [key('short'), key('long'), key('touched')]
    await client.set(short, 'v', { ttl: 1 })
    await client.set(long, 'v', { ttl: advance === undefined ? 1000 : 90 * DAY })
    await client.set(touched, 'v', { ttl: 1 })
    await client.touch(touched, 1000)
    advance?.(3)
    t.ok(await eventually(async () => (await client.get(short)) === undefined))
    t.equal(await client.get(long), 'v')
    t.equal(await client.get(touched), 'v')
    t.equal(await client.add(short, 'again'), true)
    if (advance === undefined) return
    advance(60 * DAY)
    t.equal(await client.get(long), 'v', 'after 60 of 90 days')
    t.equal(await client.get(touched), undefined)
    advance(31 * DAY)
    t.equal(await client.get(long), undefined)
  })

  feature('flushAll drops everything, now', ['flushAll', 'set', 'get', 'getMulti'], async (t, { client, key }) => {
    const [a, b] = [key('a'), key('b')]
    await client.set(a, 1)
    await client.set(b, 1)
    t.equal(await client.flushAll(), true)
    t.strictSame(await client.getMulti([a, b]), new Map())
    await client.set(a, 2)
    t.equal(await client.get(a), 2)
  })

  feature('flushAll with a delay drops everything, then', ['flushAll', 'set', 'get'], async (t, { client, key, advance }) => {
    const k = key()
    for (const delay of [-1, 0.5, NaN, Infinity, 2 ** 31, '1', null, {}]) {
      t.match(await rejection(client.flushAll(delay as number)), { name: 'MemcacheValueError', command: 'flushAll', sent: false }, String(delay))
    }
    await client.set(k, 'v')
    const started = performance.now()
    t.equal(await client.flushAll(3), true)
    const read = await client.get(k)
    // A machine that was busy for that long may have let the delay pass.
    if (performance.now() - started < 1000) t.equal(read, 'v', 'not yet')
    advance?.(5)
    t.ok(await eventually(async () => (await client.get(k)) === undefined), 'and then it is gone')
    const later = async (): Promise<boolean> => (await client.set(k, 'later')) && (await client.get(k)) === 'later'
    t.ok(await eventually(later), 'what is stored a second later stays')
  })
}
