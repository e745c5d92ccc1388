/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'

/** Bytes, one piece behind the other, in memory that grows with them. */
export class ByteOutput {
  #bytes = Buffer.allocUnsafe(256)
  #length = 0

  /** What was written. */
  end(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }

  /** The place of these many bytes more. */
  #grow(count: number): number {
    const from = this.#length
    this.#length += count
    if (this.#length > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#length, 2 * this.#bytes.length))
      this.#bytes.copy(larger, 0, 0, from)
      this.#bytes = larger
    }
    return from
  }

  /** One byte, by its number. */
  uint8(value: number): void {
    const at = this.#grow(1)
    this.#bytes[at] = value
  }

  /** Little-endian. */
  uint32(value: number): void {
    const at = this.#grow(4)
    this.#bytes.writeUInt32LE(value, at)
  }

  /** Little-endian, with a sign. */
  int32(value: number): void {
    const at = this.#grow(4)
    this.#bytes.writeInt32LE(value, at)
  }

  /** Little-endian, with a sign. */
  int64(value: bigint): void {
    const at = this.#grow(8)
    this.#bytes.writeBigInt64LE(value, at)
  }

  /** Big-endian, 8 bytes. */
  double(value: number): void {
    const at = this.#grow(8)
    this.#bytes.writeDoubleBE(value, at)
  }

  /** A copy of these. */
  bytes(bytes: Uint8Array): void {
    const at = this.#grow(bytes.length)
    this.#bytes.set(bytes, at)
  }

  /** As UTF-8. */
  text(text: string): void {
    const length = Buffer.byteLength(text)
    const at = this.#grow(length)
    this.#bytes.write(text, at, length)
  }
}
