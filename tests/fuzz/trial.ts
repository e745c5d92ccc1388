import { Buffer } from 'node:buffer'
import { readdirSync, readFileSync } from 'node:fs'
import { ByteReader } from '../../lib/byte-reader.ts'
import type { Item, Request } from '../../lib/commands.ts'
import { MemcacheDriverError, MemcacheError, MemcacheProtocolError } from '../../lib/errors.ts'
import { encoded } from '../support/exchanges.ts'
import { oursOf, repliesTo, show, SUBJECTS, type Subject } from '../support/replay.ts'
import { mutated, oneOf, pieces, type Random } from './mutation.ts'

/** What a protocol owes to any bytes at all. It stands on what a Protocol shows: `frame`, `decode`, `unasked`, `usableAfter`. */

/** Requests, and what comes in reply. */
export interface Input {
  readonly requests: readonly Request[]
  /** In latin1. */
  readonly response: string
}

/** As small as it can be that the recordings have room: what announces more has to be refused, not reserved. */
const MAX_LENGTH = 100_000
/** What a frame may have beside its value: a line and CRLF, or a packet's header, extras and key. */
const BESIDE = 66_000

/** A reader that sees a protocol go wrong: standing still, reserving what is not accepted, keeping more than it was fed. */
class StrictReader extends ByteReader {
  #fed = 0
  #needed = 0

  override feed(bytes: Buffer, length = bytes.length): void {
    this.#fed += length
    super.feed(bytes, length)
  }

  override need(size: number): undefined {
    if (size > MAX_LENGTH + BESIDE) throw new Error(`${size} bytes are reserved`)
    if (size <= this.end - this.start) throw new Error(`it waits for ${size} bytes, ${this.end - this.start} are here`)
    this.#needed = size
    super.need(size)
  }

  override advance(next: number): void {
    if (next <= this.start || next > this.end) throw new Error(`a frame from ${this.start} to ${next} of ${this.end}`)
    this.#needed = 0
    super.advance(next)
  }

  override keep(): void {
    super.keep()
    if (this.bytes.length > Math.max(this.#fed, this.#needed)) throw new Error(`${this.bytes.length} bytes are kept, ${this.#fed} were fed`)
  }
}

/** What is wrong with how these bytes are read; nothing, if all is well. They are read whole, and in pieces of many lengths. */
export function flaws({ name, protocol }: Subject, { requests, response }: Input, random: Random): string[] {
  const bytes = Buffer.from(response, 'latin1')
  const read = (parts: readonly Buffer[]): unknown[] => repliesTo(protocol, requests, parts, { reader: new StrictReader(), maxLength: MAX_LENGTH })
  const whole = read([bytes])
  const wrong = whole.filter((reply) => reply instanceof Error && !isOurs(reply)).map((error) => `not an error of ours: ${(error as Error).stack}`)
  if (whole.length > requests.length + 1) wrong.push(`${whole.length} replies to ${requests.length} requests`)
  if (name !== 'binary') wrong.push(...unfenced(whole, response))
  const expected = show(whole.map(kind))
  for (const parts of [pieces(bytes, random), pieces(bytes, random)]) {
    const found = show(read(parts).map(kind))
    if (found !== expected) wrong.push(`in ${parts.length} pieces ${found.slice(0, 500)}, not ${expected.slice(0, 500)}`)
  }
  return wrong
}

/** The values among these replies, of a protocol of lines, that no CRLF stands behind. */
function unfenced(replies: readonly unknown[], response: string): string[] {
  const values = replies.flat().flatMap((reply) => (Buffer.isBuffer((reply as Partial<Item> | undefined)?.value) ? [(reply as Item).value.toString('latin1')] : []))
  return values.filter((value) => !response.includes(`${value}\r\n`)).map((value) => `${JSON.stringify(value.slice(0, 100))} is taken for a value`)
}

/** What a connection expects of a protocol: a refusal, or a fault that ends it. */
function isOurs(error: Error): boolean {
  return error instanceof MemcacheDriverError || error instanceof MemcacheProtocolError
}

/** A reply; of an error what it is, since its words may quote as much as has come. */
function kind(reply: unknown): unknown {
  return reply instanceof MemcacheError ? reply.name : reply
}

const folder = new URL('../fixtures/fuzz-corpus/', import.meta.url)

/** Inputs that reached what the recordings do not, and such as were once misread. */
export function corpus({ name, requestsOf }: Subject): Input[] {
  if (!readdirSync(folder).includes(`${name}.jsonl`)) return []
  const lines = readFileSync(new URL(`${name}.jsonl`, folder), 'utf8').trim().split('\n')
  return lines.map((line) => {
    const { request, response } = JSON.parse(line) as { request: string; response: string }
    return { requests: requestsOf(request) ?? [], response }
  })
}

/** The line of an input in a corpus. */
export function corpusLine({ protocol }: Subject, { requests, response }: Input): string {
  return JSON.stringify({ request: requests.map((request, place) => encoded(protocol, request, place + 1)).join(''), response })
}

/** What mutation begins with: the recordings that a client of ours can have, and the corpus. */
export function seeds(subject: Subject): Input[] {
  return [...oursOf(subject).filter(({ response }) => response.length < 2000), ...corpus(subject)]
}

/** An input that did not exist before. */
export function offspring(pool: readonly Input[], random: Random): Input {
  const { requests, response } = oneOf(random, pool)
  const other = oneOf(random, pool)
  const asked = random() < 0.1 ? other.requests : requests
  return { requests: asked, response: mutated(response, random, other.response) }
}

/** Text, meta and binary. */
export const FUZZED = SUBJECTS
