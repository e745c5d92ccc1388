import { scenarios, type Scenario } from './scenarios.ts'
import type { Subject } from './subjects.ts'

/** How much is measured. */
export type Extent = 'quick' | 'usual' | 'full'

/** A scenario with this many calls in flight: what all subjects are measured on before the next one begins. */
export interface Cell {
  readonly scenario: Scenario
  readonly inFlight: number
}

/** What is measured, and for how long. */
export interface Plan {
  readonly cells: readonly Cell[]
  readonly subjects: readonly Subject[]
  readonly rounds: number
  /** Of a warm-up and of a slice; see worker.ts. */
  readonly warmUp: number
  readonly milliseconds: number
  readonly operations: number | undefined
  /** Of how many gets the memory is looked at; 0: it is not. */
  readonly burst: number
  /** How often each is started for the time to the first reply. */
  readonly starts: number
}

/** What the command line says of it. */
export interface Wishes {
  readonly extent: Extent
  readonly filter: RegExp | undefined
  readonly subjects: readonly string[] | undefined
  readonly inFlight: readonly number[] | undefined
  readonly rounds: number | undefined
  readonly operations: number | undefined
}

/** A wish that nothing fits. */
export class NothingToMeasureError extends Error {
  override readonly name = 'NothingToMeasureError'
}

/** Without a filter, these scenarios; with one, all that it fits. */
const chosen: { readonly [extent in Extent]: readonly string[] } = {
  quick: ['get 100 B', 'set 100 B', 'getMulti of 100'],
  usual: ['get 100 B', 'get 1 KB', 'get 10 KB', 'get 100 KB', 'set 100 B', 'set 10 KB', 'set 100 KB', 'get miss', 'getMulti of 100', 'mix 90/10'],
  full: scenarios.map(({ name }) => name),
}
/** How thoroughly. */
interface Thoroughness extends Pick<Plan, 'rounds' | 'warmUp' | 'milliseconds' | 'burst' | 'starts'> {
  readonly inFlight: readonly number[]
}

const extents: { readonly [extent in Extent]: Thoroughness } = {
  quick: { inFlight: [128], rounds: 3, warmUp: 350, milliseconds: 60, burst: 0, starts: 1 },
  usual: { inFlight: [1, 128], rounds: 5, warmUp: 1000, milliseconds: 200, burst: 100_000, starts: 5 },
  full: { inFlight: [1, 16, 128, 1024], rounds: 5, warmUp: 1000, milliseconds: 200, burst: 1_000_000, starts: 9 },
}

/**
 * Chooses from `present` subjects and all scenarios. The filter is tried on scenarios, as "get 100 B@128", and on subjects; whichever of
 * them it fits at all are fewer then. The bare loops that the others are compared with stay.
 */
export function planOf(wishes: Wishes, present: readonly Subject[]): Plan {
  const { filter, extent } = wishes
  const { inFlight, rounds, ...times } = extents[extent]
  const all = scenarios.flatMap((scenario) => inFlightOf(scenario, wishes.inFlight, inFlight).map((count) => ({ scenario, inFlight: count })))
  const fitting = filter === undefined ? [] : all.filter((cell) => filter.test(nameOf(cell)))
  const cells = fitting.length > 0 ? fitting : all.filter(({ scenario }) => chosen[extent].includes(scenario.name))

  const unknown = wishes.subjects?.find((name) => !present.some((subject) => subject.name === name))
  if (unknown !== undefined) throw new NothingToMeasureError(`there is no subject ${unknown} here; there are ${present.map(({ name }) => name).join(', ')}`)
  const wanted = present.filter(({ name }) => wishes.subjects?.includes(name) ?? true)
  const named = filter === undefined ? [] : wanted.filter(({ name }) => filter.test(name))
  if (filter !== undefined && fitting.length === 0 && named.length === 0) throw new NothingToMeasureError(`no scenario and no subject fits ${filter.source}`)
  const kept = named.length > 0 ? named : wanted
  const bare = new Set(kept.map((subject) => subject.bare))
  const subjects = present.filter((subject) => kept.includes(subject) || bare.has(subject.name))
  return { cells, subjects, rounds: wishes.rounds ?? rounds, operations: wishes.operations, ...times, burst: filter === undefined ? times.burst : 0 }
}

/** A cell as it is filtered. */
export function nameOf({ scenario, inFlight }: Cell): string {
  return `${scenario.name}@${inFlight}`
}

/** Whether a subject can do what a scenario asks for. */
export function canDo({ takes, lacks }: Subject, { kind, exercise, compress }: Scenario): boolean {
  return takes.includes(kind) && !lacks.includes(exercise) && !(compress && lacks.includes('compression'))
}

function inFlightOf(scenario: Scenario, wished: readonly number[] | undefined, usual: readonly number[]): readonly number[] {
  if (wished !== undefined) return wished
  const both = scenario.inFlight.filter((count) => usual.includes(count))
  return both.length > 0 ? both : scenario.inFlight.slice(0, 1)
}
