import { setTimeout as sleep } from 'node:timers/promises'
import { Client, type ClientOptions, type MemcacheError } from '../../lib/index.ts'
import { startScripted, type Peer, type ScriptedServer } from './scripted-server.ts'

/** What becomes of calls when things go wrong, and when. */

/** How much later than its deadline a promise may settle on a machine that is busy with other things, in milliseconds. */
export const SLACK = 4000

/** For a call that has to work however busy the machine is, of a client whose own timeout is short. */
export const PATIENT = { timeout: 10_000 }

/** What became of a promise. */
export interface Outcome {
  readonly value?: unknown
  readonly error?: MemcacheError
  /** In milliseconds. */
  readonly took: number
}

/** What becomes of a promise, and when. */
export async function outcome(promise: Promise<unknown>): Promise<Outcome> {
  const started = performance.now()
  try {
    const value = await promise
    return { value, took: performance.now() - started }
  } catch (error) {
    return { error: error as MemcacheError, took: performance.now() - started }
  }
}

/** The error with which a promise rejects. */
export async function failure(promise: Promise<unknown>): Promise<MemcacheError> {
  const { error, value } = await outcome(promise)
  if (error === undefined) throw new Error(`it gave ${String(value)} instead of an error`)
  return error
}

/** Waits for what has to come within so many milliseconds, which are far more than it takes. */
export async function inTime<T>(promise: Promise<T>, milliseconds: number, what: string): Promise<T> {
  const over = new AbortController()
  const late = async (): Promise<never> => {
    await sleep(milliseconds, undefined, { signal: over.signal })
    throw new Error(`${what} has not come to its end within ${milliseconds / 1000} seconds`)
  }
  try {
    return await Promise.race([promise, late()])
  } finally {
    over.abort()
  }
}

/** Calls until it works, as an application does that goes on; gives up when it takes unreasonably long. */
export async function recovers(call: () => Promise<unknown>): Promise<unknown> {
  const until = performance.now() + SLACK
  for (;;) {
    const { value, error } = await outcome(call())
    if (error === undefined) return value
    if (performance.now() > until) throw error
    await sleep(10)
  }
}

/** Waits for something that is about to be true. */
export async function eventually(condition: () => boolean, what: string): Promise<void> {
  const until = performance.now() + SLACK
  while (!condition()) {
    if (performance.now() > until) throw new Error(`this did not come true: ${what}`)
    await sleep(2)
  }
}

/** What a file has opened, so that a test that fails half-way does not keep the process from ending. */
export class Opened {
  readonly #all: { close(): Promise<void> }[] = []

  client({ port }: { readonly port: number }, options: ClientOptions = {}): Client {
    const client = new Client({ port, timeout: 10_000, connectTimeout: 10_000, ...options })
    this.#all.push(client)
    return client
  }

  async scripted(script: (peer: Peer) => void | Promise<void>): Promise<ScriptedServer> {
    const server = await startScripted(script)
    this.#all.push(server)
    return server
  }

  async close(): Promise<void> {
    await Promise.all(this.#all.map((each) => each.close()))
  }
}

/** What the process is told that nobody handled, from now on: rejections, warnings. */
export function unhandled(): unknown[] {
  const found: unknown[] = []
  process.on('unhandledRejection', (reason) => found.push(reason))
  process.on('warning', (warning) => found.push(warning))
  return found
}

/** Numbers that look random and are the same in each run (mulberry32). */
export function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
