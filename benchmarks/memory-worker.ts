import { Buffer } from 'node:buffer'
import { setImmediate as turn } from 'node:timers/promises'
import { openers } from './clients/openers.ts'
import type { Memory } from './memory.ts'

/**
 * `memory-worker.js <subject> <host> <port> <gets>`, run with --expose-gc: what memory is held after many gets, and by what is kept of them.
 * Sends a Memory.
 */
const [, , subject = '', host = '', port, gets] = process.argv
const IN_FLIGHT = 1000
/** One value is kept of as many gets as fill what a socket is read into, 64 KiB, more than once. */
const [KEPT, ONE_OF] = [50, 1000]

const collect = (globalThis as { gc?: () => void }).gc as () => void
const open = openers[subject]
process.once('disconnect', () => process.exit()) // the benchmark was broken off
if (open === undefined) throw new Error(`there is no ${subject}`)
const client = await open({ host, port: Number(port), strings: false, compress: false })
const read = client.readValue ?? ((reply) => reply)
const keys = Array.from({ length: 1000 }, (_, index) => `memory.${process.pid}.${index}`)
for (const key of keys) await client.set(key, Buffer.alloc(100, 'x'))

/** Makes so many gets; gives the value of the last one. */
async function burst(count: number): Promise<unknown> {
  let [next, last] = [0, undefined as unknown]
  const caller = async (): Promise<void> => {
    while (next < count) {
      const key = keys[next++ % keys.length] as string
      last = await client.get(key)
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, caller))
  return read(last)
}

/** Bytes of the heap, and of Buffers, that are reachable. */
async function held(): Promise<number> {
  for (let times = 0; times < 3; times += 1) {
    await turn()
    collect()
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

await burst(10_000) // what is allocated once
const before = await held()
await burst(Number(gets))
const after = await held()
const kept: unknown[] = []
for (let times = 0; times < KEPT; times += 1) kept.push(await burst(ONE_OF))
const memory: Memory = { grown: after - before, kept: ((await held()) - after) / kept.length }
process.send?.(memory)
