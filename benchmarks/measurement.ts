import { spawn, type ChildProcess } from 'node:child_process'
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
  /** How much processor time the warm-up takes, in milliseconds. */
  readonly warmUp: number
  /** How long a slice lasts, about. */
  readonly milliseconds: number
  /** How many operations warm-up and slices have, instead. */
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

/** A process takes no longer to warm up, or to measure, in milliseconds; a subject that does hangs. */
const TIMEOUT = 60_000

/** A subject that is warm, in a process of its own. */
export interface Measuring {
  measure(): Promise<Measured | Failure>
  stop(): Promise<void>
}

/** Starts a worker on the processor `cpu`, and waits until it is warm. Then it does nothing until it is asked. */
export async function startMeasuring(job: Job, cpu: string | undefined): Promise<Measuring | Failure> {
  const program = new Program('worker', [JSON.stringify(job)], cpu)
  const warm = await program.message()
  if (typeof warm === 'object' && 'failure' in warm) return warm
  return {
    measure() {
      program.ask()
      return program.message<Measured>()
    },
    stop: () => program.stop(),
  }
}

/** Runs a compiled program of benchmarks/ to the one message that it sends. */
export async function runProgram<T extends object>(name: string, args: readonly string[], cpu: string | undefined, flags: readonly string[] = []): Promise<T | Failure> {
  const program = new Program(name, args, cpu, flags)
  const message = await program.message<T>()
  await program.stop()
  return message
}

/** A compiled program of benchmarks/ in a process of its own, which is spoken with by messages. */
class Program {
  readonly #child: ChildProcess
  readonly #ended: Promise<Failure>
  #said = ''

  constructor(name: string, args: readonly string[], cpu: string | undefined, flags: readonly string[] = []) {
    const node = [process.execPath, ...flags, join(COMPILED, `${name}.js`), ...args]
    const [command = '', ...rest] = cpu === undefined ? node : ['taskset', '-c', cpu, ...node]
    // Without NODE_OPTIONS: what is loaded by these into every process would be measured too.
    const { NODE_OPTIONS: _, ...env } = process.env
    this.#child = spawn(command, rest, { env, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#said += text))
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve({ failure: error.message }))
      this.#child.once('close', (code, signal) => resolve({ failure: this.#lastWords(signal ?? code) }))
    })
  }

  ask(): void {
    this.#child.send('measure', () => {}) // one that has ended says so by `close`
  }

  /** The next message, or why there is none. */
  async message<T extends object | string>(): Promise<T | Failure> {
    let timer: NodeJS.Timeout | undefined
    const message = new Promise<T>((resolve) => this.#child.once('message', (value) => resolve(value as T)))
    const late = new Promise<Failure>((resolve) => {
      timer = setTimeout(() => resolve({ failure: `nothing within ${TIMEOUT / 1000} s` }), TIMEOUT)
    })
    const first = await Promise.race([message, this.#ended, late])
    clearTimeout(timer)
    if (typeof first === 'object' && 'failure' in first) await this.stop()
    return first
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended
  }

  #lastWords(end: number | string | null): string {
    const [words] = /^\w*Error.*$/m.exec(this.#said) ?? [this.#said.trim().split('\n').at(-1)]
    return words || `it ended with ${end}`
  }
}
