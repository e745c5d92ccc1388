/// <reference types="node" preserve="true" />
import { Buffer, isUtf8 } from 'node:buffer'
import { asBuffer, attempt } from '../codec.ts'
import { MemcacheValueError } from '../errors.ts'
import { show, showThrown } from '../show.ts'

/**
 * How the values of a queue become bytes. Queue servers drop an item's flags, so that nothing but the caller's word says
 * what the bytes are: any serializer is one.
 */
export interface QueueCodec<T = unknown> {
  /** @throws MemcacheValueError for what would come back changed. */
  serialize(value: T): Buffer
  deserialize(bytes: Buffer): T
}

/** Buffers as they are. */
export const bytes: QueueCodec<Buffer> = {
  serialize(value) {
    if (!Buffer.isBuffer(value)) throw new MemcacheValueError(`this queue takes Buffers, not ${show(value)}: give it a codec`)
    return value
  },
  deserialize: (value) => Buffer.from(value),
}

/** Strings, as UTF-8. */
export const utf8: QueueCodec<string> = {
  serialize(value) {
    if (typeof value !== 'string') throw new MemcacheValueError(`this queue takes strings, not ${show(value)}`)
    if (!value.isWellFormed()) throw new MemcacheValueError('the string has a lone surrogate, which has no bytes in UTF-8')
    return Buffer.from(value, 'utf8')
  },
  deserialize(value) {
    if (!isUtf8(value)) throw new MemcacheValueError('the value is no UTF-8')
    return value.toString('utf8')
  },
}

/** The bytes of a value. @throws MemcacheValueError for too many, and for none: several of these servers damage an empty item. */
export function encodeJob<T>(codec: QueueCodec<T>, value: T, maxLength: number): Buffer {
  const encoded = asBuffer('codec', attempt('codec', () => codec.serialize(value)))
  if (encoded.length === 0) throw new MemcacheValueError('a queue takes no empty value: several servers lose or change it')
  if (encoded.length > maxLength) throw new MemcacheValueError(`the value is ${encoded.length} bytes long: maxValueLength is ${maxLength}`)
  return encoded
}

/** @throws MemcacheValueError for bytes that the codec cannot read. */
export function decodeJob<T>(codec: QueueCodec<T>, value: Buffer, queue: string): T {
  try {
    return codec.deserialize(value)
  } catch (error) {
    throw new MemcacheValueError(`a value of the queue ${JSON.stringify(queue)} cannot be decoded: ${showThrown(error)}`, { cause: error, sent: true })
  }
}
