import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { COMPILED } from './compilation.ts'
import type { Endpoint } from './server.ts'

/** What a worker is told. */
export interface Job extends Endpoint {
  readonly subject: string
  readonly scenario: string
  readonly inFlight: number
  /** How many clients share the calls. Default 1. */
  readonly clients?: number
  /** How long a slice lasts, about, and the warm-up at least. */
  readonly milliseconds: number
  /** How many operations a slice has, instead. */
  readonly operations?: number
}

/** What a worker finds. */
export interface Measured {
  /** Microseconds of the client's process for each operation, user and system. */
  readonly cpu: number
  /** Operations a second. */
  readonly rate: number
  /** Microseconds from a call to its reply: of half the calls at most, and of 99 in 100. */
  readonly p50: number
  readonly p99: number
  /** Bytes of heap for each operation. */
  readonly garbage: number
}

/** What is the matter with a subject that did not measure: it gave wrong replies, an error, or nothing. */
export interface Failure {
  readonly failure: string
}

/** A measurement takes no longer, in milliseconds; a subject that does hangs. */
const TIMEOUT = 60_000

/** Runs a compiled program of benchmarks/ in a process of its own, on the processor `cpu`; gives the JSON that it prints. */
export async function runProgram<T>(program: string, args: readonly string[], cpu: string | undefined, flags: readonly string[] = []): Promise<T | Failure> {
  const node = [process.execPath, ...flags, join(COMPILED, `${program}.js`), ...args]
  const [command = '', ...rest] = cpu === undefined ? node : ['taskset', '-c', cpu, ...node]
  // Without NODE_OPTIONS: what is loaded by these into every process would be measured too.
  const { NODE_OPTIONS: _, ...env } = process.env
  const child = spawn(command, rest, { env, stdio: ['ignore', 'pipe', 'pipe'], timeout: TIMEOUT, killSignal: 'SIGKILL' })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
  const end = await new Promise<number | string | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve(signal ?? code))
  })
  if (end === 0) return JSON.parse(out) as T
  const [said] = /^\w*Error.*$/m.exec(err) ?? [err.trim().split('\n').at(-1)]
  return { failure: end === 'SIGKILL' ? `it did not end within ${TIMEOUT / 1000} s` : said || `it ended with ${end}` }
}
