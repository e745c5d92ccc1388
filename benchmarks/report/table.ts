import type { Comparison, Row } from '../comparison.ts'
import type { StartUp } from '../start-up.ts'
import { figure, grouped, ratio, size, times } from './figures.ts'
import { circumstances, failedRows, memoryRows, noisyRows, type Report } from './report.ts'

/** The report as text for a terminal, in lines of at most 80 characters. */

const WIDTH = 80
const NAME = 16
const NONE = '–'

/** All of it. */
export function table(report: Report): string {
  const blocks = [
    wrapped(circumstances(report)),
    wrapped(report.subjects.map(({ name, version, about }) => `${name}${version === '' ? '' : ` ${version}`}: ${about}`)),
    ...report.comparisons.map(comparisonTable),
    startUpTable(report.startUps),
    memoryTable(report),
    wrapped(remarks(report)),
  ]
  return `${blocks.filter((block) => block !== '').join('\n\n')}\n`
}

function comparisonTable(comparison: Comparison): string {
  const lines = [
    `${comparison.scenario}, ${comparison.inFlight} in flight`,
    line('', ['ops/s', 'CPU µs', 'p50 µs', 'p99 µs', 'heap B'], '× bare (middle half)'),
    ...comparison.rows.map(rowLine),
  ]
  const [first] = comparison.againstPeers
  if (first !== undefined) {
    const ours = comparison.againstPeers.map(({ subject, ratio: { median } }) => `${subject} ${times(median)}`)
    lines.push(...wrapped([`  × the best peer, ${first.peer}: ${ours.join(', ')}`]).split('\n'))
  }
  return lines.join('\n')
}

function rowLine({ subject, figures, failure, ratio: ratios, noisy }: Row): string {
  if (failure !== undefined) return `${subject.padEnd(NAME)}failed: ${failure}`.slice(0, WIDTH)
  if (figures === undefined) return line(subject, [NONE, NONE, NONE, NONE, NONE], '')
  const { rate, cpu, p50, p99, garbage } = figures
  return line(subject, [grouped(rate), figure(cpu), figure(p50), figure(p99), grouped(garbage)], ratios === undefined ? '' : ratio(ratios) + (noisy ? ' ~' : ''))
}

function line(name: string, numbers: readonly string[], last: string): string {
  const cells = numbers.map((cell, column) => cell.padStart(column === 0 ? 9 : 8))
  return `${name.padEnd(NAME - 1)}${cells.join('')}  ${last}`.trimEnd()
}

function startUpTable(startUps: readonly StartUp[]): string {
  if (startUps.length === 0) return ''
  const head = `${'Before the first reply'.padEnd(24)}${'start, ms'.padStart(12)}${'of it import, ms'.padStart(20)}${'installed'.padStart(12)}`
  const rows = startUps.map(({ subject, firstReply, opened, installed }) => {
    const cells = [firstReply === undefined ? NONE : figure(firstReply.median), opened === undefined ? NONE : figure(opened.median), size(installed)]
    return `${subject.padEnd(24)}${cells.map((cell, column) => cell.padStart([12, 20, 12][column] as number)).join('')}`
  })
  return [head, ...rows].join('\n')
}

function memoryTable(report: Report): string {
  if (report.memory === undefined) return ''
  const head: [string, string, string] = [`${grouped(report.memory.gets)} gets`, 'held more after', 'held by a kept 100 B']
  return [head, ...memoryRows(report)].map(([name, grown, kept]) => name.padEnd(24) + grown.padStart(20) + kept.padStart(24)).join('\n')
}

/** What the tables cannot be read without. */
export function remarks(report: Report): string[] {
  const noisy = noisyRows(report)
  const failed = failedRows(report)
  return [
    ...failed.map((row) => `Failed: ${row}`),
    ...(noisy.length === 0 ? [] : [`Too noisy (~): the ratios of these rows lie too far apart to build on; more --rounds, or a quieter machine, would tell: ${noisy.join(', ')}`]),
  ]
}

/** Long lines broken between words. */
function wrapped(lines: readonly string[]): string {
  return lines.flatMap((text) => {
    const found: string[] = []
    let rest = text
    while (rest.length > WIDTH) {
      const space = rest.lastIndexOf(' ', WIDTH)
      const end = space > WIDTH / 2 ? space : WIDTH
      found.push(rest.slice(0, end))
      rest = `  ${rest.slice(end).trimStart()}`
    }
    return [...found, rest]
  }).join('\n')
}
