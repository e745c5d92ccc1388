import { FaultProxy } from '../support/fault-proxy.ts'
import { startMemcached } from '../support/servers.ts'
import type { Stage } from './trouble.ts'

/** A stage that somebody has to close. */
export interface OpenStage extends Stage {
  close(): Promise<void>
}

/** A real memcached, behind a proxy. */
export async function openStage(): Promise<OpenStage> {
  const args = ['-t', '2', '-m', '256']
  let running = await startMemcached(args)
  const proxy = await FaultProxy.start(running)
  let closed = false
  return {
    proxy,
    server: {
      pause: () => running.pause(),
      resume: () => running.resume(),
      restart: async () => {
        await running.stop()
        running = await startMemcached(args, running.port)
        if (closed) await running.stop() // meanwhile: a crowd that takes too long is left alone, and goes on
      },
    },
    close: async () => {
      closed = true
      running.resume()
      await Promise.all([proxy.close(), running.stop()])
    },
  }
}
