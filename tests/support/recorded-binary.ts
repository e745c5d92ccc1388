import { Buffer } from 'node:buffer'
import type { Request, StoreMode } from '../../lib/commands.ts'
import { OPCODES, packet, packetsIn, REQUEST, type Packet } from './packets.ts'

/** Recorded bytes of the binary protocol as the requests of a client, and the responses to these. */

/** The requests of a client that ask for what these bytes do; `undefined` where no client of ours would. */
export function binaryRequests(bytes: string): Request[] | undefined {
  const packets = packetsIn(bytes)
  if (packets?.map(packet).join('') !== bytes) return undefined
  const requests: Request[] = []
  let keys: string[] = []
  for (const each of packets) {
    if (each.opcode === OPCODES.getkq) keys.push(each.key)
    else {
      const request = requestOf(each, keys)
      if (request === undefined || (keys.length > 0 && request.op !== 'getMulti')) return undefined
      requests.push(request)
      keys = []
    }
  }
  return keys.length > 0 ? undefined : requests
}

const STORES: { readonly [opcode: number]: StoreMode } = {
  [OPCODES.set]: 'set', [OPCODES.add]: 'add', [OPCODES.replace]: 'replace', [OPCODES.append]: 'append', [OPCODES.prepend]: 'prepend',
}

/** The request that this packet is, or ends: `keys` are those of the quiet gets before it. */
function requestOf({ magic, opcode, status, key, extras, value, cas }: Packet, keys: readonly string[]): Request | undefined {
  if (magic !== REQUEST || status !== 0 || key.length > 250 || (cas !== 0n && opcode !== OPCODES.set)) return undefined
  const bytes = Buffer.from(extras, 'latin1')
  /** What there is beside the opcode: a key, so many bytes of extras, a value. */
  const has = (parts: { key: boolean; extras: number; value?: boolean }): boolean =>
    (key !== '') === parts.key && bytes.length === parts.extras && (parts.value === true || value === '')
  const mode = STORES[opcode]
  switch (opcode) {
    case OPCODES.noop:
      return has({ key: false, extras: 0 }) ? { op: 'getMulti', keys, cas: true } : undefined
    case OPCODES.get:
      return has({ key: true, extras: 0 }) ? { op: 'get', key, cas: true } : undefined
    case OPCODES.gat:
      return has({ key: true, extras: 4 }) ? { op: 'get', key, cas: true, touch: bytes.readUInt32BE() } : undefined
    case OPCODES.touch:
      return has({ key: true, extras: 4 }) ? { op: 'touch', key, expires: bytes.readUInt32BE() } : undefined
    case OPCODES.delete:
      return has({ key: true, extras: 0 }) ? { op: 'delete', key } : undefined
    case OPCODES.incr:
    case OPCODES.decr: // those that would make a counter, too: the recorded ones find one
      return has({ key: true, extras: 20 }) ? { op: 'count', key, delta: bytes.readBigUInt64BE(), down: opcode === OPCODES.decr } : undefined
    case OPCODES.flush:
      if (has({ key: false, extras: 0 })) return { op: 'flush', delay: 0 }
      return has({ key: false, extras: 4 }) && bytes.readUInt32BE() > 0 ? { op: 'flush', delay: bytes.readUInt32BE() } : undefined
    case OPCODES.version:
      return has({ key: false, extras: 0 }) ? { op: 'version' } : undefined
    case OPCODES.stat:
      return extras + value === '' ? { op: 'stats', section: key } : undefined
    default: {
      if (mode === undefined) return undefined
      const joined = mode === 'append' || mode === 'prepend'
      if (!has({ key: true, extras: joined ? 0 : 8, value: true })) return undefined
      const item = { value: Buffer.from(value, 'latin1'), flags: joined ? 0 : bytes.readUInt32BE(), cas: cas === 0n ? undefined : cas }
      return { op: 'store', mode: cas === 0n ? mode : 'cas', key, item, expires: joined ? 0 : bytes.readUInt32BE(4) }
    }
  }
}

/** The response as it would have come to a client's requests, numbered from 1 on: each packet gets the opaque of its request. */
export function binaryResponse(_: readonly Request[], response: string): string {
  let opaque = 1
  const packets = packetsIn(response)?.map((each) => {
    const answer = packet({ ...each, opaque })
    // Behind a quiet get, and behind a statistic, there is more of the same response.
    if (each.opcode !== OPCODES.getkq && !(each.opcode === OPCODES.stat && each.key !== '')) opaque += 1
    return answer
  })
  return packets?.join('') ?? response // a line of text
}
