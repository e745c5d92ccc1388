import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo, type Server } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** Servers that the tests talk to: programs of this machine, started on free ports and ended by their process id. */

/** A server program under test. */
export interface RealServer {
  readonly host: string
  readonly port: number
  readonly pid: number
  /** Ends it (SIGKILL by default) and waits until it is gone. */
  stop(signal?: NodeJS.Signals): Promise<void>
  /** SIGSTOP: it keeps its connections and answers nothing, until {@link RealServer.resume}. */
  pause(): void
  resume(): void
}

/** Whether a program is installed. */
export function installed(program: string): boolean {
  return spawnSync('which', [program], { stdio: 'ignore' }).status === 0
}

/** Why the suites against a real memcached cannot run, or `false`: what tap's `skip` takes. */
export const withoutMemcached: string | false = installed('memcached') ? false : 'memcached is not installed'

/** Why the suites against a real twemproxy cannot run, or `false`. */
export const withoutTwemproxy: string | false = installed('nutcracker') ? false : 'nutcracker (twemproxy) is not installed'

/** A TCP port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await listening(server, 0)
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Makes a server of node:net listen on 127.0.0.1; gives its port. */
export async function listening(server: Server, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  return (server.address() as AddressInfo).port
}

/** Starts a real memcached, with further arguments such as `-I`, `1024`. */
export async function startMemcached(args: readonly string[] = [], port?: number): Promise<RealServer> {
  const free = port ?? (await freePort())
  const user = process.getuid?.() === 0 ? ['-u', 'root'] : []
  return startProgram('memcached', ['-l', '127.0.0.1', '-p', String(free), '-U', '0', ...user, ...args], free)
}

/** Starts a program that listens on a port of 127.0.0.1, and waits until it does. */
export async function startProgram(program: string, args: readonly string[], port: number): Promise<RealServer> {
  const child = spawn(program, args, { stdio: 'ignore' })
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  await reachable(port, child)
  const { pid } = child
  if (pid === undefined) throw new Error(`${program} did not start`)
  return {
    host: '127.0.0.1',
    port,
    pid,
    stop: (signal = 'SIGKILL') => {
      child.kill(signal)
      return gone
    },
    pause: () => {
      child.kill('SIGSTOP')
      while (!stopped(pid)); // the signal is on its way: until it has arrived, the program still answers
    },
    resume: () => void child.kill('SIGCONT'),
  }
}

/** Whether every thread of a process has stopped, as far as this system tells (/proc of Linux). */
function stopped(pid: number): boolean {
  const tasks = `/proc/${pid}/task`
  if (!existsSync(tasks)) return true
  return readdirSync(tasks).every((task) => / [Tt] /.test(readFileSync(`${tasks}/${task}/stat`, 'latin1')))
}

async function reachable(port: number, child: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    if (child.exitCode !== null) throw new Error(`${child.spawnfile} ended with ${child.exitCode}`)
    const connected = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1')
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
      socket.once('close', () => socket.destroy())
      socket.once('connect', () => socket.destroy())
    })
    if (connected) return
    await sleep(25)
  }
  child.kill('SIGKILL')
  throw new Error(`${child.spawnfile} does not listen on port ${port}`)
}
