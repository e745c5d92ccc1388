import { Buffer } from 'node:buffer'

/** Replies that no server gives, made of replies that servers have given. All bytes are latin1 text. */

/** Numbers in words: what lengths, flags, counts and cas ids are compared with, and what overflows. */
const NUMBERS = ['-1', '0', '1', '00', '255', '65535', '65536', '100000', '100001', '2147483647', '2147483648', '4294967295', '4294967296', '9999999999', '100000000000',
  '9007199254740993', '18446744073709551615', '18446744073709551616', '1e3', '0x10', '+1', '1'.repeat(40), ''] // prettier-ignore
/** What stands in replies, right or wrong at its place. */
const WORDS = ['\r\n', '\n', '\r', ' ', '\0', 'END\r\n', 'VALUE ', 'STORED\r\n', 'ERROR\r\n', 'SERVER_ERROR out of memory\r\n', 'CLIENT_ERROR bad\r\n', 'STAT a 1\r\n', 'VA 1 ', 'HD\r\n', 'EN\r\n', 'MN\r\n',
  ' O1', ' O1.0', ' f0', ' c1', ' s1', ' t-1', ' l1', ' h1', ' W', ' Z', '\x81', '\x80', '\x81\0\0\0', '\xff\xff\xff\xff', '\0\0\0\0', '\x7f\xff\xff\xff'] // prettier-ignore
/** Where a binary packet says lengths, status and opaque: offset and size. */
const FIELDS = [[1, 1], [2, 2], [4, 1], [6, 2], [8, 4], [12, 4]] as const // prettier-ignore
/** In bytes: no input grows beyond it. */
const LONGEST = 200_000

type Change = (bytes: string, random: Random, other: string) => string

/** A source of numbers that look random, from 0 up to 1. */
export type Random = () => number

/** A whole number from 0 up to, and not with, `most`. */
export function below(random: Random, most: number): number {
  return Math.floor(random() * most)
}

/** One of these. */
export function oneOf<T>(random: Random, all: readonly T[]): T {
  return all[below(random, all.length)] as T
}

const CHANGES: readonly Change[] = [
  (bytes, random) => replaced(bytes, below(random, bytes.length), 1, String.fromCharCode((bytes.charCodeAt(below(random, bytes.length)) ^ (1 << below(random, 8))) & 0xff)),
  (bytes, random) => replaced(bytes, below(random, bytes.length), 1, String.fromCharCode(below(random, 256))),
  (bytes, random) => replaced(bytes, below(random, bytes.length), 1 + below(random, 8), ''),
  (bytes, random) => replaced(bytes, below(random, bytes.length + 1), 0, oneOf(random, WORDS)),
  (bytes, random) => bytes.slice(0, below(random, bytes.length)),
  (bytes, random) => {
    const at = below(random, bytes.length)
    return replaced(bytes, at, 0, bytes.slice(at, at + 1 + below(random, 40)))
  },
  (bytes, random, other) => bytes.slice(0, below(random, bytes.length + 1)) + other.slice(below(random, other.length + 1)),
  (bytes, random, other) => (random() < 0.5 ? bytes + other : other + bytes),
  (bytes, random) => {
    const numbers = [...bytes.matchAll(/\d+/g)]
    const { index = 0, 0: digits = '' } = numbers.length === 0 ? {} : oneOf(random, numbers)
    return replaced(bytes, index, digits.length, oneOf(random, NUMBERS))
  },
  (bytes, random) => {
    const lines = bytes.split(/(?<=\r\n)/)
    const [one, two] = [below(random, lines.length), below(random, lines.length)]
    ;[lines[one], lines[two]] = [lines[two] as string, lines[one] as string]
    return lines.join('')
  },
  (bytes, random) => {
    const [at, size] = oneOf(random, FIELDS)
    const field = Buffer.alloc(size)
    field.writeUIntBE(oneOf(random, [0, 1, 2, 4, 8, 24, 2 ** (8 * size - 1), 2 ** (8 * size) - 1]), 0, size)
    return replaced(bytes, at, size, field.toString('latin1'))
  },
  (bytes, random) => replaced(bytes, below(random, bytes.length + 1), 0, oneOf(random, ['x', ' ', '9', '\0', '\r', ' f0']).repeat(oneOf(random, [300, 2100, 66_000]))),
]

/** These bytes, changed in a few ways; `other` is something to splice them with. */
export function mutated(bytes: string, random: Random, other: string): string {
  let changed = bytes
  const hugeIsRare = random() < 0.02 ? CHANGES.length : CHANGES.length - 1
  for (let count = 1 + below(random, 4); count > 0; count -= 1) changed = (CHANGES[below(random, hugeIsRare)] as Change)(changed, random, other)
  return changed.slice(0, LONGEST)
}

/** These bytes in pieces: one, a few, or one for each byte. */
export function pieces(bytes: Buffer, random: Random): Buffer[] {
  const longest = oneOf(random, [1, 3, 40, 4096])
  const all: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const next = at + 1 + below(random, bytes.length > 10_000 ? 4096 : longest)
    all.push(bytes.subarray(at, next))
    at = next
  }
  return all
}

function replaced(bytes: string, at: number, length: number, by: string): string {
  return bytes.slice(0, at) + by + bytes.slice(at + length)
}
