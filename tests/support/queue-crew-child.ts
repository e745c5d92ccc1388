import { writeSync } from 'node:fs'
import { Client } from '../../lib/index.ts'
import { startWorker, type Manner } from './queue-crew.ts'

/** A worker in a process of its own: `queue-crew-child.ts <port> <manner>`. At SIGTERM it closes, and ends if nothing is left open. */

const [port, manner] = process.argv.slice(2)
const client = new Client({ port: Number(port) })
const worker = startWorker(client, manner as Manner, (event, job, time) => {
  writeSync(1, `${event} ${job} ${time}\n`) // at once: who is killed cannot say it later
})
process.once('SIGTERM', async () => {
  await worker.close()
  await client.close()
  process.stdin.destroy()
})
process.stdin.on('end', () => process.exit()).resume()
