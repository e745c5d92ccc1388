/**
 * The 32 bits beside a stored value, which say what its bytes mean. 1, 2, 4 and 8 are those of Python's pyermc, so
 * that both read each other's items; the others are ermc's own. No bit at all is a UTF-8 string.
 */
export const flags = {
  string: 0,
  /** Python's pickle. */
  pickle: 1,
  /** A decimal number in ASCII, read as a number where that is exact. */
  integer: 2,
  /** A decimal number in ASCII, read as a bigint. */
  long: 4,
  /** In addition to what the value is: its bytes are compressed, 4-byte little-endian length and one LZ4 block. */
  lz4: 8,
  /** Bytes, read as a Buffer. */
  bytes: 16,
  json: 32,
  /** V8's structured clone. */
  v8: 64,
  msgpack: 128,
} as const

const KNOWN = Object.values(flags).reduce<number>((all, flag) => all | flag, 0)

/** Whether somebody else has set bits that ermc gives no meaning: such an item is handed out as it is. */
export function foreign(itemFlags: number): boolean {
  return (itemFlags & ~KNOWN) !== 0
}
