/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import type { Socket } from 'node:net'
import type * as Memjs from 'memjs'
import { ByteReader } from '../lib/byte-reader.ts'
import type { Item, Key } from '../lib/commands.ts'
import type { Backend, DriverFactory, Endpoint } from '../lib/driver.ts'
import { MemcacheProtocolError, MemcacheSocketError, MemcacheUnsupportedError } from '../lib/errors.ts'
import { Fifo } from '../lib/fifo.ts'
import { openSession } from '../lib/handshake.ts'
import { loadPackage } from '../lib/package-loader.ts'
import { wrap } from '../lib/wrap.ts'
import { binaryProtocol } from './binary.ts'
import { checkSection, unaskedLine } from './line.ts'
import {
  addStatistic, DO_NOT_CREATE, exptime, hex, isFatal, isPacket, LONGEST_KEY, NO_MATCH, OPCODE, packetSize, readLine, refused, STATUS, STORE, uncheckedCas,
} from './packet.ts'
import { Statistics } from './statistics.ts'

const { OK, KEY_ENOENT } = STATUS

/** Its types leave a method out. */
interface Server extends Memjs.Server {
  /** Gives a packet to whoever asked for it. */
  respond(packet: Memjs.Response): void
}

/**
 * One socket's life, with memjs's Server on it: that sends requests, and knows by the opaque whose reply a packet is.
 *
 * The socket is ours, TLS and authentication with it. memjs loses sight of its own: of one that is still connecting, of one that the server has closed, and
 * of the new one when the old one's events come late. So is the cutting into packets. memjs waits for ever behind a header
 * that contradicts itself or claims too much, joins what came before a reset to what comes after, drops what nobody asked
 * for, and copies all of a long value once more with each chunk.
 */
class Connection {
  readonly socket: Socket
  readonly #library: typeof Memjs
  readonly #server: Server
  readonly #endpoint: Endpoint
  readonly #lost: (cause: unknown) => void
  readonly #reader = new ByteReader()
  /** Our own count: memjs's becomes negative after 2^31 requests, and then throws. */
  #opaque = 0
  /** The opaques of the requests whose reply is not whole, in their order, which is that of the replies. */
  readonly #awaiting = new Fifo<number>()

  constructor(library: typeof Memjs, endpoint: Endpoint, opened: () => void, lost: (cause: unknown) => void) {
    this.#library = library
    this.#endpoint = endpoint
    this.#lost = lost
    this.#server = new library.Server(endpoint.host, endpoint.port, undefined, undefined, { timeout: 0 }) as Server // 0: without a clock
    this.#server.sock = (_, use) => use(this.socket)
    this.socket = openSession(endpoint, binaryProtocol, {
      open: opened,
      data: (bytes, length) => this.#receive(bytes, length),
      drain() {},
      end: () => lost(this.#closedByServer()),
      error: lost,
    })
    if (endpoint.unref) this.socket.unref() // each call has a clock, which keeps the process alive until it is settled
  }

  /** Sends a request. Of a reply in several packets, all but the last, which has no body, go to `collect`. */
  ask(opcode: number, key: Key, extras = EMPTY, value = EMPTY, cas = 0n, collect?: (packet: Memjs.Response) => void): Promise<Memjs.Response> {
    return new Promise((resolve) => {
      const opaque = (this.#opaque = (this.#opaque + 1) >>> 0)
      const request = this.#library.Utils.makeRequestBuffer(opcode, Buffer.from(key, 'latin1'), extras, value, opaque)
      if (cas !== 0n) request.writeBigUInt64BE(cas, 16)
      const take = (packet: Memjs.Response): void => {
        const { header, val } = packet
        if (header.opcode !== opcode) throw new MemcacheProtocolError(`a packet of opcode 0x${hex(header.opcode)} came in reply to one of 0x${hex(opcode)}`)
        const quiet = collect !== undefined && header.status === OK
        take.quiet = quiet // memjs's word for: packets follow, up to one without a body
        if (quiet && header.totalBodyLength > 0) return collect(packet)
        this.#awaiting.shift()
        if (isFatal(opcode, header.status)) this.#lost(refused(opcode, header.status, val))
        else resolve(packet)
      }
      take.quiet = false
      this.#server.onResponse(opaque, take)
      this.#awaiting.push(opaque)
      this.#writeTogether()
      this.#server.write(request)
    })
  }

  /** Settles when the socket is closed. */
  end(): Promise<void> {
    return new Promise((resolve) => {
      if (this.socket.closed) return resolve()
      this.socket.once('close', () => resolve())
      this.socket.destroy()
    })
  }

  /** What is asked in one turn leaves in one piece. */
  #writeTogether(): void {
    const { socket } = this
    if (socket.writableCorked > 0) return
    socket.cork()
    process.nextTick(() => socket.uncork())
  }

  #receive(bytes: Buffer, length: number): void {
    const reader = this.#reader
    try {
      reader.feed(bytes, length)
      while (reader.ready && !this.socket.destroyed) {
        const packet = this.#readPacket()
        if (packet === undefined) break
        this.#dispatch(this.#library.Utils.parseMessage(packet))
      }
      if (this.#awaiting.length === 0 && reader.start < reader.end) throw new MemcacheProtocolError('the server sent bytes that nobody asked for')
      reader.keep()
    } catch (error) {
      this.#lost(error)
    }
  }

  /** One whole packet. What comes in place of one ends the connection. */
  #readPacket(): Buffer | undefined {
    const reader = this.#reader
    if (!isPacket(reader)) {
      const line = readLine(reader)
      if (line === undefined) return undefined
      throw unaskedLine(line)
    }
    const size = packetSize(reader, this.#endpoint.maxReplyLength)
    if (size === undefined) return undefined
    const { start, end } = reader
    if (start + size > end) return reader.need(size)
    const packet = reader.slice(start, start + size)
    reader.advance(start + size)
    return packet
  }

  /** memjs would give a packet to whoever has its opaque, although it is not his turn. */
  #dispatch(packet: Memjs.Response): void {
    if (packet.header.opaque !== this.#awaiting.peek()) {
      throw new MemcacheProtocolError(`the server sent a packet that nobody asked for: opcode 0x${hex(packet.header.opcode)}, opaque ${packet.header.opaque}`)
    }
    this.#server.respond(packet)
  }

