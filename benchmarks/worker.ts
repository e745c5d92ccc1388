import { createHistogram, PerformanceObserver } from 'node:perf_hooks'
import { GCProfiler, getHeapStatistics } from 'node:v8'
import type { Client } from './clients/client.ts'
import { openers } from './clients/openers.ts'
import { exercise, type Calls } from './exercises.ts'
import type { Job, Measured } from './measurement.ts'
import { scenarioNamed } from './scenarios.ts'

/**
 * A subject in a process of its own. It is told a Job as JSON, warms up and says so; then it measures whenever it is told to, and sends what it
 * has Measured: one slice for processor time and rate, with nothing around the calls, then one for latencies, then one for garbage, so
 * that none of them pays for another.
 */

/** Of so many replies one is verified. */
const SAMPLE = 64
/** Where values are large, a process is warm when it has had a full collection; until then it looks far cheaper than it is. */
const LARGE = 10_000
const FULL_COLLECTION = 4
/** The warm-up takes at most so many times longer by the clock, or for that collection, than the processor time that it should. */
const PATIENCE = 4
const LEAST_OPERATIONS = 50
/** The slices for latencies and garbage are so much shorter. */
const SHORT = 0.3
/** Libraries that close a connection on which nothing happens are kept busy meanwhile, once in so many milliseconds. */
const IDLE = 1000

const job = JSON.parse(process.argv[2] as string) as Job
const scenario = scenarioNamed(job.scenario)
const open = openers[job.subject]
if (scenario === undefined || open === undefined) throw new Error(`there is no ${job.scenario} or no ${job.subject}`)

let next = 0
const opening = { ...job, strings: scenario.kind === 'string', compress: scenario.compress }
const clients = await Promise.all(Array.from({ length: job.clients ?? 1 }, () => open(opening)))
const calls: Calls = await exercise(clients.length === 1 ? (clients[0] as Client) : inTurn(clients), scenario, `${process.pid.toString(36)}.`)
const rate = await warmUp(scenario.size)
let idle = setInterval(keepBusy, IDLE)
process.once('disconnect', () => process.exit()) // the benchmark was broken off
process.on('message', () => void measure().then((measured) => process.send?.(measured)))
process.send?.('warm')

/** Many clients as one, each of which gets the next call. */
function inTurn(all: readonly Client[]): Client {
  let turn = 0
  const following = (): Client => all[turn++ % all.length] as Client
  return { ...all[0], get: (key) => following().get(key), set: (key, value) => following().set(key, value), close: () => {} }
}

function keepBusy(): void {
  for (const client of clients) void client.get('nothing')
}

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

/** As `run`, timing each call; gives microseconds. */
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

/** Processor time of this process up to now, in microseconds. */
function processorTime(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}

/** Runs until the code and the heap are as they will stay; gives operations a second. */
async function warmUp(size: number): Promise<number> {
  let collected = size < LARGE
  const observer = new PerformanceObserver((list) => {
    if (list.getEntries().some((entry) => (entry as { detail?: { kind?: number } }).detail?.kind === FULL_COLLECTION)) collected = true
  })
  observer.observe({ entryTypes: ['gc'] })
  const [began, spent] = [performance.now(), processorTime()]
  for (let count = LEAST_OPERATIONS; ; count = Math.min(count * 2, 4096)) {
    const operations = job.operations ?? Math.max(count, job.inFlight)
    await calls.prepare?.(next, operations)
    const before = performance.now()
    await run(operations)
    const now = performance.now()
    const warm = collected && (processorTime() - spent) / 1000 >= job.warmUp
    if (!warm && now - began < job.warmUp * PATIENCE && job.operations === undefined) continue
    observer.disconnect()
    return operations / ((now - before) / 1000)
  }
}

async function measure(): Promise<Measured> {
  clearInterval(idle)
  const lasting = (share: number): number => Math.max(LEAST_OPERATIONS, job.inFlight * 2, Math.round((rate * job.milliseconds * share) / 1000))
  const operations = job.operations ?? lasting(1)
  const few = job.operations ?? lasting(SHORT)

  await calls.prepare?.(next, operations)
  const began = performance.now()
  const spent = processorTime()
  await run(operations)
  const cpu = (processorTime() - spent) / operations
  const seconds = (performance.now() - began) / 1000

  await calls.prepare?.(next, few)
  const { p50, p99 } = await runTimed(few)
  await calls.prepare?.(next, few)
  const garbage = (await garbageOf(() => run(few))) / few
  idle = setInterval(keepBusy, IDLE)
  return { cpu, rate: operations / seconds, p50, p99, garbage }
}
