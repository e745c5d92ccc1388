/**
 * Encryption at rest, as a layer: memcached, and whoever reads its memory or its traffic, sees keys, lengths and noise.
 *
 *     new Client({ layers: [encryption({ keys: [{ id: 2, secret: current }, { id: 1, secret: former }] })] })
 *
 * AES-256-GCM. A value is bound to its key and its flags: under another key, or changed in a single bit, it is refused.
 */
import { Buffer } from 'node:buffer'
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { intercept, MemcacheUnsupportedError, MemcacheValueError, type Item, type Key, type Middleware } from '../../lib/index.ts' // in your own code: from 'ermc'

/** A secret, and the number by which items name it. */
export interface EncryptionKey {
  /** 0 to 255; never to be given to another secret. */
  readonly id: number
  /** 32 random bytes. Change it before it has encrypted 2^32 values: a nonce is random, and must not come twice. */
  readonly secret: Buffer
}

export interface EncryptionOptions {
  /** The first one encrypts, all of them decrypt: put a new one in front, and drop the last one once nothing of it lives. */
  readonly keys: readonly EncryptionKey[]
  /** Which items stay as they are, because the server has to work on them: counters, and what is appended to. Default: none. */
  readonly plain?: (key: Key) => boolean
  /** Also read what is not encrypted, while a cache changes over. Anybody can write that. Default: it is refused. */
  readonly migrating?: boolean
}

/** The flag of encrypted items. Clients without the layer do not know it, and read a Buffer. */
const ENCRYPTED = 2 ** 16

const [ID, NONCE, TAG] = [1, 12, 16]
const CIPHER = 'aes-256-gcm'

export function encryption({ keys, plain = () => false, migrating = false }: EncryptionOptions): Middleware {
  const [current] = keys
  if (current === undefined) throw new MemcacheValueError('encryption needs a key')
  const { id, secret } = current
  const secrets = new Map(keys.map((key) => [checkKey(key).id, key.secret]))

  /** One byte of id, the nonce, the tag, and the value encrypted. */
  function seal(item: Item, key: Key): Item {
    const nonce = randomBytes(NONCE)
    const cipher = createCipheriv(CIPHER, secret, nonce).setAAD(contextOf(key, item.flags))
    const sealed = [cipher.update(item.value), cipher.final()]
    return { ...item, value: Buffer.concat([Buffer.of(id), nonce, cipher.getAuthTag(), ...sealed]), flags: (item.flags | ENCRYPTED) >>> 0 }
  }

  function open<I extends Item>(item: I, key: Key): I {
    if (plain(key)) return item
    if ((item.flags & ENCRYPTED) === 0) {
      if (migrating) return item
      throw new MemcacheValueError('the item is not encrypted', { sent: true })
    }
    const flags = (item.flags & ~ENCRYPTED) >>> 0
    const known = secrets.get(item.value[0] ?? -1)
    if (known === undefined) throw new MemcacheValueError('the item is encrypted with a key that is not here', { sent: true })
    try {
      const [nonce, tag, rest] = [item.value.subarray(ID, ID + NONCE), item.value.subarray(ID + NONCE, ID + NONCE + TAG), item.value.subarray(ID + NONCE + TAG)]
      const decipher = createDecipheriv(CIPHER, known, nonce, { authTagLength: TAG }).setAAD(contextOf(key, flags)).setAuthTag(tag)
      return { ...item, value: Buffer.concat([decipher.update(rest), decipher.final()]), flags }
    } catch (cause) {
      throw new MemcacheValueError('the item has been changed, or was stored under another key', { cause, sent: true })
    }
  }

  // What throws in an async function rejects; and up to its first await it is as synchronous as any, so that nothing is overtaken.
  return intercept({
    async get(request, next, call) {
      const item = await next(request, call)
      return item && open(item, request.key)
    },
    async getMulti(request, next, call) {
      const items = await next(request, call)
      return items.map((item, place) => item && open(item, request.keys[place] as Key))
    },
    async metaGet(request, next, call) {
      const item = await next(request, call)
      return item && open(item, request.key)
    },
    async store(request, next, call) {
      if (plain(request.key)) return next(request, call)
      if (request.mode === 'append' || request.mode === 'prepend') throw notEncrypted(request.mode)
      return next({ ...request, item: seal(request.item, request.key) }, call)
    },
    async count(request, next, call) {
      if (plain(request.key)) return next(request, call)
      throw notEncrypted(request.down ? 'decr' : 'incr')
    },
  })
}

function checkKey(key: EncryptionKey): EncryptionKey {
  if (Number.isInteger(key.id) && key.id >= 0 && key.id <= 255 && key.secret.length === 32) return key
  throw new MemcacheValueError('a key has an id from 0 to 255, and a secret of 32 bytes')
}

/** What is authenticated beside the value. */
function contextOf(key: Key, flags: number): Buffer {
  return Buffer.from(`${flags} ${key}`, 'latin1')
}

function notEncrypted(command: string): MemcacheUnsupportedError {
  return new MemcacheUnsupportedError(`${command} works on the bytes that the server has, so it needs an item that is plain`)
}
