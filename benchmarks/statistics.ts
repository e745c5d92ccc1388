/** What is made of many measurements of the same thing. */

/** The middle of some numbers, and the bounds of their middle half. */
export interface Spread {
  readonly low: number
  readonly median: number
  readonly high: number
}

/** A share of the numbers is at most this; between two of them it is interpolated. */
export function quantile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  const place = (sorted.length - 1) * share
  const below = sorted[Math.floor(place)] ?? NaN
  const above = sorted[Math.ceil(place)] ?? NaN
  return below + (above - below) * (place % 1)
}

export function median(numbers: readonly number[]): number {
  return quantile(numbers, 0.5)
}

export function spreadOf(numbers: readonly number[]): Spread {
  return { low: quantile(numbers, 0.25), median: median(numbers), high: quantile(numbers, 0.75) }
}

/** A measurement as a multiple of that of the same round: what slows a round down slows both, and cancels out. */
export function pairRatios(numbers: readonly number[], references: readonly number[]): number[] {
  return numbers.slice(0, references.length).map((number, round) => number / (references[round] as number))
}

/** The middle half of the pairs may lie so far apart, as a share of their median. */
const NOISE = 0.2

/** Whether a ratio is too uncertain to build on. */
export function isNoisy({ low, median, high }: Spread): boolean {
  return (high - low) / median > NOISE
}
