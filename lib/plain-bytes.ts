import { Buffer } from 'node:buffer'

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
