import { Buffer } from 'node:buffer'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { deepEqual, equal, ok } from 'node:assert/strict'
import type { Compressor, Item, Middleware, Request } from '../../index.ts'
import { clause, type Clause } from './clause.ts'
import { itemLayer } from './item-layer.ts'
import { rejection } from './rejection.ts'

const deflate: Compressor = {
  flag: 2048,
  compress: (bytes) => deflateRawSync(bytes),
  decompress: (bytes, maxLength) => inflateRawSync(bytes, { maxOutputLength: maxLength }),
}

/** Turns every bit of a value around, as an encryption would. */
function inverted(item: Item): Item {
  return { ...item, value: Buffer.from(item.value.map((byte) => byte ^ 0xff)) }
}

/** Notes what passes by. */
function noting(seen: string[], name: string): Middleware {
  return (next) => (request, call) => {
    seen.push(`${name} ${said(request as Request)}`)
    return next(request, call)
  }
}

function said(request: Request): string {
  if (request.op !== 'store') return 'key' in request ? `${request.op} ${request.key}` : request.op
  const { mode, key, item } = request
  return `${mode} ${key} ${item.value.toString('latin1')} ${item.flags}`
}

/** What users put between the commands and the driver: the driver sees what they made of it, and they see what it gives. */
export const extensions: readonly Clause[] = [
  clause('layers see every command as bytes, the first outermost', ['memory', 'set', 'get'], async ({ client, make, key }) => {
    const seen: string[] = []
    const layered = make({ layers: [noting(seen, 'outer'), itemLayer(inverted, inverted), noting(seen, 'inner')], keyPrefix: 'é' })
    const k = key()
    equal(await layered.set(k, 7), true)
    equal(await layered.get(k), 7)
    deepEqual(seen, [`outer set Ã©${k} 7 2`, `inner set Ã©${k} \xc8 2`, `outer get Ã©${k}`, `inner get Ã©${k}`])
    deepEqual(await client.get(`é${k}`).catch((error: Error) => error.name), 'MemcacheValueError', 'it is no number without the layer')
  }),

  clause('a layer can change what is stored, and refuse', ['memory', 'set', 'get'], async ({ client, make, key }) => {
    const layered = make({ layers: [itemLayer(inverted, inverted)] })
    const k = key()
    equal(await layered.set(k, Buffer.from([0, 1, 255])), true)
    deepEqual(await client.get(k), Buffer.from([255, 254, 0]))
    deepEqual(await layered.get(k), Buffer.from([0, 1, 255]))
    const reason = new RangeError('the layer\'s own')
    equal(await rejection(make({ layers: [() => () => Promise.reject(reason)] }).get(k)), reason)
  }),

  clause('a compressor of the user\'s own', ['memory', 'set', 'get'], async ({ client, make, key }) => {
    const own = make({ compressor: deflate, minCompressLength: 10 })
    const k = key()
    for (const value of ['la '.repeat(1000), { text: 'la '.repeat(1000) }, Buffer.alloc(5000), 10n ** 1000n]) {
      await own.set(k, value)
      deepEqual(await own.get(k), value)
      const raw = await client.get(k)
      ok(Buffer.isBuffer(raw) && raw.length < 1000, 'flags that mean nothing here: its bytes')
    }
  }),
]
