import type { Spread } from '../statistics.ts'

/** Numbers as they are read in a table. */

/** At least two digits, and none that mean nothing. */
export function figure(number: number): string {
  if (number >= 100) return grouped(Math.round(number))
  return number.toFixed(number >= 10 ? 1 : 2)
}

/** A whole number with its thousands apart. */
export function grouped(number: number): string {
  return Math.round(number).toString().replace(/\B(?=(\d{3})+$)/g, ',')
}

/** The middle of some ratios, and their middle half. */
export function ratio({ median, low, high }: Spread): string {
  return `${median.toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)})`
}

/** Bytes, as of a package. */
export function size(bytes: number): string {
  if (bytes === 0) return '–'
  return bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.round(bytes / 1000)} KB`
}
