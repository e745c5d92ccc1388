import type { Failure, Measured, Measuring } from './measurement.ts'
import { canDo, type Cell, type Plan } from './plan.ts'
import { isNoisy, median, pairRatios, spreadOf, type Spread } from './statistics.ts'
import type { Subject } from './subjects.ts'

/** One line of a table: what a subject needs in a scenario. */
export interface Row {
  readonly subject: string
  readonly kind: Subject['kind']
  /** Medians of the rounds; none where the subject cannot do it, or failed. */
  readonly figures?: Measured
  readonly failure?: string
  /** Its processor time as a multiple of that of the bare loop of its protocol. */
  readonly ratio?: Spread
  readonly noisy: boolean
}

/** A driver of ours beside the cheapest of the other libraries: its processor time as a multiple. */
export interface AgainstPeer {
  readonly subject: string
  readonly peer: string
  readonly ratio: Spread
  readonly noisy: boolean
}

/** A scenario with so many calls in flight, and all that was measured on it. */
export interface Comparison {
  readonly scenario: string
  readonly inFlight: number
  readonly rows: readonly Row[]
  readonly againstPeers: readonly AgainstPeer[]
}

/** Starts a subject, and warms it up. */
export type Start = (subject: Subject, cell: Cell) => Promise<Measuring | Failure>

/**
 * Measures every subject in every round: in turn, to and fro, so that a change of the machine's pace meets them all. `tick` is
 * told of each start and each measurement.
 */
export async function compare(cell: Cell, { subjects, rounds }: Plan, start: Start, tick: () => void = () => {}): Promise<Comparison> {
  const samples = new Map(subjects.map(({ name }) => [name, [] as Measured[]]))
  const failures = new Map<string, string>()
  const warm: (readonly [name: string, measuring: Measuring])[] = []
  for (const subject of subjects.filter((each) => canDo(each, cell.scenario))) {
    const started = await start(subject, cell)
    if ('failure' in started) failures.set(subject.name, started.failure)
    else warm.push([subject.name, started])
    tick()
  }
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, measuring] of round % 2 === 0 ? warm : warm.toReversed()) {
      if (!failures.has(name)) {
        const found = await measuring.measure()
        if ('failure' in found) failures.set(name, found.failure)
        else samples.get(name)?.push(found)
      }
      tick()
    }
  }
  for (const [, measuring] of warm) await measuring.stop()

  const cpu = (name: string): number[] => (failures.has(name) ? [] : (samples.get(name) ?? []).map((each) => each.cpu))
  const rows = subjects.map((subject): Row => {
    const { name, kind, bare } = subject
    const failure = failures.get(name)
    if (failure !== undefined) return { subject: name, kind, failure, noisy: false }
    const measured = samples.get(name) ?? []
    if (measured.length === 0) return { subject: name, kind, noisy: false }
    const reference = cpu(bare)
    if (bare === name || reference.length === 0) return { subject: name, kind, figures: medians(measured), noisy: false }
    const ratio = spreadOf(pairRatios(cpu(name), reference))
    return { subject: name, kind, figures: medians(measured), ratio, noisy: isNoisy(ratio) }
  })
  return { scenario: cell.scenario.name, inFlight: cell.inFlight, rows, againstPeers: againstPeers(rows, cpu) }
}

function medians(measured: readonly Measured[]): Measured {
  const of = (figure: keyof Measured): number => median(measured.map((each) => each[figure]))
  return { cpu: of('cpu'), rate: of('rate'), p50: of('p50'), p99: of('p99'), garbage: of('garbage') }
}

function againstPeers(rows: readonly Row[], cpu: (subject: string) => number[]): AgainstPeer[] {
  const peers = rows.filter((row) => row.kind === 'peer' && row.figures !== undefined)
  const [best] = peers.toSorted((a, b) => (a.figures as Measured).cpu - (b.figures as Measured).cpu)
  if (best === undefined) return []
  const ours = rows.filter(({ kind, figures }) => kind === 'ermc' && figures !== undefined)
  return ours.map(({ subject }) => {
    const ratio = spreadOf(pairRatios(cpu(subject), cpu(best.subject)))
    return { subject, peer: best.subject, ratio, noisy: isNoisy(ratio) }
  })
}
