import { random } from '../support/outcomes.ts'
import type { Subject } from '../support/replay.ts'
import { Coverage } from './coverage.ts'
import { flaws, offspring, seeds, type Input } from './trial.ts'

/** What a campaign has found. */
export interface Findings {
  readonly tried: number
  /** Inputs that reached something for the first time. */
  readonly fresh: readonly Input[]
  /** Different parts of the code, by how often, that were reached. */
  readonly reached: number
  readonly failures: readonly { readonly input: Input; readonly flaws: readonly string[] }[]
}

/** More failures than anybody reads. */
const ENOUGH = 10
/** An input that is longer finds nothing that a shorter one would not, and costs time. */
const LONGEST_KEPT = 2000

/** Mutates for so long, in milliseconds; inputs that reach new parts of the code are mutated further. */
export function campaign(subject: Subject, milliseconds: number, seed: number, tell: (findings: Findings) => void = () => {}): Findings {
  const next = random(seed)
  const pool = seeds(subject)
  const reached = new Set<string>()
  const fresh: Input[] = []
  const failures: { input: Input; flaws: readonly string[] }[] = []
  let tried = 0
  const coverage = new Coverage()
  const attempt = (input: Input): boolean => {
    tried += 1
    const wrong = flaws(subject, input, next)
    if (wrong.length > 0) failures.push({ input, flaws: wrong })
    const before = reached.size
    for (const block of coverage.taken()) reached.add(block)
    return reached.size > before
  }
  const findings = (): Findings => ({ tried, fresh, reached: reached.size, failures })
  for (const input of pool) attempt(input)
  const until = performance.now() + milliseconds
  let told = performance.now()
  while (performance.now() < until && failures.length < ENOUGH) {
    const input = offspring(pool, next)
    if (attempt(input) && input.response.length <= LONGEST_KEPT) {
      pool.push(input)
      fresh.push(input)
    }
    if (performance.now() - told < 10_000) continue
    told = performance.now()
    tell(findings())
  }
  coverage.stop()
  return findings()
}

/** As few of these inputs as reach all that they reach together beyond the recordings and the present corpus. */
export function minimal(subject: Subject, inputs: readonly Input[]): Input[] {
  const next = random(1)
  const coverage = new Coverage()
  const blocks = (input: Input): string[] => {
    flaws(subject, input, next)
    return coverage.taken().map((block) => block.replace(/:\d+$/, '')) // whether it was reached at all
  }
  const known = new Set(seeds(subject).flatMap(blocks))
  const left = [...inputs].sort((one, other) => one.response.length - other.response.length)
  const kept = left.filter((input) => {
    const found = blocks(input).filter((block) => !known.has(block))
    for (const block of found) known.add(block)
    return found.length > 0
  })
  coverage.stop()
  return kept
}
