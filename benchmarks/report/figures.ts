import type { Spread } from '../statistics.ts'

/** Numbers as they are read in a table. */

/** At least two digits, and none that mean nothing. */
export function figure(number: number): string {
  if (number >= 100) return grouped(Math.round(number))
  return number.toFixed(number >= 10 ? 1 : 2)
}

/** A whole number with its thousands apart; millions are shortened, as 1.23M. */
export function grouped(number: number): string {
  if (number >= 999_999.5) return `${(number / 1e6).toFixed(number >= 99.95e6 ? 0 : number >= 9.995e6 ? 1 : 2)}M`
  return Math.round(number).toString().replace(/\B(?=(\d{3})+$)/g, ',')
}

/** The middle of some ratios, and their middle half. */
export function ratio({ median, low, high }: Spread): string {
  return `${times(median)} (${times(low)}–${times(high)})`
}

/** A multiple. */
export function times(ratio: number): string {
  return ratio.toFixed(ratio >= 100 ? 0 : 2)
}

/** Bytes, as of a package. */
export function size(bytes: number): string {
  if (bytes >= 1e6) return `${(bytes / 1e6).toFixed(1)} MB`
  return bytes >= 1e3 ? `${(bytes / 1e3).toFixed(bytes >= 1e4 ? 0 : 1)} KB` : `${Math.max(0, Math.round(bytes))} B`
}
