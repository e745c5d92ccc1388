import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { Client } from '../lib/client.ts'
import { crowds, meet, Tally, type Burst } from './model/crowd.ts'
import { openStage, type OpenStage } from './model/stage.ts'
import { DRIVERS, type DriverRow } from './support/drivers.ts'
import { unhandled } from './support/outcomes.ts'
import { withoutMemcached } from './support/servers.ts'

/**
 * Crowds of callers on every driver against a real memcached, through cuts, stalls, refusals, restarts, reconnects and
 * closes: a reply is never given to another request, and `sent: false` is never said of what was done.
 *
 *     MODEL_SEED=7 npx tap tests/crowd.test.ts                    other crowds; a failure says which seed made it
 *     MODEL_RUNS=20 npx tap --timeout=900 tests/crowd.test.ts     twenty times as many
 */

const SEED = Number(process.env['MODEL_SEED'] ?? 42)
const RUNS = Number(process.env['MODEL_RUNS'] ?? 1)
/** Milliseconds for one property. A failure is made smaller no longer than this, so that it is reported before tap gives up. */
const TIME_LIMIT = 60_000 * RUNS
const STEPS = 50_000 * RUNS

const unexpected = unhandled()
const tally = new Tally()
let played = 0

void t.test('on the real memcached', { skip: withoutMemcached }, async (t) => {
  const stages = new Map<DriverRow, OpenStage>()
  for (const driver of DRIVERS) {
    const stage = await openStage()
    t.teardown(() => stage.close())
    stages.set(driver, stage)
  }

  /** On all drivers at the same time, each with a server of its own. */
  const onEachDriver = async (bursts: readonly Burst[], troubled: boolean): Promise<void> => {
    played += 1
    await Promise.all(DRIVERS.map(async (row) => {
      const stage = stages.get(row) as OpenStage
      const before = stage.proxy.accepted
      await using client = new Client({ port: stage.proxy.port, driver: row.driver, timeout: troubled ? 300 : 20_000, connectTimeout: 20_000 })
      await meet(bursts, { client, stage, prefix: `${played}`, troubled, tally }).catch((error: unknown) => {
        throw new Error(`${row.name}: ${String(error)}`)
      })
      // The second one is made when all calls are over.
      const accepted = stage.proxy.accepted - before
      if (!troubled && accepted > 2) throw new Error(`${row.name}: ${accepted} connections, for one that nobody has closed`)
    }))
  }
  const holds = async (troubled: boolean, numRuns: number): Promise<void> => {
    const limits = { interruptAfterTimeLimit: TIME_LIMIT, markInterruptAsFailure: true }
    const property = fc.asyncProperty(crowds(troubled), (bursts) => onEachDriver(bursts, troubled))
    await fc.assert(property, { seed: SEED, numRuns: numRuns * RUNS, ...limits })
  }

  await t.test('callers that give up, on a connection that stands', () => holds(false, 15))
  await t.test('callers that give up, on connections that break', () => holds(true, 60))

  await t.test('there were enough of them, and enough went well', (t) => {
    const { settled } = tally
    t.ok(settled >= STEPS, `${settled} steps`)
    t.ok(tally.of('ok') > settled / 4, JSON.stringify([...tally.outcomes]))
    for (const code of ['SOCKET', 'TIMEOUT', 'CLOSED']) t.ok(tally.of(`ERR_MEMCACHE_${code}`) > 20 * RUNS, `errors of the code ${code}`)
    t.end()
  })
})

t.test('nothing was left unhandled, nothing was warned of', async (t) => {
  await sleep(20)
  t.same(unexpected, [])
})
