import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { inspect, isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { Client, deflate, MemcacheValueError } from '../lib/index.ts'
import { COMPRESSORS, roundTrips, SERIALIZERS } from './support/round-trips.ts'
import { startMemcached, withoutMemcached } from './support/servers.ts'

/** Whatever a serializer keeps comes back from a real server, whichever compressor was at it. ERMC_VALUES asks for more. */

t.setTimeout(600_000)
const LEAST = Number(process.env['ERMC_VALUES'] ?? 100_000)
const SEED = Number(process.env['ERMC_SEED'] ?? 1)

void t.test(`${LEAST} values come back as they went`, { skip: withoutMemcached }, async (t) => {
  const server = await startMemcached()
  t.teardown(() => server.stop())
  const compressors = Object.keys(COMPRESSORS).filter((name) => name !== 'zstd')
  const pairs = Object.keys(SERIALIZERS).flatMap((serializer) => compressors.map((compressor) => ({ serializer, compressor })))
  let total = 0
  for (const [place, pair] of pairs.entries()) {
    const done = await roundTrips({ port: server.port, ...pair, count: Math.ceil(LEAST / pairs.length), seed: SEED + place })
    t.ok(done > 0, `${pair.serializer}, ${pair.compressor}: ${done}`)
    total += done
  }
  t.ok(total >= LEAST, `${total} values`)
})

void t.test('values at the edges, on a real server', { skip: withoutMemcached }, async (t) => {
  const server = await startMemcached()
  t.teardown(() => server.stop())
  const kept: readonly unknown[] = [
    '', 'CR\r\nLF\r\nEND\r\n', 'NUL\0', '\ufeffBOM', '😀'.repeat(10), Buffer.alloc(0), Buffer.from('\r\n\0'), 0, 1, -1, 2 ** 53 - 1, 1 - 2 ** 53, 0n, -1n, 2n ** 53n - 1n, 2n ** 53n + 1n, -(2n ** 53n) - 1n, 2n ** 64n, -(2n ** 100n),
  ]
  const serialized: readonly unknown[] = [2 ** 53, -(2 ** 53), 2 ** 53 + 2, 0.1, 1e308, true, false, null, [], {}, { constructor: { name: 1 }, toString: 0, '': null, 'a\r\nb': ['\0'] }]
  const refused: readonly unknown[] = [undefined, '\ud800', 'a\udfff', Symbol('s'), () => 1, new (class Point {})()]
  for (const [name, { serializer }] of Object.entries(SERIALIZERS)) {
    await using client = new Client({ port: server.port, serializer })
    const strings = name === 'raw'
    for (const value of [...kept, ...serialized]) {
      if (strings && typeof value !== 'string' && !Buffer.isBuffer(value)) {
        await t.rejects(client.set('edge', value), MemcacheValueError, `raw refuses ${inspect(value)}`)
        continue
      }
      t.equal(await client.set('edge', value), true)
      const read = await client.get('edge')
      t.ok(isDeepStrictEqual(read, value) && isDeepStrictEqual((await client.getMulti(['edge'])).get('edge'), value), `${name}: ${inspect(value)} came back as ${inspect(read)}`)
    }
    for (const value of refused) await t.rejects(client.set('edge', value), MemcacheValueError, `${name} refuses ${inspect(value)}`)
    const minusZero = await client.set('edge', -0).then(() => client.get('edge'), (error: unknown) => error)
    t.ok(Object.is(minusZero, -0) || minusZero instanceof MemcacheValueError, `${name}: -0`)
    const named = JSON.parse('{"__proto__":{"polluted":true}}') as object
    const own = await client.set('edge', named).then(() => client.get('edge'), (error: unknown) => error)
    t.ok(own instanceof MemcacheValueError || (Object.hasOwn(own as object, '__proto__') && !('polluted' in (own as object))), `${name}: __proto__`)
  }
})

void t.test('values of a megabyte, on a real server', { skip: withoutMemcached }, async (t) => {
  const server = await startMemcached(['-I', '4m'])
  t.teardown(() => server.stop())
  const rows = Array.from({ length: 12_000 }, (_, id) => ({ id, name: `name ${id}`, tags: ['a', 'b'], score: id / 7, parent: null }))
  for (const [name, { serializer }] of Object.entries(SERIALIZERS)) {
    for (const minCompressLength of [0, 1]) {
      await using client = new Client({ port: server.port, serializer, minCompressLength, maxValueLength: 3_000_000, timeout: 20_000, ...(name === 'raw' ? {} : { compressor: deflate }) })
      const values: readonly unknown[] = ['é'.repeat(500_000), 'x'.repeat(1_048_576), randomBytes(1_000_000), Buffer.alloc(1_048_576), ...(name === 'raw' ? [] : [rows])]
      await client.setMulti(values.map((value, place) => [`large:${place}`, value]))
      const read = await client.getMulti(values.map((_, place) => `large:${place}`))
      for (const [place, value] of values.entries()) t.ok(isDeepStrictEqual(read.get(`large:${place}`), value), `${name}, ${place}`)
    }
  }
})
