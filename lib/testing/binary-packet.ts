/// <reference types="node" preserve="true" />

/**
 * The packets of the binary protocol. Requests and replies begin with the same 24 bytes, numbers in network order:
 *
 *     0 magic   1 opcode   2 key length, 2 bytes   4 extras length   5 data type   6 status of a reply, 2 bytes
 *     8 length of extras, key and value together, 4 bytes   12 opaque, 4 bytes   16 cas id, 8 bytes
 *
 * Extras, key and value follow. Data type and a request's status are ignored, as memcached does.
 */

import type { ReadBuffer } from './read-buffer.ts'

/** The first byte of every request: it tells the binary protocol from text. */
export const REQUEST_MAGIC = 0x80
const REPLY_MAGIC = 0x81
const HEADER_LENGTH = 24
const FLAGS_LENGTH = 4

/** A request without its value, which is still to come. */
export interface BinaryRequest {
  readonly opcode: number
  /** latin1, one character a byte. */
  readonly key: string
  /** To be read at once: the bytes are the read buffer's. */
  readonly extras: Buffer
  /** Negative when the header claims a body shorter than extras and key. */
  readonly valueLength: number
  /** Echoed in the reply. */
  readonly opaque: number
  /** 0 = none. */
  readonly cas: bigint
}

/** What a reply may carry besides the request's opcode and opaque. */
export interface BinaryReply {
  /** 0, the default, is success. */
  readonly status?: number
  /** Of an item: the extras of a reply to a retrieval. */
  readonly flags?: number | undefined
  readonly key?: string | undefined
  readonly value?: Buffer | string | undefined
  readonly cas?: number
}

/** Uses the next request but for its value; `undefined` when it is not all there, `foreign` when it is no request. */
export function readRequest(input: ReadBuffer): BinaryRequest | 'foreign' | undefined {
  const header = input.view(HEADER_LENGTH)
  if (header === undefined) return undefined
  if (header[0] !== REQUEST_MAGIC) return 'foreign'
  const keyStart = HEADER_LENGTH + header[4]!
  const keyEnd = keyStart + header.readUInt16BE(2)
  const packet = input.view(keyEnd)
  if (packet === undefined) return undefined
  input.skip(keyEnd)
  return {
    opcode: packet[1]!,
    key: packet.toString('latin1', keyStart, keyEnd),
    extras: packet.subarray(HEADER_LENGTH, keyStart),
    valueLength: packet.readUInt32BE(8) - (keyEnd - HEADER_LENGTH),
    opaque: packet.readUInt32BE(12),
    cas: packet.readBigUInt64BE(16)
  }
}

/** A reply's header, flags and key; its value goes out behind them. */
export function replyHead(opcode: number, opaque: number, { status = 0, flags, key = '', value = '', cas = 0 }: BinaryReply): Buffer {
  const extrasLength = flags === undefined ? 0 : FLAGS_LENGTH
  const head = Buffer.alloc(HEADER_LENGTH + extrasLength + key.length)
  head[0] = REPLY_MAGIC
  head[1] = opcode
  head.writeUInt16BE(key.length, 2)
  head[4] = extrasLength
  head.writeUInt16BE(status, 6)
  head.writeUInt32BE(extrasLength + key.length + value.length, 8)
  head.writeUInt32BE(opaque, 12)
  head.writeBigUInt64BE(BigInt(cas), 16)
  if (flags !== undefined) head.writeUInt32BE(flags, HEADER_LENGTH)
  head.write(key, HEADER_LENGTH + extrasLength, 'latin1')
  return head
}
