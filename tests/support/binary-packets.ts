/** Packets of the binary protocol. All that is bytes is latin1 text, one character a byte. */

const HEADER = 24

/** A request, and what may be wrong with it. */
export interface Packet {
  readonly magic?: number
  readonly opcode: number
  readonly dataType?: number
  readonly vbucket?: number
  readonly opaque?: number
  readonly cas?: bigint
  readonly extras?: string
  readonly key?: string
  readonly value?: string
  /** By how much the header announces a longer body than there is. */
  readonly excess?: number
}

/** A reply, taken apart. */
export interface Reply {
  readonly opcode: number
  readonly status: number
  readonly opaque: number
  readonly cas: bigint
  readonly extras: string
  readonly key: string
  readonly value: string
}

/** The bytes of a request. */
export function packet({ magic = 0x80, opcode, dataType = 0, vbucket = 0, opaque = 0, cas = 0n, extras = '', key = '', value = '', excess = 0 }: Packet): string {
  const body = extras + key + value
  const header = Buffer.alloc(HEADER)
  header.writeUInt8(magic, 0)
  header.writeUInt8(opcode, 1)
  header.writeUInt16BE(key.length, 2)
  header.writeUInt8(extras.length, 4)
  header.writeUInt8(dataType, 5)
  header.writeUInt16BE(vbucket, 6)
  header.writeUInt32BE(Math.max(body.length + excess, 0), 8)
  header.writeUInt32BE(opaque, 12)
  header.writeBigUInt64BE(cas, 16)
  return header.toString('latin1') + body
}

/** The whole packets in these bytes, each with its own bytes; what stands behind them. */
function cut(bytes: string): { readonly packets: readonly string[]; readonly rest: string } {
  const packets: string[] = []
  let start = 0
  for (;;) {
    if (start + HEADER > bytes.length) break
    const end = start + HEADER + Buffer.from(bytes.slice(start + 8, start + 12), 'latin1').readUInt32BE()
    if (end > bytes.length) break
    packets.push(bytes.slice(start, end))
    start = end
  }
  return { packets, rest: bytes.slice(start) }
}

function read(bytes: string): Reply {
  const header = Buffer.from(bytes.slice(0, HEADER), 'latin1')
  const keyStart = HEADER + header.readUInt8(4)
  const valueStart = keyStart + header.readUInt16BE(2)
  return {
    opcode: header.readUInt8(1),
    status: header.readUInt16BE(6),
    opaque: header.readUInt32BE(12),
    cas: header.readBigUInt64BE(16),
    extras: bytes.slice(HEADER, keyStart),
    key: bytes.slice(keyStart, valueStart),
    value: bytes.slice(valueStart),
  }
}

/** The whole replies in these bytes. */
export function replies(bytes: string): Reply[] {
  return cut(bytes).packets.map(read)
}

/** These bytes with `*` in place of the values of some replies, whose length is not told either. */
export function withoutValues(bytes: string, hidden: (reply: Reply) => boolean): string {
  const { packets, rest } = cut(bytes)
  const shown = packets.map((each) => {
    const reply = read(each)
    if (reply.value === '' || !hidden(reply)) return each
    return `${each.slice(0, 8)}\0\0\0\0${each.slice(12, each.length - reply.value.length)}*`
  })
  return shown.join('') + rest
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