  #closedByServer(): MemcacheSocketError {
    const { name } = this.#endpoint
    const when = this.#reader.start < this.#reader.end ? ' in the middle of a reply' : ''
    return new MemcacheSocketError(`${name} closed the connection${when}`, { server: name })
  }
}

const EMPTY: Buffer = Buffer.alloc(0)

function uint32(...numbers: number[]): Buffer {
  const bytes = Buffer.alloc(4 * numbers.length)
  numbers.forEach((number, place) => bytes.writeUInt32BE(number, 4 * place))
  return bytes
}

/** What a status means in the reply to this request. @throws MemcacheDriverError for one that is not in the table. */
function told<R>({ header: { opcode, status }, val }: Memjs.Response, replies: { readonly [status: number]: R }): R {
  const reply = replies[status]
  if (reply === undefined) throw refused(opcode, status, val)
  return reply
}

/** The packet of a hit; `undefined` for a miss. `length` is that of the field that the command's reply must have. */
function hit(packet: Memjs.Response, field: 'extras' | 'val', length: number): Memjs.Response | undefined {
  if (!told(packet, { [OK]: true, [KEY_ENOENT]: false })) return undefined
  if (packet[field].length === length) return packet
  throw new MemcacheProtocolError(`a reply has ${packet[field].length} bytes of ${field}, not ${length}`, { sent: true })
}

function load(): typeof Memjs {
  try {
    return loadPackage('memjs') as typeof Memjs
  } catch (cause) {
    throw new MemcacheUnsupportedError('the driver memjs needs the package of that name: npm install memjs', { cause })
  }
}

