import type { Client, Job } from '../../lib/index.ts'

/** Those who work on the jobs of a stress test, and say of each what became of it. */

/**
 * What befell a job: somebody got it; then its acknowledgement was confirmed, or its return was; or the connection was lost
 * while it was open (`lost`), or while its acknowledgement was on its way (`doubt`): then the server may have taken it.
 */
export type Event = 'got' | 'acked' | 'aborted' | 'lost' | 'doubt'

/** Takes note of an event. Its time is that of the whole machine, in milliseconds. */
export type Log = (event: Event, job: number, time: number) => void

/** How somebody works: waits for each acknowledgement; lets it travel with the next read; is called as a handler. */
export type Manner = 'waiting' | 'folding' | 'handling'

/** Somebody at work. */
export interface Worker {
  /** Finishes what is open, takes nothing new. */
  close(): Promise<void>
  readonly counters: { readonly received: number; readonly acked: number; readonly aborted: number; readonly lost: number }
}

/** Begins to work on the jobs of the queue `jobs`, whose values are numbers. Gives back one in ten. */
export function startWorker(client: Client, manner: Manner, log: Log): Worker {
  const queue = client.queue<number>('jobs', { codec: 'json' })
  if (manner === 'handling') {
    return queue.process((job) => work(job, log), { blockFor: 100 })
  }
  const consumer = queue.consume({ blockFor: 100 })
  const loop = (async () => {
    for await (const job of consumer) {
      const settled = await work(job, log)
      if (manner === 'waiting') await settled.outcome
    }
  })()
  return {
    async close() {
      await consumer.close()
      await loop
      await consumer.return()
    },
    get counters() {
      return consumer.counters
    },
  }
}

/** Resolves when the job is done and the server is being told so; the outcome is logged. */
async function work(job: Job<number>, log: Log): Promise<{ readonly outcome: Promise<void> }> {
  const number = job.value
  log('got', number, now())
  const luck = Math.random()
  await new Promise((resolve) => setTimeout(resolve, luck < 0.05 ? 10 : 1))
  const wasOpen = job.open
  const outcome = luck > 0.9
    ? job.abort().then(() => log('aborted', number, now()), () => log('lost', number, now()))
    : job.ack().then(() => log('acked', number, now()), () => log(wasOpen ? 'doubt' : 'lost', number, now()))
  return { outcome }
}

function now(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000
}
