import { Buffer } from 'node:buffer'
import { types } from 'node:util'

/** What all typed arrays inherit from: its properties are the true ones. */
const TYPED_ARRAY = Object.getPrototypeOf(Uint8Array.prototype) as object
/** What is asked of a Buffer when it is sent: by ourselves, by Node's `toString`, by memjs. */
const ASKED = ['length', 'toString', 'latin1Slice', 'copy'] as const

/**
 * The same memory as a Buffer of Node's own. One whose `length` or `latin1Slice` has been replaced would be announced with
 * one length and sent with another, and what is behind its end would be read as commands.
 */
export function plainBytes(bytes: Uint8Array): Buffer {
  if (Object.getPrototypeOf(bytes) === Buffer.prototype && !ASKED.some((name) => Object.hasOwn(bytes, name))) return bytes as Buffer
  const [memory, start, length] = ['buffer', 'byteOffset', 'byteLength'].map((name) => Reflect.get(TYPED_ARRAY, name, bytes) as unknown)
  return Buffer.from(memory as ArrayBuffer, start as number, length as number)
}

const lengthOf = Object.getOwnPropertyDescriptor(TYPED_ARRAY, 'length')?.get as (this: Uint8Array) => number
/** What Node's `toString('latin1')` calls, after it has looked at what a caller may have replaced. */
const { latin1Slice } = Buffer.prototype as unknown as { latin1Slice(this: Uint8Array, start: number, end: number): string }

/** Whether this is a Buffer and nothing that only looks like one; not all are found that are one. */
export function isOrdinaryBuffer(value: unknown): value is Buffer {
  return types.isUint8Array(value) && Object.getPrototypeOf(value) === Buffer.prototype
}

/** Its length in bytes, whatever a property of that name says. */
export function trueLength(bytes: Buffer): number {
  return lengthOf.call(bytes)
}

/** Its bytes as they are at this moment, one character a byte, whatever has been done to its methods. */
export function latin1Text(bytes: Buffer): string {
  return latin1Slice.call(bytes, 0, trueLength(bytes))
}