function backend(endpoint: Endpoint): Backend {
  const library = load()
  /** The one that commands are asked on, or the last one. */
  let connection: Connection | undefined
  const ask: Connection['ask'] = (...request) => (connection as Connection).ask(...request)

  const itemOf = (packet: Memjs.Response, cas: boolean): Item | undefined => {
    const found = hit(packet, 'extras', 4)
    if (found === undefined) return undefined
    const item = { value: found.val, flags: found.extras.readUInt32BE() }
    return cas ? { ...item, cas: found.header.cas.readBigUInt64BE() } : item
  }

  return {
    longestBinaryKey: LONGEST_KEY,
    transports: { tls: true, credentials: true },
    get socket() {
      return connection?.socket
    },
    commands: {
      async get({ key, cas, touch }) {
        return itemOf(await (touch === undefined ? ask(OPCODE.GET, key) : ask(OPCODE.GAT, key, uint32(exptime(touch)))), cas)
      },
      // By hand: Promise.all would settle after the commands that were called behind this one.
      getMulti: ({ keys, cas }) =>
        new Promise((resolve, reject) => {
          const items = new Array<Item | undefined>(keys.length)
          let missing = keys.length
          keys.forEach(async (key, place) => {
            try {
              items[place] = itemOf(await ask(OPCODE.GET, key), cas)
              missing -= 1
              if (missing === 0) resolve(items)
            } catch (error) {
              reject(error)
            }
          })
        }),
      async store({ mode, key, item: { value, flags, cas = 0n }, expires }) {
        const { opcode, replies } = STORE[mode]
        const appended = mode === 'append' || mode === 'prepend' // these leave flags and time to live as they are
        const extras = appended ? EMPTY : uint32(flags, exptime(expires))
        if (mode !== 'cas') return told(await ask(opcode, key, extras, value), replies)
        if (cas === 0n) return told(await ask(OPCODE.GET, key), NO_MATCH)
        const packet = await ask(opcode, key, extras, value, cas)
        const status = told(packet, replies)
        if (status === 'stored' && packet.header.cas.readBigUInt64BE() === 0n) throw uncheckedCas()
        return status
      },
      delete: async ({ key }) => told(await ask(OPCODE.DELETE, key), { [OK]: true, [KEY_ENOENT]: false }),
      touch: async ({ key, expires }) => told(await ask(OPCODE.TOUCH, key, uint32(exptime(expires))), { [OK]: true, [KEY_ENOENT]: false }),
      async count({ key, delta, down }) {
        const extras = uint32(Number(delta >> 32n), Number(delta & 0xffff_ffffn), 0, 0, DO_NOT_CREATE)
        return hit(await ask(down ? OPCODE.DECREMENT : OPCODE.INCREMENT, key, extras), 'val', 8)?.val.readBigUInt64BE()
      },
      flush: async ({ delay }) => told(await ask(OPCODE.FLUSH, '', delay === 0 ? EMPTY : uint32(exptime(delay))), { [OK]: true }),
      async stats({ section }) {
        checkSection(section)
        const stats = new Statistics()
        const last = await ask(OPCODE.STAT, section, EMPTY, EMPTY, 0n, ({ key, val }) => addStatistic(stats, key.toString('latin1'), val))
        return told(last, { [OK]: stats.collected })
      },
      version: async () => {
        const packet = await ask(OPCODE.VERSION, '')
        return told(packet, { [OK]: packet.val.toString('latin1') })
      },
    },
    connect: (lost) => new Promise((resolve) => (connection = new Connection(library, endpoint, resolve, lost))),
    close: () => connection?.end(),
  }
}

/**
 * The binary protocol by the package memjs, an optional peer that is loaded when the first client with this driver is made.
 * What works of memjs is used: its Server, which numbers requests and finds whose reply a packet is, and its packets. Its
 * Client is not, which repeats what fails (counters too), sends an append for a prepend, counts in 32 bits, makes a counter
 * of 0 whatever was asked, keeps no flags, tells refusals by words alone, and prints.
 *
 * | what | on this driver |
 * |---|---|
 * | `verbosity`, `metaGet` | Unsupported: memcached's binary protocol has neither |
 * | `stats('conns')`, `stats('cachedump …')` | memcached refuses them on this protocol, as it does unknown sections: MemcacheClientError |
 * | `stats('sizes_enable')`, `stats('sizes_disable')` | Unsupported: their reply has no end |
 * | `getMulti`, `getsMulti` | a request for each key, all in one write; misses are answered, too |
 * | `flushAll` on a server started with `-F` | MemcacheClientError, as on text; its words are those of a missing authentication |
 * | `maxPendingBytes` | counts keys and values, not the bytes around them |
 * | keys with blanks and control characters | with `binaryKeys`, up to 250 bytes |
 *
 * Everything else is as on the other drivers: `cas`, `gat`, `prepend`, counters of 64 bits, flags, deadlines, unix sockets, TLS,
 * and SASL as on binary.
 */
export const memjs: DriverFactory = wrap('memjs', backend)
