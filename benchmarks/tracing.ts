/**
 * What tracing costs: `npx tsx benchmarks/tracing.ts`. A driver without a server, so that nothing is measured but the client:
 * a real command is some ten times as much. Nanoseconds; the best of several rounds.
 */
import { channel, tracingChannel } from 'node:diagnostics_channel'
import { Client, wrap } from '../lib/index.ts'

const ROUNDS = 9
const CALLS = 30_000
const AT_ONCE = 100

const best = (values: readonly number[]): string => Math.min(...values).toFixed(1)

const commands = tracingChannel('ermc:command')
let seen = 0
const checks = Array.from({ length: ROUNDS }, () => {
  const began = performance.now()
  for (let call = 0; call < 1e7; call += 1) if (commands.hasSubscribers) seen += 1
  return ((performance.now() - began) / 1e7) * 1e6
})
console.log(`the check alone       ${best(checks)}`)

await using client = new Client({ driver: wrap('immediate', () => ({ commands: { get: () => undefined }, close() {} })) })

async function measure(what: string): Promise<void> {
  const rounds: number[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    const began = performance.now()
    for (let call = 0; call < CALLS; call += AT_ONCE) await Promise.all(Array.from({ length: AT_ONCE }, () => client.get('key')))
    rounds.push(((performance.now() - began) / CALLS) * 1e6)
  }
  console.log(`${what.padEnd(21)} ${best(rounds)}`)
}

const listener = (): void => void (seen += 1)
await measure('a get, nobody listens')
channel('tracing:ermc:command:asyncEnd').subscribe(listener)
await measure('a get, one listener')
channel('tracing:ermc:command:asyncEnd').unsubscribe(listener)
await measure('a get, nobody again')
