import { bareLoop } from './bare-loop.ts'

/**
 * One measurement in a process of its own: `worker.ts <subject> <port> <operation> <in flight> <operations>`, where the subject is
 * `bare` or a driver and the operation `get`, `set` or `getMulti` (of 100 keys). Prints JSON: CPU microseconds of this process
 * for each operation, and operations a second, after a warm-up. The client is the built one.
 */
const [, , subject = '', port, operation, inFlight, operations] = process.argv
const value = 'x'.repeat(100)
const keys = Array.from({ length: 1000 }, (_, i) => `benchmark:key:${String(i).padStart(8, '0')}`)
const hundreds = Array.from({ length: 10 }, (_, i) => keys.slice(i * 100, (i + 1) * 100))

interface Subject {
  get(key: string): Promise<unknown>
  set(key: string, value: string): Promise<unknown>
  getMulti?(keys: readonly string[]): Promise<Map<string, unknown>>
  close(): unknown
}

async function open(): Promise<Subject> {
  if (subject === 'bare') return bareLoop(Number(port))
  const ermc = (await import('../dist/esm/lib/index.js' as string)) as typeof import('../lib/index.ts')
  if (subject !== 'memjs') return new ermc.Client({ port: Number(port), driver: ermc[subject as 'text' | 'binary' | 'meta'] })
  const { memjs } = (await import('../dist/esm/drivers/memjs.js' as string)) as typeof import('../drivers/memjs.ts')
  return new ermc.Client({ port: Number(port), driver: memjs })
}

async function run(client: Subject, count: number): Promise<void> {
  let next = 0
  const caller = async (): Promise<void> => {
    while (next < count) {
      const place = next++
      const key = keys[place % keys.length] as string
      if (operation === 'set') await client.set(key, value)
      else if (operation === 'get') {
        if ((await client.get(key)) === undefined) throw new Error(`${key} is a miss`)
      } else if ((await client.getMulti?.(hundreds[place % hundreds.length] as string[]))?.size !== 100) throw new Error('a key is a miss')
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
