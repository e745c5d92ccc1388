/**
 * What tracing costs: `npx tsx benchmarks/tracing.ts`. A driver without a server, so that nothing is measured but the client.
 * Nanoseconds of processor time, which does not mind what else the machine does; the best of several rounds.
 */
import { channel, tracingChannel } from 'node:diagnostics_channel'
import { Client, type Driver, type Execute } from '../lib/index.ts'

const ROUNDS = 9
const CALLS = 30_000
const AT_ONCE = 100
const CHECKS = 1e7

let seen = 0

/** Nanoseconds for each of so many. */
async function measure(what: string, times: number, work: () => Promise<void> | void): Promise<void> {
  let best = Infinity
  for (let round = 0; round < ROUNDS; round += 1) {
    const began = process.cpuUsage()
    await work()
    const { user, system } = process.cpuUsage(began)
    best = Math.min(best, ((user + system) / times) * 1000)
  }
  console.log(`${what.padEnd(21)} ${best.toFixed(1)}`)
}

const commands = tracingChannel('ermc:command')
await measure('the check alone', CHECKS, () => {
  for (let check = 0; check < CHECKS; check += 1) if (commands.hasSubscribers) seen += 1
})

const misses: Execute = () => Promise.resolve(undefined as never)
const immediate: Driver = { connected: true, connect: async () => {}, execute: misses, disconnect: async () => {} }
await using client = new Client({ driver: () => immediate })
const gets = async (): Promise<void> => {
  for (let call = 0; call < CALLS; call += AT_ONCE) await Promise.all(Array.from({ length: AT_ONCE }, () => client.get('key')))
}
const listener = (): void => void (seen += 1)
await measure('a get, nobody listens', CALLS, gets)
channel('tracing:ermc:command:asyncEnd').subscribe(listener)
await measure('a get, one listener', CALLS, gets)
channel('tracing:ermc:command:asyncEnd').unsubscribe(listener)
await measure('a get, nobody again', CALLS, gets)
