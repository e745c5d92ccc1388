import t from 'tap'
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
