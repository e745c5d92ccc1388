/// <reference types="node" preserve="true" />
import { Buffer, isUtf8 } from 'node:buffer'
import { MemcacheValueError } from '../lib/errors.ts'

/** Bytes, read from front to back. A length is believed only as far as there are bytes. */
export class ByteInput {
  readonly #name: string
  readonly #bytes: Buffer
  #at = 0

  /** `name`: what the bytes are, in messages. */
  constructor(name: string, bytes: Buffer) {
    this.#name = name
    this.#bytes = bytes
  }

  /** How many bytes are left. */
  get left(): number {
    return this.#bytes.length - this.#at
  }

  /** The place of these many bytes, which are behind it then. @throws MemcacheValueError when there are fewer. */
  #skip(length: number): number {
    if (length > this.left) throw new MemcacheValueError(`${this.#name} says that ${length} bytes follow, but ${this.left} do`)
    const from = this.#at
    this.#at += length
    return from
  }

  /** A byte, as a number. */
  uint8(): number {
    return this.#bytes[this.#skip(1)] as number
  }

  /** Little-endian, as are all but the floating-point numbers. */
  uint16(): number {
    return this.#bytes.readUInt16LE(this.#skip(2))
  }

  /** Of 4 bytes, with a sign. */
  int32(): number {
    return this.#bytes.readInt32LE(this.#skip(4))
  }

  /** Of 4 bytes, without a sign. */
  uint32(): number {
    return this.#bytes.readUInt32LE(this.#skip(4))
  }

  /** A length of 8 bytes; one that a number cannot hold exactly is too long in any case. */
  length64(): number {
    return Number(this.#bytes.readBigUInt64LE(this.#skip(8)))
  }

  /** Of 8 bytes, big-endian. */
  double(): number {
    return this.#bytes.readDoubleBE(this.#skip(8))
  }

  /** Bytes that are still the same memory. */
  bytes(length: number): Buffer {
    const from = this.#skip(length)
    return this.#bytes.subarray(from, from + length)
  }

  /** @throws MemcacheValueError for what is no UTF-8: Python writes lone surrogates so, which no other client could read. */
  utf8(length: number): string {
    const from = this.#skip(length)
    const text = this.#bytes.toString('utf8', from, from + length)
    if (text.includes('\ufffd') && !isUtf8(this.#bytes.subarray(from, from + length))) {
      throw new MemcacheValueError(`${this.#name} has a string with a lone surrogate, which is no UTF-8`)
    }
    return text
  }

  /** All before the next one of this byte, which is skipped. */
  until(byte: number): Buffer {
    const end = this.#bytes.indexOf(byte, this.#at)
    if (end === -1) throw new MemcacheValueError(`${this.#name} ends too early`)
    const bytes = this.bytes(end - this.#at)
    this.#at += 1
    return bytes
  }
}
