/**
 * How memcached 1.6.18 reads numbers: C's strtoul, strtol and strtoull, then a cast. What looks odd here is what the
 * server does: blanks and `+` in front are fine, anything may follow a blank, an unsigned `-18446744073709551615` is 1,
 * and a number of more than 32 bits loses its upper bits instead of being refused.
 *
 * Text is latin1, one character a byte; it ends at a NUL, as a C string does. `undefined` means "not a number".
 */

const INTEGER = /^[\t-\r ]*([+-]?)([0-9]+)(?:[\0\t-\r ]|$)/
const SHORT_INTEGER = /^[0-9]{1,9}$/
const DECIMAL = /^[\t-\r ]*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?:[\0\t-\r ]|$)/

const LARGEST_UNSIGNED = 2n ** 64n - 1n
const LARGEST_SIGNED = 2n ** 63n - 1n

/** An unsigned 64-bit number: deltas, cas ids and the values of counters. */
export function parseUint64(text: string): bigint | undefined {
  if (SHORT_INTEGER.test(text)) return BigInt(text)
  const match = INTEGER.exec(text)
  if (match === null) return undefined
  const magnitude = BigInt(match[2]!)
  if (magnitude > LARGEST_UNSIGNED) return undefined
  const value = match[1] === '-' ? BigInt.asUintN(64, -magnitude) : magnitude
  // memcached suspects a wrapped negative number, and looks for the sign anywhere in the string.
  if (value > LARGEST_SIGNED && cString(text).includes('-')) return undefined
  return value
}

/** An unsigned 32-bit number: flags, levels, class ids. 64 bits are read and the lower 32 kept: 4294967301 is 5. */
export function parseUint32(text: string): number | undefined {
  if (SHORT_INTEGER.test(text)) return Number(text)
  const value = parseUint64(text)
  return value === undefined ? undefined : Number(BigInt.asUintN(32, value))
}

/** A signed 32-bit number: exptimes and lengths. 64 bits are read and the lower 32 kept: 2147483648 is negative. */
export function parseInt32(text: string): number | undefined {
  if (SHORT_INTEGER.test(text)) return Number(text)
  const match = INTEGER.exec(text)
  if (match === null) return undefined
  const value = match[1] === '-' ? -BigInt(match[2]!) : BigInt(match[2]!)
  if (value > LARGEST_SIGNED || value < -LARGEST_SIGNED - 1n) return undefined
  return Number(BigInt.asIntN(32, value))
}

/** A decimal number such as `0.1` or `2e3`: the ratios of `lru tune` and `slabs automove`. */
export function parseDecimal(text: string): number | undefined {
  const match = DECIMAL.exec(text)
  return match === null ? undefined : Number(match[1])
}

function cString(text: string): string {
  const end = text.indexOf('\0')
  return end === -1 ? text : text.slice(0, end)
}
