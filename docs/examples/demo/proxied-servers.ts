/** Two memcached and a twemproxy in front of them: programs of this machine, on free ports, which end with the demo. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** Those that are running. */
export interface ProxiedServers extends AsyncDisposable {
  /** The port of the pool that ejects a dead server. */
  readonly cache: number
  /** The port of the pool that does not. */
  readonly state: number
  /** Those of the two memcached, called one and two in nutcracker.yml. */
  readonly ports: readonly [one: number, two: number]
  /** Kills the memcached called two, as a machine that loses its power does. */
  kill(): Promise<void>
  /** Starts it again: with nothing in it. */
  revive(): Promise<void>
}

/** Which of the programs are not installed. */
export function missingPrograms(): string[] {
  return ['memcached', 'nutcracker'].filter((program) => spawnSync(program, ['-V'], { stdio: 'ignore' }).error !== undefined)
}

/** Starts all three, and waits until they listen. */
export async function startProxied(): Promise<ProxiedServers> {
  const folder = mkdtempSync(join(tmpdir(), 'ermc-demo-'))
  const [one, two, cache, state, statistics] = await freePorts()
  const running = new Set<ChildProcess>()
  const start = async (program: string, args: readonly string[], port: number): Promise<ChildProcess> => {
    const child = spawn(program, args, { stdio: 'ignore' })
    running.add(child)
    await listening(port, child)
    return child
  }
  const end = async (child: ChildProcess): Promise<void> => {
    running.delete(child)
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
  }
  const dispose = async (): Promise<void> => {
    for (const child of running) await end(child)
    rmSync(folder, { recursive: true, force: true })
  }
  const memcached = (port: number): Promise<ChildProcess> =>
    start('memcached', ['-l', '127.0.0.1', '-p', String(port), '-U', '0', ...(process.getuid?.() === 0 ? ['-u', 'root'] : [])], port)
  try {
    await memcached(one)
    let second = await memcached(two)
    const ports = new Map([[22121, cache], [22122, state], [11211, one], [11212, two]])
    const example = readFileSync(new URL('../nutcracker.yml', import.meta.url), 'utf8')
    const config = join(folder, 'nutcracker.yml')
    writeFileSync(config, example.replace(/(?<=127\.0\.0\.1:)\d+/g, (port) => String(ports.get(Number(port)))))
    await start('nutcracker', ['-c', config, '-a', '127.0.0.1', '-s', String(statistics), '-o', join(folder, 'log')], state)
    return {
      cache,
      state,
      ports: [one, two],
      kill: () => end(second),
      async revive() {
        second = await memcached(two)
      },
      [Symbol.asyncDispose]: dispose,
    }
  } catch (error) {
    await dispose()
    throw error
  }
}

/** Five ports that were free a moment ago. */
async function freePorts(): Promise<[number, number, number, number, number]> {
  const servers = Array.from({ length: 5 }, () => createServer().listen(0, '127.0.0.1'))
  const ports = await Promise.all(servers.map(async (server) => {
    if (!server.listening) await new Promise((resolve) => server.once('listening', resolve))
    return (server.address() as AddressInfo).port
  }))
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports as [number, number, number, number, number]
}

async function listening(port: number, child: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 400; attempt += 1) {
    if (child.exitCode !== null) throw new Error(`${child.spawnfile} ended with ${child.exitCode}`)
    const socket = connect(port, '127.0.0.1')
    const connected = await new Promise<boolean>((resolve) => socket.once('connect', () => resolve(true)).once('error', () => resolve(false)))
    socket.destroy()
    if (connected) return
    await sleep(25)
  }
  throw new Error(`${child.spawnfile} does not listen on port ${port}`)
}
