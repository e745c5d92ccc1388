import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { compare, type Comparison } from './comparison.ts'
import { startMeasuring, type Failure, type Job } from './measurement.ts'
import { memoryOf, type Memory } from './memory.ts'
import type { Options } from './options.ts'
import { canDo, nameOf, type Cell, type Plan } from './plan.ts'
import { Progress } from './progress.ts'
import type { Report } from './report/report.ts'
import type { BenchmarkServer, Endpoint } from './server.ts'
import { startUps } from './start-up.ts'
import type { Subject } from './subjects.ts'

/** Measures all of a plan, and tells on `stream` how far it is. */
export async function run(plan: Plan, options: Options, server: BenchmarkServer, command: string, stream: NodeJS.WriteStream): Promise<Report> {
  const { cells, subjects, rounds, burst, starts } = plan
  const [cpu] = options.pin ?? []
  const progress = new Progress(stream, stepsOf(plan))
  const tick = (): void => progress.tick()
  const comparisons: Comparison[] = []
  for (const cell of cells) {
    progress.begin(nameOf(cell))
    comparisons.push(await compare(cell, plan, ({ name }) => startMeasuring(jobOf(name, cell, plan, server), cpu), tick))
    progress.end()
  }
  progress.begin('start')
  const started = await startUps(subjects, starts, server, cpu, tick)
  progress.end()
  const memory: { [subject: string]: Memory | Failure } = {}
  if (burst > 0) {
    progress.begin('memory')
    for (const { name } of subjects) {
      memory[name] = await memoryOf(name, burst, server, cpu)
      tick()
    }
    progress.end()
  }
  progress.clear()
  return {
    command,
    date: new Date().toISOString(),
    node: process.versions.node,
    machine: `${cpus().length} × ${cpus()[0]?.model ?? 'an unknown processor'}`,
    pinned: options.pin?.join(' and '),
    server: server.name,
    rounds,
    subjects: subjects.map((subject) => ({ name: subject.name, version: versionOf(subject), about: subject.about })),
    comparisons,
    startUps: started,
    ...(burst > 0 ? { memory: { gets: burst, of: memory } } : {}),
  }
}

/** Starts, measurements, and what comes behind them. */
function stepsOf({ cells, subjects, rounds, burst, starts }: Plan): number {
  const taking = cells.reduce((sum, { scenario }) => sum + subjects.filter((subject) => canDo(subject, scenario)).length, 0)
  return taking * (rounds + 1) + subjects.length * (starts + (burst > 0 ? 1 : 0))
}

function jobOf(subject: string, { scenario, inFlight }: Cell, { warmUp, milliseconds, operations }: Plan, { host, port }: Endpoint): Job {
  return { host, port, subject, scenario: scenario.name, inFlight, warmUp, milliseconds, ...(operations === undefined ? {} : { operations }) }
}

function versionOf({ kind, package: name }: Subject): string {
  if (kind === 'bare') return ''
  const folder = kind === 'ermc' ? join(import.meta.dirname, '..') : folderOf(name as string)
  return (JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string }).version
}

/** Where a package is installed: not every one lets its package.json be resolved. */
function folderOf(name: string): string {
  const entry = createRequire(import.meta.url).resolve(name)
  const end = join('node_modules', name)
  return entry.slice(0, entry.lastIndexOf(end) + end.length)
}
