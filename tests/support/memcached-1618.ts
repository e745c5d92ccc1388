import { spawnSync } from 'node:child_process'
import { startMemcached } from './servers.ts'

/** The memcached whose behaviour the embedded server has, to compare the two with each other. */

const { stdout } = spawnSync('memcached', ['-V'], { encoding: 'utf8' })

/** Why nothing can be compared, or `false`: what tap's `skip` takes. */
export const withoutMemcached1618: string | false = stdout?.includes('1.6.18') ? false : 'memcached 1.6.18 is not installed: nothing was compared with it'

/** Starts one of its own for a comparison, which ends when it goes out of use. */
export async function startMemcached1618(args: readonly string[] = []): Promise<AsyncDisposable & { readonly port: number }> {
  const { port, stop } = await startMemcached(['-t', '1', ...args])
  return { port, [Symbol.asyncDispose]: () => stop() }
}
