/// <reference types="node" preserve="true" />
import type { Buffer } from 'node:buffer'

/** Numbers in the order of bytes of the network. Node's own `readUInt16BE` and its like take twice as long. */

/** The number in two bytes. */
export function uint16At(bytes: Buffer, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
}

/** The number in four bytes. */
export function uint32At(bytes: Buffer, at: number): number {
  return (((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)) >>> 0
}
