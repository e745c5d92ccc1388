/**
 * A program that runs the snippets in a folder, one after the other, and sends its parent what became of each. The
 * server that they think is on memcached's port is an embedded one, empty for each of them.
 */
import { readdirSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import net from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { inspect } from 'node:util'
import { startServer } from '../../lib/testing/index.ts'

/** What the program sends for each snippet. */
export interface Outcome {
  readonly file: string
  /** Absent: it ran, and what it promised was true. */
  readonly problem?: string
}

const MEMCACHED_PORT = 11211

class Printed {
  readonly text: string
  constructor(value: unknown) {
    this.text = typeof value === 'string' ? value : show(value)
  }
}

function show(value: unknown): string {
  return value instanceof Printed ? value.text : inspect(value, { breakLength: Infinity })
}

function same(line: number, expected: string, actual: string): void {
  if (actual !== expected) throw new Error(`line ${line}: ${actual}, not ${expected} as it says`)
}

Object.assign(globalThis, {
  __printed: (value: unknown) => new Printed(value),
  __gives: (line: number, expected: string, value: unknown) => same(line, expected, show(value)),
  __rejects: async (line: number, expected: string, call: () => Promise<unknown>) => {
    const outcome = await call().then(show, (error: unknown) => (error instanceof Error ? error.name : show(error)))
    same(line, expected, outcome)
  },
})

const [folder = ''] = process.argv.slice(2)
const server = await startServer()
const { connect } = net
type Connect = (options: net.NetConnectOpts, ...rest: unknown[]) => net.Socket
const redirected: Connect = (options, ...rest) => {
  const toMemcached = 'port' in options && options.port === MEMCACHED_PORT
  return (connect as Connect)(toMemcached ? { ...options, port: server.port } : options, ...rest)
}
Object.assign(net, { connect: redirected })
syncBuiltinESMExports()

/** Whether the server sees the end of all connections; it may take it a moment. */
async function allClosed(): Promise<boolean> {
  for (let attempt = 0; server.connections > 0 && attempt < 100; attempt += 1) await sleep(10)
  return server.connections === 0
}

for (const file of readdirSync(folder).sort()) {
  server.clear()
  const outcome: Outcome = await import(pathToFileURL(join(folder, file)).href).then(
    async () => ((await allClosed()) ? { file } : { file, problem: 'it leaves a connection open' }),
    (error: unknown) => ({ file, problem: error instanceof Error ? (error.stack ?? error.message) : show(error) }),
  )
  server.dropConnections()
  process.send?.(outcome)
}
await server.close()
