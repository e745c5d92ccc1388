import { createHistogram, PerformanceObserver } from 'node:perf_hooks'
import { GCProfiler, getHeapStatistics } from 'node:v8'
import type { Client } from './clients/client.ts'
import { openers } from './clients/openers.ts'
import { exercise, type Calls } from './exercises.ts'
import type { Job, Measured } from './measurement.ts'
import { scenarioNamed } from './scenarios.ts'

/**
 * One measurement, in a process of its own: it is told a Job as JSON and prints what it has Measured as JSON. First a warm-up, then three
 * slices: processor time and rate, with nothing around the calls; then latencies; then garbage. So none of them pays for another.
 */

/** Of so many replies one is verified. */
const SAMPLE = 64
/** Where values are large, a process is warm when it has had a full collection; until then it looks far cheaper than it is. */
const LARGE = 10_000
const FULL_COLLECTION = 4
/** How much longer the warm-up waits for that. */
const PATIENCE = 5
const LEAST_OPERATIONS = 50

let calls: Calls
let next = 0
const job = JSON.parse(process.argv[2] as string) as Job

/** Makes so many calls, `inFlight` of them at once. */
async function run(count: number): Promise<void> {
  const end = next + count
  const { operation, isRight } = calls
  const caller = async (): Promise<void> => {
    while (next < end) {
      const index = next++
      const reply = await operation(index)
      if (index % SAMPLE === 0 && !isRight(reply, index)) throw new Error(`a wrong reply: ${JSON.stringify(reply)?.slice(0, 200)}`)
    }
  }
  await Promise.all(Array.from({ length: Math.min(job.inFlight, count) }, caller))
}

/** As `run`, timing each call; gives the histogram of nanoseconds. */
async function runTimed(count: number): Promise<{ p50: number; p99: number }> {
  const end = next + count
  const latencies = createHistogram()
  const caller = async (): Promise<void> => {
    while (next < end) {
      const index = next++
      const began = performance.now()
      await calls.operation(index)
      latencies.record(Math.max(1, Math.round((performance.now() - began) * 1e6)))
    }
  }
  await Promise.all(Array.from({ length: Math.min(job.inFlight, count) }, caller))
  return { p50: latencies.percentile(50) / 1000, p99: latencies.percentile(99) / 1000 }
}

/** Bytes of heap that are allocated: how much it grew between the collections. What Buffers hold is outside of it. */
async function garbageOf(work: () => Promise<void>): Promise<number> {
  const profiler = new GCProfiler()
  profiler.start()
  let [allocated, floor] = [0, getHeapStatistics().used_heap_size]
  await work()
  const top = getHeapStatistics().used_heap_size
  for (const { beforeGC, afterGC } of profiler.stop().statistics) {
    allocated += beforeGC.heapStatistics.usedHeapSize - floor
    floor = afterGC.heapStatistics.usedHeapSize
  }
  return allocated + top - floor
}

/** Runs until the code and the heap are as they will stay; gives operations a second. */
async function warmUp(size: number): Promise<number> {
  let collected = size < LARGE
  const observer = new PerformanceObserver((list) => {
    if (list.getEntries().some((entry) => (entry as { detail?: { kind?: number } }).detail?.kind === FULL_COLLECTION)) collected = true
  })
  observer.observe({ entryTypes: ['gc'] })
  const began = performance.now()
  let rate = 0
  for (let count = LEAST_OPERATIONS; ; count = Math.min(count * 2, 4096)) {
    const operations = Math.min(Math.max(count, job.inFlight), job.operations ?? Infinity)
    await calls.prepare?.(next, operations)
    const before = performance.now()
    await run(operations)
    const now = performance.now()
    rate = operations / ((now - before) / 1000)
    const elapsed = now - began
    if (elapsed >= job.milliseconds * (collected ? 1 : PATIENCE)) break
  }
  observer.disconnect()
  return rate
}

/** Many clients as one, each of which gets the next call. */
function inTurn(clients: readonly Client[]): Client {
  let turn = 0
  const next = (): Client => clients[turn++ % clients.length] as Client
  return { ...clients[0], get: (key) => next().get(key), set: (key, value) => next().set(key, value), close: () => {} }
}

async function measure(): Promise<Measured> {
  const scenario = scenarioNamed(job.scenario)
  const open = openers[job.subject]
  if (scenario === undefined || open === undefined) throw new Error(`there is no ${job.scenario} or no ${job.subject}`)
  const opening = { ...job, strings: scenario.kind === 'string', compress: scenario.compress }
  const clients = await Promise.all(Array.from({ length: job.clients ?? 1 }, () => open(opening)))
  const client = clients.length === 1 ? (clients[0] as Client) : inTurn(clients)
  calls = await exercise(client, scenario, `${process.pid.toString(36)}.`)
  const rate = await warmUp(scenario.size)
  const lasting = (share: number): number => Math.max(LEAST_OPERATIONS, job.inFlight * 2, Math.round((rate * job.milliseconds * share) / 1000))
  const operations = job.operations ?? lasting(1)
  const few = job.operations ?? lasting(0.3)

  await calls.prepare?.(next, operations)
  const began = performance.now()
  const before = process.cpuUsage()
  await run(operations)
  const { user, system } = process.cpuUsage(before)
  const seconds = (performance.now() - began) / 1000

  await calls.prepare?.(next, few)
  const { p50, p99 } = await runTimed(few)
  await calls.prepare?.(next, few)
  const garbage = (await garbageOf(() => run(few))) / few
  for (const each of clients) await each.close()
  return { cpu: (user + system) / operations, rate: operations / seconds, p50, p99, garbage }
}

console.log(JSON.stringify(await measure()))
process.exit() // what a library keeps open is no concern of a measurement
