/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import { MemcacheValueError } from '../lib/errors.ts'

/** An offset of 13 bits that is full says, in level 2, that a longer one follows. */
const FULL_OFFSET = 0x1fff

/**
 * Decompresses a block of FastLZ, of level 1 or 2, which php-memcached compresses with.
 * @throws MemcacheValueError unless it gives exactly `length` bytes.
 */
export function readFastlz(block: Buffer, length: number): Buffer {
  const out = Buffer.alloc(length)
  let [from, to] = [0, 0]
  const next = (): number => {
    const byte = block[from]
    from += 1
    return byte ?? broken()
  }
  const level2 = (block[0] ?? broken()) >> 5 === 1
  for (let first = true; from < block.length; first = false) {
    const code = first ? next() & 0x1f : next() // the first one has the level in its upper bits
    if (code < 0x20) {
      const count = code + 1
      if (from + count > block.length || to + count > length) broken()
      block.copy(out, to, from, from + count)
      from += count
      to += count
    } else {
      const copied = repeated(code)
      if (copied.back > to || to + copied.count > length) broken()
      // One by one: what is copied may be part of the copy.
      for (const end = to + copied.count; to < end; to += 1) out[to] = out[to - copied.back] as number
    }
  }
  return to === length ? out : broken()

  /** How far back it stands, and how long it is, what comes once more. */
  function repeated(code: number): { back: number; count: number } {
    let count = (code >> 5) + 2
    if (code >> 5 === 7) {
      let more = next()
      count += more
      while (level2 && more === 0xff) count += more = next()
    }
    const offset = ((code & 0x1f) << 8) | next()
    return { count, back: level2 && offset === FULL_OFFSET ? ((next() << 8) | next()) + FULL_OFFSET + 1 : offset + 1 }
  }
}

function broken(): never {
  throw new MemcacheValueError('the bytes are not what FastLZ compresses to')
}
