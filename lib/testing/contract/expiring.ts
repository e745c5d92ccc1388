import { deepEqual, equal, ok } from 'node:assert/strict'
import { clause, type Clause } from './clause.ts'

const DAY = 24 * 60 * 60

/** Times to live, and flushAll, which ends all of them. What moves the server's clock is last. */
export const expiring: readonly Clause[] = [
  clause('a negative ttl and a Date that is past are expired at once', ['memory', 'set', 'get', 'setMulti', 'getMulti'], async ({ client, key, has }) => {
    const [a, b] = [key('a'), key('b')]
    for (const ttl of [-1, -3600, -1e12, new Date(0), new Date(1000), new Date(Date.now() - 5000)]) {
      equal(await client.set(a, 'v', { ttl }), true)
      equal(await client.get(a), undefined, `set with ${String(ttl)}`)
      if (has('touch')) {
        await client.set(a, 'v')
        equal(await client.touch(a, ttl), true)
        equal(await client.get(a), undefined, `touch with ${String(ttl)}`)
        equal(await client.touch(a, 60), false)
      }
      if (has('gat')) {
        await client.set(a, 'v')
        equal(await client.gat(a, ttl), 'v')
        equal(await client.get(a), undefined, `gat with ${String(ttl)}`)
      }
      if (has('incr', 'add')) {
        equal(await client.incr(a, 1, { initial: 5, ttl }), 5)
        equal(await client.get(a), undefined, `incr with ${String(ttl)}`)
      }
    }
    await client.setMulti({ [a]: 1, [b]: 2 }, { ttl: -1 })
    deepEqual(await client.getMulti([a, b]), new Map())
  }),

  clause('0, seconds, more than 30 days and a Date are not expired at once', ['memory', 'set', 'get'], async ({ client, key, has }) => {
    const k = key()
    for (const ttl of [undefined, 0, 60, 30 * DAY, 30 * DAY + 1, 365 * DAY, new Date(Date.now() + 60_000), new Date(Date.now() + 90 * DAY * 1000)]) {
      await client.set(k, 'v', { ttl })
      equal(await client.get(k), 'v', `set with ${String(ttl)}`)
      if (has('touch')) {
        equal(await client.touch(k, ttl ?? 0), true)
        equal(await client.get(k), 'v', `touch with ${String(ttl)}`)
      }
      if (has('gat')) {
        equal(await client.gat(k, ttl ?? 0), 'v')
        equal(await client.get(k), 'v', `gat with ${String(ttl)}`)
      }
    }
  }),

  clause('times reach the server as they are meant', ['memory', 'lifetimes', 'set', 'add', 'replace', 'cas', 'gets', 'gat', 'gats', 'touch', 'setMulti', 'incr', 'append'], async ({ client, key, secondsLeft }) => {
    const k = key()
    // A server's clock ticks once a second, and the machine may be slow in between.
    const lives = async (seconds: number, how: string): Promise<void> => {
      const left = await secondsLeft(k)
      ok(left > seconds - 30 && left <= seconds + 2, `${how}: ${left} of ${seconds} s left`)
    }
    for (const seconds of [60, 30 * DAY, 30 * DAY + 1, 365 * DAY]) {
      await client.set(k, 'v', { ttl: seconds })
      await lives(seconds, 'set')
      await client.append(k, 'w', { ttl: 5000 })
      await lives(seconds, 'append, which leaves it')
      await client.set(k, 'v', { ttl: new Date(Date.now() + (seconds + 100) * 1000) })
      await lives(seconds + 100, 'set with a Date')
      equal(await client.touch(k, seconds), true)
      await lives(seconds, 'touch')
      await client.touch(k, new Date(Date.now() + 5_000_000))
      await lives(5000, 'touch with a Date')
      equal(await client.gat(k, seconds), 'v')
      await lives(seconds, 'gat')
      await client.gats(k, seconds + 200)
      await lives(seconds + 200, 'gats')
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
      await lives(seconds, 'a counter that is there keeps its time')
      await client.touch(k, 0)
      equal(await secondsLeft(k), -1, 'with 0 it lives for ever')
    }
    await client.set(k, 'v')
    equal(await secondsLeft(k), -1, 'and so it does by default')
  }),

  clause('flushAll drops everything, now', ['memory', 'own server', 'flushAll', 'set', 'get'], async ({ client, key }) => {
    const [a, b] = [key('a'), key('b')]
    await client.set(a, 1)
    await client.set(b, 1)
    equal(await client.flushAll(), true)
    deepEqual([await client.get(a), await client.get(b)], [undefined, undefined])
    await client.set(a, 2)
    equal(await client.get(a), 2)
  }),

  clause('flushAll with a delay drops nothing yet', ['memory', 'own server', 'flushAll', 'set', 'get'], async ({ client, key }) => {
    const k = key()
    await client.set(k, 'v')
    equal(await client.flushAll(3600), true)
    equal(await client.get(k), 'v')
    equal(await client.flushAll(), true, 'and it is taken back')
  }),

  clause('flushAll with a delay drops everything, then', ['memory', 'own server', 'clock', 'flushAll', 'set', 'get'], async ({ client, key, advance }) => {
    const [k, later] = [key(), key('later')]
    await client.set(k, 'v')
    equal(await client.flushAll(100), true)
    advance(90)
    equal(await client.get(k), 'v')
    advance(20)
    equal(await client.get(k), undefined)
    advance(2)
    await client.set(later, 'v')
    equal(await client.get(later), 'v', 'what is stored afterwards stays')
  }),

  clause('an item is gone when its time is up', ['memory', 'clock', 'set', 'get', 'touch', 'add'], async ({ client, key, advance }) => {
    const [short, long, touched] = [key('short'), key('long'), key('touched')]
    await client.set(short, 'v', { ttl: 10 })
    await client.set(long, 'v', { ttl: 90 * DAY })
    await client.set(touched, 'v', { ttl: 10 })
    await client.touch(touched, 1000)
    advance(20)
    equal(await client.get(short), undefined)
    equal(await client.get(touched), 'v')
    equal(await client.add(short, 'again'), true)
    advance(60 * DAY)
    equal(await client.get(long), 'v', 'after 60 of 90 days')
    equal(await client.get(touched), undefined)
    advance(31 * DAY)
    equal(await client.get(long), undefined)
    equal(await client.get(short), 'again')
  }),
]
