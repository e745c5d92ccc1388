import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import fc from 'fast-check'
import { Client } from '../../lib/index.ts'
import { crowds, meet, Tally } from '../model/crowd.ts'
import { openStage, type OpenStage } from '../model/stage.ts'
import { DRIVERS, type DriverRow } from '../support/drivers.ts'
import { unhandled } from '../support/outcomes.ts'
import { withoutMemcached } from '../support/servers.ts'
import { Monitor } from './monitor.ts'

/**
 * Crowds of callers for as long as you like, through restarts, stalls and resets of a real memcached:
 *
 *     npm run soak -- --minutes 10 [--driver text] [--clients 8] [--seed 1]
 *
 * Each client has a memcached of its own behind a proxy, and goes from crowd to crowd. Exits with 0 if every promise was
 * settled, with what is its own, and nothing has grown.
 */

/** What was asked for. @throws Error for what nobody can run. */
function settings(): { readonly minutes: number; readonly rows: readonly DriverRow[]; readonly seed: number } {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '1' },
      driver: { type: 'string' },
      clients: { type: 'string' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    },
  })
  const among = DRIVERS.filter(({ name }) => values.driver === undefined || name === values.driver)
  const minutes = Number(values.minutes)
  const clients = Number(values.clients ?? among.length)
  const seed = Number(values.seed)
  if (among.length === 0) throw new Error(`--driver is one of ${DRIVERS.map(({ name }) => name).join(', ')}`)
  if (!(minutes > 0) || !(clients >= 1) || !Number.isInteger(seed)) throw new Error('--minutes, --clients and --seed are numbers')
  return { minutes, rows: Array.from({ length: clients }, (_, place) => among[place % among.length] as DriverRow), seed }
}

/** One client, from crowd to crowd until it is time. */
async function visitUntil(isOver: () => boolean, { driver, name }: DriverRow, place: number, seed: number, monitor: Monitor): Promise<void> {
  const stage: OpenStage = await openStage()
  const client = new Client({ port: stage.proxy.port, driver, timeout: 300, connectTimeout: 20_000 })
  monitor.watch(client)
  try {
    for (let round = 0; !isOver(); round += 1) {
      const roundSeed = seed + 1000 * round + place
      const [bursts = []] = fc.sample(crowds(true), { seed: roundSeed, numRuns: 1 })
      const meeting = meet(bursts, { client, stage, prefix: `${place}-${round}`, troubled: true, tally: monitor.tally })
      await meeting.catch((error: unknown) => {
        throw new Error(`${name}, seed ${roundSeed}: ${String(error)}`, { cause: error })
      })
      await client.get('signal', { signal: monitor.signal, timeout: 20_000 })
    }
  } finally {
    await client.close()
    await stage.close()
  }
}

async function soak(): Promise<boolean> {
  const { minutes, rows, seed } = settings()
  if (withoutMemcached) throw new Error(`a soak needs a real server: ${withoutMemcached}`)
  const unexpected = unhandled()
  let until = performance.now() + minutes * 60_000
  process.once('SIGINT', () => (until = 0))
  console.log(`${rows.length} clients (${[...new Set(rows.map(({ name }) => name))].join(', ')}) for ${minutes} minutes, seed ${seed}`)
  const monitor = new Monitor(new Tally())
  const problems: string[] = []
  const isOver = (): boolean => performance.now() >= until || problems.length > 0
  await Promise.all(rows.map((row, place) => visitUntil(isOver, row, place, seed, monitor).catch((error: unknown) => void problems.push(String(error)))))
  await sleep(100) // what is closed leaves the event loop in the next turns
  return monitor.verdict([...problems, ...unexpected.map((each) => `nobody handled ${String(each)}`)])
}

try {
  process.exitCode = (await soak()) ? 0 : 1
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 2
}
