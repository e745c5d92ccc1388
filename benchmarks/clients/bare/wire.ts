import { Buffer, isAscii } from 'node:buffer'
import { connect, type Socket } from 'node:net'

/**
 * What a memcached client cannot be cheaper than: a hand-written socket loop. It writes once a turn, keeps a FIFO of real
 * promises and parses in place. It checks nothing and survives nothing. This half knows sockets; a protocol is beside it.
 */

/** A command whose reply is on its way. */
export interface Waiting {
  /** The key of a single get. */
  readonly key: string
  /** Of a multi-get: the keys, the place among them of the one that may come next, and what has come. */
  readonly keys: readonly string[] | undefined
  place: number
  readonly items: Map<string, unknown> | undefined
  /** Of gets that share a line: whether it ends the line. */
  last: boolean
  value: unknown
  readonly resolve: (reply: never) => void
  next: Waiting | undefined
}

/** Reads whole replies from `at` on and settles who waits for them; gives where the first one begins that is not whole. */
export type Parse = (wire: BareWire, bytes: Buffer, at: number, end: number) => number

/** The longest line in front of a value, with room to spare: what is cut off of it is put in front of what comes next. */
export const MARGIN = 512
const READ = 64 * 1024
/** From this length on, bytes: a value is written by reference, and one that came in pieces is handed out as it is. */
const LONG = 4096

/** A connection to a server, and what waits in it. */
export class BareWire {
  head: Waiting | undefined
  /** How long the reply is that is not whole, where its beginning tells. */
  announced = 0
  #tail: Waiting | undefined
  #text = ''
  #parts: (string | Buffer)[] = []
  #scheduled = false
  #gathered: Buffer | undefined
  #filled = 0
  /** What in `#memory` came before and is not parsed yet; it ends at MARGIN. */
  #kept = 0
  readonly #memory = Buffer.allocUnsafeSlow(MARGIN + READ)
  readonly #socket: Socket
  readonly #parse: Parse
  readonly #strings: boolean
  readonly #beforeWrite: () => void

  /** `strings`: values are handed out as strings, not as Buffers. */
  constructor(host: string, port: number, parse: Parse, strings: boolean, beforeWrite: () => void = () => {}) {
    this.#parse = parse
    this.#strings = strings
    this.#beforeWrite = beforeWrite
    const onread = { buffer: this.#memory.subarray(MARGIN), callback: (length: number): boolean => this.#receive(length) }
    this.#socket = connect({ host, port, noDelay: true, onread })
    this.#socket.on('error', (error) => process.nextTick(() => { throw error })) // nothing is measured any more
  }

  /** Adds text to what leaves at the end of this turn. */
  write(text: string): void {
    if (!this.#scheduled) {
      this.#scheduled = true
      process.nextTick(() => this.#flush())
    }
    this.#text += text
  }

  /** Adds a command line (or packet) and its value, whose length in bytes `line` is told. */
  writeValue(line: (length: number) => string, value: string | Buffer, end: string): void {
    const length = typeof value === 'string' ? Buffer.byteLength(value) : value.length
    if (typeof value === 'string' && value.length === length && length < LONG) return this.write(line(length) + value + end)
    this.write(line(length))
    const bytes = typeof value !== 'string' ? value : value.length === length ? Buffer.from(value, 'latin1') : Buffer.from(value)
    if (length < LONG) return this.write(bytes.toString('latin1') + end)
    this.#parts.push(this.#text, bytes)
    this.#text = end
  }

  /** Puts a caller behind those who wait already. */
  wait<T>(key: string, keys?: readonly string[]): Promise<T> {
    return new Promise<T>((resolve) => {
      const waiting: Waiting = { key, keys, place: 0, items: keys && new Map(), last: true, value: undefined, resolve: resolve as Waiting['resolve'], next: undefined }
      if (this.#tail === undefined) this.head = waiting
      else this.#tail.next = waiting
      this.#tail = waiting
    })
  }

  /** The caller that came last. */
  get tail(): Waiting | undefined {
    return this.#tail
  }

  /** The reply of the caller at the head. */
  settle(reply: unknown): void {
    const waiting = this.head as Waiting
    this.head = waiting.next
    if (this.head === undefined) this.#tail = undefined
    waiting.resolve(reply as never)
  }

  /** A value, which lies between these places, out of memory that is used again. */
  value(bytes: Buffer, start: number, end: number): string | Buffer {
    const length = end - start
    if (this.#strings) return bytes.toString(length < 1024 || !isAscii(bytes.subarray(start, end)) ? 'utf8' : 'latin1', start, end)
    if (bytes !== this.#memory && length >= LONG) return bytes.subarray(start, end)
    const value = Buffer.allocUnsafe(length)
    bytes.copy(value, 0, start, end)
    return value
  }

  close(): void {
    this.#socket.destroy()
  }

  #flush(): void {
    this.#beforeWrite()
    this.#scheduled = false
    const text = this.#text
    this.#text = ''
    if (this.#parts.length === 0) {
      this.#socket.write(text, 'latin1')
      return
    }
    this.#socket.cork()
    for (const part of this.#parts) {
      if (typeof part !== 'string') this.#socket.write(part)
      else if (part !== '') this.#socket.write(part, 'latin1')
    }
    if (text !== '') this.#socket.write(text, 'latin1')
    this.#socket.uncork()
    this.#parts = []
  }

  #receive(length: number): boolean {
    let from = MARGIN - this.#kept
    const end = MARGIN + length
    const gathered = this.#gathered
    if (gathered !== undefined) {
      const copied = this.#memory.copy(gathered, this.#filled, from, end)
      this.#filled += copied
      if (this.#filled < gathered.length) return true
      this.#gathered = undefined
      this.#parse(this, gathered, 0, gathered.length)
      from += copied
    }
    this.#kept = 0
    const at = this.#parse(this, this.#memory, from, end)
    const rest = end - at
    if (rest === 0) return true
    if (rest <= MARGIN) {
      this.#memory.copy(this.#memory, MARGIN - rest, at, end)
      this.#kept = rest
    } else {
      this.#gathered = Buffer.allocUnsafeSlow(this.announced)
      this.#filled = this.#memory.copy(this.#gathered, 0, at, end)
    }
    return true
  }
}

/** Whether a line that begins at `at` is whole. */
export function wholeLine(bytes: Buffer, at: number, end: number): boolean {
  if (end - at >= MARGIN) return true
  const newline = bytes.indexOf(10, at)
  return newline !== -1 && newline < end
}

/** Gives the key of a multi-get that has come, whose place is now `waiting.place`: those before it are misses. */
export function arrived(waiting: Waiting, bytes: Buffer, at: number): string {
  const keys = waiting.keys as readonly string[]
  while (!isKey(bytes, at, keys[waiting.place] as string)) waiting.place += 1
  return keys[waiting.place] as string
}

/** Whether these bytes are this key, and the key ends there. */
export function isKey(bytes: Buffer, at: number, key: string): boolean {
  const after = bytes[at + key.length] as number
  return after <= 32 && bytes.toString('latin1', at, at + key.length) === key
}
