/**
 * A worker for a queue: `tsx docs/examples/queue-worker.ts [host:port]`. Without an address it starts a server of its own
 * and fills it. SIGTERM and SIGINT end it gracefully: what is open is finished, nothing new is taken.
 */
import { Client } from '../../lib/index.ts' // in your own code: from 'ermc'
import { startServer } from '../../lib/testing/index.ts' // in your own code: from 'ermc/testing'

interface Mail {
  readonly to: string
  readonly subject: string
}

const own = process.argv[2] === undefined ? await startServer({ dialect: 'kestrel' }) : undefined
const client = new Client(own?.url ?? `memcached://${process.argv[2]}`)
const mails = client.queue<Mail>('mails', { codec: 'json' })
if (own !== undefined) for (let n = 1; n <= 20; n += 1) await mails.put({ to: `user${n}@example.com`, subject: 'Hello' })

/** Stands for something slow that can fail. Sending the same mail twice would be a pity: a real one looks first whether it did. */
async function send({ to, subject }: Mail, signal: AbortSignal): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 20))
  if (signal.aborted) return // somebody else has it now
  if (to === 'user13@example.com') throw new Error('no such user')
  console.log(`sent "${subject}" to ${to}`)
}

const worker = mails.process((job, { signal }) => send(job.value, signal), {
  concurrency: 4,
  retries: 2,
  backoff: 50,
  deadLetter: 'mails-failed',
  onFault: (fault, job) => console.error(job === undefined ? `server: ${fault}` : `${job.queue}: ${fault}`),
})

async function end(): Promise<void> {
  await worker.close()
  const { done, buried, lost } = worker.counters
  console.log(`ended: ${done} done, ${buried} in mails-failed, ${lost} lost`)
  await client.close()
  await own?.close()
}

process.once('SIGTERM', () => void end())
process.once('SIGINT', () => void end())
