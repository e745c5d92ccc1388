/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import { isIP, type IpcNetConnectOpts, type TcpNetConnectOpts } from 'node:net'
import type * as Tls from 'node:tls'
import { MemcacheValueError } from './errors.ts'
import { loadPackage } from './package-loader.ts'
import { showThrown } from './show.ts'

/** Where to connect to, and how. */
export type Address = (TcpNetConnectOpts | IpcNetConnectOpts) & Pick<TcpNetConnectOpts, 'noDelay' | 'keepAlive'>

/** What one record of TLS holds, in bytes: as much as memcached reads at a time. */
const RECORD = 16 * 1024

/** The word for the encoding of a chunk that is bytes already; the types leave it out. */
const AS_IT_IS = 'buffer' as BufferEncoding

/** Only now: most clients never need it. */
function load(): typeof Tls {
  return loadPackage('node:tls') as typeof Tls
}

/** What all connections of a client have in common, read once. @throws MemcacheValueError for keys and certificates that are none. */
export function secured(options: Tls.ConnectionOptions): Tls.ConnectionOptions {
  try {
    return { ...options, secureContext: options.secureContext ?? load().createSecureContext(options) }
  } catch (cause) {
    throw new MemcacheValueError(`the option "tls" has something that Node cannot use: ${showThrown(cause)}`, { cause })
  }
}

/** Begins to connect by TLS: 'secureConnect' says that the server has proved to be the one that was meant. */
export function openTlsSocket(to: Address, options: Tls.ConnectionOptions): Tls.TLSSocket {
  const named = 'host' in to && to.host !== undefined && isIP(to.host) === 0 ? { servername: to.host } : {} // SNI has names, no addresses
  const socket = load().connect({ rejectUnauthorized: true, ...named, ...options, ...to })
  socket.on('connect', () => {
    socket.setNoDelay(to.noDelay).setKeepAlive(to.keepAlive) // which a TLS socket does not take as options
  })
  return endInRecord(socket)
}

/**
 * What is written at a time, whole requests, ends with its last byte in a record of its own, unless all of it is one record.
 *
 * memcached reads the rest of a value straight into its item, and then waits for the kernel to have more for it. What else was
 * in the record that the value ended in is then with its TLS library, where it is found only when something else comes: a
 * client that waits for these replies, as it does, waits for ever. The last byte is what comes.
 */
function endInRecord(socket: Tls.TLSSocket): Tls.TLSSocket {
  const write = socket._write.bind(socket)
  socket._write = (chunk: Buffer | string, encoding, done) => {
    if (chunk.length <= RECORD) return write(chunk, encoding, done)
    const bytes = bytesOf(chunk, encoding)
    write(bytes.subarray(0, -1), AS_IT_IS, (error) => (error ? done(error) : write(bytes.subarray(-1), AS_IT_IS, done)))
  }
  socket._writev = (chunks, done) => {
    socket._write(Buffer.concat(chunks.map(({ chunk, encoding }) => bytesOf(chunk, encoding))), AS_IT_IS, done)
  }
  return socket
}

function bytesOf(chunk: Buffer | string, encoding: BufferEncoding): Buffer {
  return typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
}
