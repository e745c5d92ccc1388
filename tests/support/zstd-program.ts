import { zstd } from '../../lib/index.ts'
import { checksOf, type Check } from './compressor-checks.ts'
import { roundTrips, SERIALIZERS } from './round-trips.ts'

/** What zstd has to do, in a Node that has it: `zstd-program.ts <port of a memcached> <values>`. Prints a line of JSON for each check. */

const [, , port, values] = process.argv

const trips = Object.keys(SERIALIZERS).map((serializer, place): Check => [`${serializer}: whatever it keeps comes back`, async () => {
  await roundTrips({ port: Number(port), serializer, compressor: 'zstd', count: Number(values), seed: place })
}])

for (const [name, body] of [...checksOf('zstd', zstd), ...trips]) {
  let problem = ''
  try {
    await body()
  } catch (error) {
    problem = error instanceof Error ? (error.stack ?? error.message) : String(error)
  }
  console.log(JSON.stringify({ name, problem }))
}
