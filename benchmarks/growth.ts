import { startMeasuring, type Job } from './measurement.ts'
import type { Progress } from './progress.ts'
import type { Endpoint } from './server.ts'
import { median } from './statistics.ts'

/** How cost grows: it has to be with what is asked for, and not faster. */

/** One thing that grows. */
export interface Series {
  /** Of its chart, without `.svg`. */
  readonly file: string
  readonly title: string
  /** What grows. */
  readonly axis: string
  /** What the cost is divided by. */
  readonly unit: string
  readonly steps: readonly number[]
  readonly job: (step: number) => Pick<Job, 'scenario' | 'inFlight' | 'clients'>
  /** Units in one operation. */
  readonly units: (step: number) => number
}

/** What a unit costs each subject, at every step. */
export interface Growth {
  readonly series: Series
  readonly curves: readonly { readonly subject: string; readonly points: readonly (readonly [step: number, microseconds: number])[]; readonly failure?: string }[]
}

/** All of them. */
export const allSeries: readonly Series[] = [
  {
    file: 'in-flight', title: 'Gets of 100 B in flight', axis: 'in flight', unit: 'get', steps: [1, 10, 100, 1000, 10_000],
    job: (step) => ({ scenario: 'get 100 B', inFlight: step }), units: () => 1,
  },
  {
    file: 'get-size', title: 'Length of a value that is got', axis: 'bytes', unit: 'KB', steps: [10, 100, 1000, 10_000, 100_000, 1_000_000],
    job: (step) => ({ scenario: `get ${step} B Buffer`, inFlight: 4 }), units: (step) => step / 1000,
  },
  {
    file: 'set-size', title: 'Length of a value that is set', axis: 'bytes', unit: 'KB', steps: [10, 100, 1000, 10_000, 100_000, 1_000_000],
    job: (step) => ({ scenario: `set ${step} B Buffer`, inFlight: 4 }), units: (step) => step / 1000,
  },
  {
    file: 'keys', title: 'Keys of a multi-get', axis: 'keys', unit: 'key', steps: [1, 10, 100, 1000, 10_000],
    job: (step) => ({ scenario: `getMulti of ${step}`, inFlight: 1 }), units: (step) => step,
  },
  {
    file: 'clients', title: 'Clients in a process, each with a get in flight', axis: 'clients', unit: 'get', steps: [1, 10, 100, 1000],
    job: (step) => ({ scenario: 'get 100 B', inFlight: step, clients: step }), units: () => 1,
  },
]

/** How it is measured. */
export interface GrowthPlan extends Endpoint {
  readonly subjects: readonly string[]
  readonly rounds: number
  readonly warmUp: number
  readonly milliseconds: number
  readonly cpu: string | undefined
}

/** How many steps `Progress` has. */
export function growthSteps({ subjects, rounds }: GrowthPlan): number {
  return allSeries.reduce((sum, { steps }) => sum + steps.length * subjects.length * rounds, 0)
}

/** Measures a series, every subject at every step. */
export async function growthOf(series: Series, { subjects, rounds, warmUp, milliseconds, cpu, host, port }: GrowthPlan, progress: Progress): Promise<Growth> {
  progress.begin(series.title)
  const samples = new Map(subjects.map((subject) => [subject, series.steps.map(() => [] as number[])]))
  const failures = new Map<string, string>()
  for (const [place, step] of series.steps.entries()) {
    for (const subject of subjects) {
      const started = await startMeasuring({ host, port, subject, warmUp, milliseconds, ...series.job(step) }, cpu)
      for (let round = 0; round < rounds; round += 1) {
        const found = 'failure' in started ? started : await started.measure()
        if ('failure' in found) failures.set(subject, `at ${step}: ${found.failure}`)
        else samples.get(subject)?.[place]?.push(found.cpu / series.units(step))
        progress.tick()
      }
      if (!('failure' in started)) await started.stop()
    }
  }
  progress.end()
  const curves = subjects.map((subject) => {
    const points = series.steps.flatMap((step, place): [number, number][] => {
      const costs = samples.get(subject)?.[place] ?? []
      return costs.length === 0 ? [] : [[step, median(costs)]]
    })
    const failure = failures.get(subject)
    return { subject, points, ...(failure === undefined ? {} : { failure }) }
  })
  return { series, curves }
}

/** At the last step a unit may cost so many times what it cost where it was cheapest before. */
const GROWN = 4

/** What grows faster than what is asked for, a sentence each; and what failed. */
export function growthRemarks(growths: readonly Growth[]): string[] {
  return growths.flatMap(({ series: { title, unit }, curves }) =>
    curves.flatMap(({ subject, points, failure }) => {
      if (failure !== undefined) return [`Failed: ${title}: ${subject} ${failure}`]
      const costs = points.map(([, cost]) => cost)
      const last = costs.at(-1) as number
      const least = Math.min(...costs)
      return last > least * GROWN ? [`${title}: in the end a ${unit} costs ${subject} ${(last / least).toFixed(1)} times what it cost where it was cheapest`] : []
    }),
  )
}
