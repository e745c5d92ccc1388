import { spawn, spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import memjs from 'memjs'
import type { Description } from './descriptions.ts'
import { outsideTap } from './outside-tap.ts'
import { root } from './pages.ts'

/** The real clients of other languages, as programs that store and read what they are told to in JSON. */

/** One of them, connected to a server. */
export interface ForeignClient {
  /** Stores a value that is described in the client's own types. */
  set(key: string, value: Description, options?: object): Promise<void>
  /** Describes what it reads. */
  get(key: string): Promise<Description>
  close(): Promise<void>
}

/** The interpreter that can load these modules, if there is one: a machine may have several, and only Debian's has them. */
export function pythonWith(modules: string): string | undefined {
  return ['python3', '/usr/bin/python3'].find((python) => succeeds(python, ['-c', `import ${modules}`]))
}

/** Whether a program ends well. */
export function succeeds(program: string, args: readonly string[]): boolean {
  return spawnSync(...outsideTap(program, args), { stdio: 'ignore' }).status === 0
}

/** A program of tests/interop. */
export function startForeign(program: string, script: string, ...args: readonly string[]): ForeignClient {
  const child = spawn(...outsideTap(program, [join(root, 'tests/interop', script), ...args]), { stdio: ['pipe', 'pipe', 'inherit'] })
  const gone = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const ask = async (command: object): Promise<Description> => {
    child.stdin.write(`${JSON.stringify(command)}\n`)
    const { value, done } = await lines.next()
    if (done === true) throw new Error(`${script} has ended`)
    const answer = JSON.parse(value) as Description | { error: string }
    if ('error' in answer) throw new Error(answer.error)
    return answer
  }
  return {
    async set(key, value, options) {
      const stored = await ask({ set: key, value, options })
      if (stored[1] !== true) throw new Error(`${script} has not stored ${JSON.stringify(value)}`)
    },
    get: (key) => ask({ get: key }),
    close() {
      child.stdin.end()
      return gone
    },
  }
}

/** A client that runs in this process, and says values as it has them. */
export interface NodeClient {
  set(key: string, value: unknown): Promise<unknown>
  get(key: string): Promise<unknown>
  close(): void
}

/** memjs. It gives Buffers. */
export function startMemjs(port: number): NodeClient {
  const client = memjs.Client.create(`127.0.0.1:${port}`)
  return {
    set: (key, value) => client.set(key, value as string, { expires: 0 }),
    get: async (key) => (await client.get(key)).value,
    close: () => client.close(),
  }
}

type Callback = (error: unknown, value: unknown) => void
interface Memcached {
  set(key: string, value: unknown, lifetime: number, callback: Callback): void
  get(key: string, callback: Callback): void
  end(): void
}

/** memcached, which comes without types. */
export function startNpmMemcached(port: number): NodeClient {
  const Client = createRequire(import.meta.url)('memcached') as new (server: string) => Memcached
  const client = new Client(`127.0.0.1:${port}`)
  const called = (call: (callback: Callback) => void): Promise<unknown> =>
    new Promise((resolve, reject) => call((error, value) => (error ? reject(error as Error) : resolve(value))))
  return {
    set: (key, value) => called((callback) => client.set(key, value, 0, callback)),
    get: (key) => called((callback) => client.get(key, callback)),
    close: () => client.end(),
  }
}

