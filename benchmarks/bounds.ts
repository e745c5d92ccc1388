import type { Comparison } from './comparison.ts'

/** What must not become dearer unnoticed: `--check` fails beyond these ratios, which are generous, as machines are noisy. */

interface Bound {
  readonly subject: string
  /** As "get 100 B@128". */
  readonly cell: string
  /** Processor time as a multiple of that of the bare loop of its protocol, which sends one get a line. */
  readonly atMost: number
}

const bounds: readonly Bound[] = [
  { subject: 'text', cell: 'get 100 B@128', atMost: 2 },
  { subject: 'text', cell: 'set 100 B@128', atMost: 4 },
  { subject: 'text', cell: 'getMulti of 100@1', atMost: 4 },
  { subject: 'meta', cell: 'get 100 B@128', atMost: 4 },
  { subject: 'meta', cell: 'set 100 B@128', atMost: 4 },
  { subject: 'binary', cell: 'get 100 B@128', atMost: 4 },
  { subject: 'binary', cell: 'set 100 B@128', atMost: 4 },
]

/** The rows beyond their bound, one sentence each. `atMost` is a bound for every driver of ours in every scenario. */
export function beyondBounds(comparisons: readonly Comparison[], check: boolean, atMost: number | undefined): string[] {
  const sentences: string[] = []
  for (const { scenario, inFlight, rows } of comparisons) {
    const cell = `${scenario}@${inFlight}`
    for (const { subject, kind, ratio } of rows) {
      const own = check ? bounds.find((each) => each.subject === subject && each.cell === cell)?.atMost : undefined
      const bound = own ?? (kind === 'ermc' ? atMost : undefined)
      if (bound === undefined || ratio === undefined || ratio.median <= bound) continue
      sentences.push(`${cell}: ${subject} costs ${ratio.median.toFixed(2)} times what the bare loop costs, which is more than ${bound}`)
    }
  }
  return sentences
}
