import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { freePort, installed } from '../tests/support/servers.ts'
import { COMPILED } from './compilation.ts'

/** Where a server listens. */
export interface Endpoint {
  readonly host: string
  readonly port: number
}

/** The server that everything is measured against. */
export interface BenchmarkServer extends Endpoint {
  /** What it is, for the report. */
  readonly name: string
  stop(): Promise<void>
}

/** What is asked for: a real memcached, the embedded server, or one that runs already, as host:port. */
export type ServerChoice = 'memcached' | 'embedded' | Endpoint

/** Megabytes of a memcached of ours: nothing that is measured may be pushed out. */
const MEMORY = '2048'

/** Starts a server, or finds the user's. Without memcached the embedded one takes its place, and says so in its name. */
export async function startBenchmarkServer(choice: ServerChoice, cpu: string | undefined): Promise<BenchmarkServer> {
  if (typeof choice === 'object') return { ...choice, name: `memcached ${await versionOf(choice)} at ${choice.host}:${choice.port}, which was running`, stop: async () => {} }
  if (choice === 'embedded') return embedded('the embedded server of ermc/testing, in a process of its own: not a memcached', cpu)
  if (!installed('memcached')) return embedded('the embedded server of ermc/testing, as memcached is not installed', cpu)
  const endpoint = { host: '127.0.0.1', port: await freePort() }
  const user = process.getuid?.() === 0 ? ['-u', 'root'] : []
  const child = start(['memcached', '-l', endpoint.host, '-p', String(endpoint.port), '-U', '0', '-m', MEMORY, '-c', '4096', ...user], cpu)
  return { ...endpoint, name: `memcached ${await versionOf(endpoint)}, started for this`, stop: () => stop(child) }
}

async function embedded(name: string, cpu: string | undefined): Promise<BenchmarkServer> {
  const child = start([process.execPath, join(COMPILED, 'embedded-server.js')], cpu)
  const [line] = (await once(createInterface(child.stdout as NodeJS.ReadableStream), 'line')) as [string]
  const { port } = JSON.parse(line) as { port: number }
  return { host: '127.0.0.1', port, name, stop: () => stop(child) }
}

function start(command: readonly string[], cpu: string | undefined): ChildProcess {
  const [program = '', ...args] = cpu === undefined ? command : ['taskset', '-c', cpu, ...command]
  const { NODE_OPTIONS: _, ...env } = process.env
  const child = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'inherit'] })
  process.once('exit', () => child.kill('SIGKILL')) // when the run is broken off
  return child
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

/** What the server says its version is; asked until it listens. */
async function versionOf({ host, port }: Endpoint): Promise<string> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const socket = connect(port, host)
      await once(socket, 'connect')
      socket.write('version\r\n')
      const [reply] = (await once(socket, 'data')) as [Buffer]
      socket.destroy()
      return reply.toString().trim().replace('VERSION ', '')
    } catch (error) {
      if (attempt === 100) throw error
      await new Promise((resolve) => setTimeout(resolve, 25))
    }
  }
}
