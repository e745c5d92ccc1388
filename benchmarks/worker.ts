import { bareLoop } from './bare-loop.ts'

/**
 * One measurement in a process of its own: `worker.ts <bare|ermc> <port> <get|set> <in flight> <operations>`. Prints
 * JSON: CPU microseconds of this process and operations a second, after a warm-up. The client is the built one.
 */
const [, , subject, port, operation, inFlight, operations] = process.argv
const value = 'x'.repeat(100)
const keys = Array.from({ length: 1000 }, (_, i) => `benchmark:key:${String(i).padStart(8, '0')}`)

interface Subject {
  get(key: string): Promise<unknown>
  set(key: string, value: string): Promise<unknown>
  close(): unknown
}

async function open(): Promise<Subject> {
  if (subject === 'bare') return bareLoop(Number(port))
  const { Client } = (await import('../dist/esm/lib/index.js' as string)) as typeof import('../lib/index.ts')
  return new Client({ port: Number(port) })
}

async function run(client: Subject, count: number): Promise<void> {
  let next = 0
  const caller = async (): Promise<void> => {
    while (next < count) {
      const key = keys[next++ % keys.length] as string
      if (operation === 'set') await client.set(key, value)
      else if ((await client.get(key)) === undefined) throw new Error(`${key} is a miss`)
    }
  }
  await Promise.all(Array.from({ length: Number(inFlight) }, caller))
}

const client = await open()
for (const key of keys) await client.set(key, value)
await run(client, Math.min(Number(operations), 50_000))
const began = performance.now()
const before = process.cpuUsage()
await run(client, Number(operations))
const { user, system } = process.cpuUsage(before)
const seconds = (performance.now() - began) / 1000
console.log(JSON.stringify({ cpu: (user + system) / Number(operations), rate: Number(operations) / seconds }))
await client.close()
