import { Buffer } from 'node:buffer'

/** Packets of the binary protocol, as a server writes and reads them. All that is bytes is latin1 text, one character a byte. */

/** The first byte of a request. */
export const REQUEST = 0x80
/** The first byte of a reply. */
export const RESPONSE = 0x81
const HEADER = 24

/** The opcodes that stand in these tests. */
export const OPCODES = {
  get: 0x00, set: 0x01, add: 0x02, replace: 0x03, delete: 0x04, incr: 0x05, decr: 0x06, quit: 0x07, flush: 0x08, getq: 0x09, noop: 0x0a,
  version: 0x0b, getk: 0x0c, getkq: 0x0d, append: 0x0e, prepend: 0x0f, stat: 0x10, verbosity: 0x1b, touch: 0x1c, gat: 0x1d, hello: 0x1f,
} as const

/** A packet, taken apart. */
export interface Packet {
  readonly magic: number
  readonly opcode: number
  /** In a request it is the number of a vbucket, which nobody looks at. */
  readonly status: number
  readonly opaque: number
  readonly cas: bigint
  readonly extras: string
  readonly key: string
  readonly value: string
}

/** What can be said of a packet; the lengths and the type of its data only where they are to be wrong. */
export interface PacketParts extends Partial<Packet> {
  readonly opcode: number
  readonly keyLength?: number
  readonly extrasLength?: number
  readonly dataType?: number
  readonly bodyLength?: number
}

/** The bytes of a packet, a reply unless it says otherwise. */
export function packet({ magic = RESPONSE, opcode, status = 0, opaque = 0, cas = 0n, extras = '', key = '', value = '', ...wrong }: PacketParts): string {
  const body = extras + key + value
  const header = Buffer.alloc(HEADER)
  header.writeUInt8(magic, 0)
  header.writeUInt8(opcode, 1)
  header.writeUInt16BE(wrong.keyLength ?? key.length, 2)
  header.writeUInt8(wrong.extrasLength ?? extras.length, 4)
  header.writeUInt8(wrong.dataType ?? 0, 5)
  header.writeUInt16BE(status, 6)
  header.writeUInt32BE(wrong.bodyLength ?? body.length, 8)
  header.writeUInt32BE(opaque, 12)
  header.writeBigUInt64BE(cas, 16)
  return header.toString('latin1') + body
}

/** Where the packet ends that begins at `from`; `undefined` while it is not whole. */
export function packetEnd(bytes: string, from: number): number | undefined {
  if (bytes.length < from + HEADER) return undefined
  const end = from + HEADER + Buffer.from(bytes.slice(from + 8, from + 12), 'latin1').readUInt32BE()
  return bytes.length < end ? undefined : end
}

/** The packets that these bytes are; `undefined` where they are something else, or not whole. */
export function packetsIn(bytes: string): Packet[] | undefined {
  const packets: Packet[] = []
  for (let from = 0; from < bytes.length; ) {
    const end = packetEnd(bytes, from)
    if (end === undefined) return undefined
    const packet = packetOf(bytes.slice(from, end))
    if (packet === undefined) return undefined
    packets.push(packet)
    from = end
  }
  return packets
}

function packetOf(bytes: string): Packet | undefined {
  const header = Buffer.from(bytes.slice(0, HEADER), 'latin1')
  const magic = header.readUInt8(0)
  const keyStart = HEADER + header.readUInt8(4)
  const keyEnd = keyStart + header.readUInt16BE(2)
  if ((magic !== REQUEST && magic !== RESPONSE) || keyEnd > bytes.length) return undefined
  return {
    magic,
    opcode: header.readUInt8(1),
    status: header.readUInt16BE(6),
    opaque: header.readUInt32BE(12),
    cas: header.readBigUInt64BE(16),
    extras: bytes.slice(HEADER, keyStart),
    key: bytes.slice(keyStart, keyEnd),
    value: bytes.slice(keyEnd),
  }
}

/** 32 bits of a packet. */
export function uint32(number: number): string {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(number)
  return bytes.toString('latin1')
}

/** 64 bits of a packet. */
export function uint64(number: bigint): string {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(number)
  return bytes.toString('latin1')
}
