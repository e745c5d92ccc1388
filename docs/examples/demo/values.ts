/** Storing and reading: values of several types, misses, counters, conditions, versions, many keys, compression. */
import { Client, intercept } from '../../../lib/index.ts'
import type { Report } from './report.ts'

/** Nothing that the demo stores on a server of yours stays there for longer. */
const ttl = 60

/** Runs the chapters on a client whose keys nobody else has. `url` is its server's, for the one that needs a client of its own. */
export async function values(client: Client, url: string, report: Report): Promise<void> {
  await types(client, report)
  await misses(client, report)
  await conditions(client, report)
  await counters(client, report)
  await versions(client, report)
  await manyKeys(client, report)
  await compression(url, report)
}

async function types(client: Client, report: Report): Promise<void> {
  report.chapter('Values: what goes in comes out, type for type')
  const samples = {
    string: 'Grüße, 世界',
    number: 42,
    bigint: 2n ** 70n,
    boolean: false,
    null: null,
    object: { name: 'Ada', tags: ['maths', 'poetry'] },
    buffer: Buffer.from([0, 1, 254, 255]),
  }
  for (const [type, sample] of Object.entries(samples)) {
    report.check(`set('a-${type}', …)`, await client.set(`a-${type}`, sample, { ttl }), true)
    report.check(`get('a-${type}')`, await client.get(`a-${type}`), sample)
  }
}

async function misses(client: Client, report: Report): Promise<void> {
  report.chapter('A miss is undefined, never an error')
  report.check(`get('nobody')`, await client.get('nobody'), undefined)
  report.check(`delete('nobody')`, await client.delete('nobody'), false)
  report.check(`set('late', 1, { ttl: -1 })`, await client.set('late', 1, { ttl: -1 }), true, 'expired at once')
  report.check(`get('late')`, await client.get('late'), undefined)
}

async function conditions(client: Client, report: Report): Promise<void> {
  report.chapter('Conditions: false means that the condition did not hold')
  report.check(`add('page', 'b', …)`, await client.add('page', 'b', { ttl }), true)
  report.check(`add('page', 'x', …)`, await client.add('page', 'x', { ttl }), false, 'there is one already')
  report.check(`append('page', 'c')`, await client.append('page', 'c'), true)
  report.check(`prepend('page', 'a')`, await client.prepend('page', 'a'), true)
  report.check(`get('page')`, await client.get('page'), 'abc')
  report.check(`replace('nobody', 'x')`, await client.replace('nobody', 'x'), false, 'there is none')
  report.check(`touch('page', 30)`, await client.touch('page', 30), true)
  report.check(`delete('page')`, await client.delete('page'), true)
}

async function counters(client: Client, report: Report): Promise<void> {
  report.chapter('Counters')
  report.check(`incr('visits')`, await client.incr('visits'), undefined, 'there is no such counter')
  report.check(`incr('visits', 1, { initial: 10, ttl })`, await client.incr('visits', 1, { initial: 10, ttl }), 10)
  report.check(`incr('visits', 5)`, await client.incr('visits', 5), 15)
  report.check(`decr('visits', 100)`, await client.decr('visits', 100), 0, '0 and no further')
  await client.set('big', 2n ** 60n, { ttl })
  report.check(`incr('big', 1n)`, await client.incr('big', 1n), 2n ** 60n + 1n, 'exact to 64 bits')
}

async function versions(client: Client, report: Report): Promise<void> {
  report.chapter('cas: store only what nobody else has changed meanwhile')
  await client.set('stock', 3, { ttl })
  const mine = await client.gets<number>('stock')
  const theirs = await client.gets<number>('stock')
  if (mine === undefined || theirs === undefined) throw new Error('what was stored is gone: the server may be full')
  report.check(`cas('stock', 2, { cas: mine })`, await client.cas('stock', mine.value - 1, { cas: mine.cas, ttl }), true)
  report.check(`cas('stock', 2, { cas: theirs })`, await client.cas('stock', theirs.value - 1, { cas: theirs.cas, ttl }), false)
  report.check(`get('stock')`, await client.get('stock'), 2, 'sold once, not twice')
}

async function manyKeys(client: Client, report: Report): Promise<void> {
  report.chapter('Many keys in one round trip')
  const stored = await client.setMulti({ red: 1, green: 2, blue: 3 }, { ttl })
  report.check('setMulti({ red: 1, green: 2, blue: 3 }, …)', stored, new Map([['red', true], ['green', true], ['blue', true]]))
  const found = await client.getMulti(['red', 'nobody', 'blue'])
  report.check(`getMulti(['red', 'nobody', 'blue'])`, found, new Map([['red', 1], ['blue', 3]]), 'a miss has no entry')
  const gone = await client.deleteMulti(['red', 'nobody'])
  report.check(`deleteMulti(['red', 'nobody'])`, gone, new Map([['red', true], ['nobody', false]]))
}

async function compression(url: string, report: Report): Promise<void> {
  report.chapter('Compression, where it is asked for and makes values smaller')
  let stored = 0
  // A layer sees every request as it leaves: here it only reads how long the value is by then.
  const measure = intercept({
    store(request, next, call) {
      stored = request.item.value.length
      return next(request, call)
    },
  })
  const keyPrefix = `ermc-demo-${process.pid}:`
  await using client = new Client(url, { keyPrefix, minCompressLength: 1024, layers: [measure] })
  const orders = Array.from({ length: 300 }, (_, id) => ({ id, status: 'shipped', carrier: 'parcel post', items: [id, id + 1] }))
  const { length } = Buffer.from(JSON.stringify(orders))

  await client.set('orders', orders, { ttl })
  report.holds(`set('orders', 300 orders)   ${length} bytes of JSON, ${stored} bytes stored`, stored > 0 && stored < length / 2)
  const back = await client.get<typeof orders>('orders')
  report.check(`get('orders')`, back?.at(-1), orders.at(-1), 'the last of them')
  await client.set('note', 'short', { ttl })
  report.holds(`set('note', 'short')   ${stored} bytes stored: shorter than minCompressLength, so left as it is`, stored === 5)
}
