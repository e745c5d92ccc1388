import type { Comparison } from '../comparison.ts'
import type { Failure } from '../measurement.ts'
import type { Memory } from '../memory.ts'
import type { StartUp } from '../start-up.ts'
import { size } from './figures.ts'

/** All that a run has found: what `--json` writes, and the tables and charts are made of. */
export interface Report {
  /** The command that makes it again. */
  readonly command: string
  /** As ISO 8601. */
  readonly date: string
  readonly node: string
  /** The processor and how many of them there are. */
  readonly machine: string
  /** The processors that client and server were kept on. */
  readonly pinned: string | undefined
  readonly server: string
  readonly rounds: number
  readonly subjects: readonly { readonly name: string; readonly version: string; readonly about: string }[]
  readonly comparisons: readonly Comparison[]
  readonly startUps: readonly StartUp[]
  /** After so many gets, by subject; not in a quick run. */
  readonly memory?: { readonly gets: number; readonly of: { readonly [subject: string]: Memory | Failure } }
}

/** The rows whose ratios lie too far apart, as "scenario@in flight: subject". */
export function noisyRows({ comparisons }: Report): string[] {
  return comparisons.flatMap(({ scenario, inFlight, rows }) => rows.filter(({ noisy }) => noisy).map(({ subject }) => `${scenario}@${inFlight}: ${subject}`))
}

/** The rows that failed, with what was the matter. */
export function failedRows({ comparisons }: Report): string[] {
  return comparisons.flatMap(({ scenario, inFlight, rows }) =>
    rows.filter(({ failure }) => failure !== undefined).map(({ subject, failure }) => `${scenario}@${inFlight}: ${subject}: ${failure}`),
  )
}

/** What a reader has to know of how it was measured, a line each. */
export function circumstances({ date, node, machine, pinned, server, rounds }: Report): string[] {
  return [
    `${date.slice(0, 10)}, Node ${node}, ${machine}${pinned === undefined ? '' : `; client and server pinned to processor ${pinned}`}`,
    `Server: ${server}`,
    `Medians of ${rounds} rounds, each subject in a process of its own; ratios are medians of the pairs of a round, with their middle half`,
  ]
}

/** What memory the subjects hold: a row of words for each. */
export function memoryRows({ memory }: Report): [subject: string, grown: string, kept: string][] {
  return Object.entries(memory?.of ?? {}).map(([subject, found]) => ('failure' in found ? [subject, 'failed', ''] : [subject, size(found.grown), size(found.kept)]))
}
