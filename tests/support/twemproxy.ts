import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './pages.ts'
import { freePort, startMemcached, startProgram, type RealServer } from './servers.ts'

/** A real twemproxy with two real memcached behind it, which run as docs/examples/nutcracker.yml says, on other ports. */
export interface ProxiedServers {
  /** The port of the pool whose dead servers are ejected. */
  readonly cache: number
  /** The port of the pool whose dead servers stay. */
  readonly state: number
  readonly backends: readonly [RealServer, RealServer]
  readonly proxy: RealServer
  /** Starts one of the two servers that has been stopped, or the proxy, again: where it was, and empty. */
  restart(which: 0 | 1 | 'proxy'): Promise<void>
  stop(): Promise<void>
}

/** Starts all three. `folder` is for twemproxy's files. */
export async function startProxied(folder: string): Promise<ProxiedServers> {
  const backends: [RealServer, RealServer] = [await startMemcached(), await startMemcached()]
  const [cache, state, statistics] = [await freePort(), await freePort(), await freePort()]
  const config = join(folder, 'nutcracker.yml')
  const ports = new Map([[22121, cache], [22122, state], [11211, backends[0].port], [11212, backends[1].port]])
  const example = readFileSync(join(root, 'docs/examples/nutcracker.yml'), 'utf8')
  writeFileSync(config, example.replace(/(?<=127\.0\.0\.1:)\d+/g, (port) => String(ports.get(Number(port)))))
  const startProxy = (): Promise<RealServer> => startProgram('nutcracker', ['-c', config, '-a', '127.0.0.1', '-s', String(statistics), '-o', join(folder, 'log')], state)
  let proxy = await startProxy()
  return {
    cache,
    state,
    backends,
    get proxy() {
      return proxy
    },
    async restart(which) {
      if (which === 'proxy') proxy = await startProxy()
      else backends[which] = await startMemcached([], backends[which].port)
    },
    async stop() {
      await Promise.all([proxy, ...backends].map((each) => each.stop()))
    },
  }
}
