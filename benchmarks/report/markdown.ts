import type { Comparison, Row } from '../comparison.ts'
import type { StartUp } from '../start-up.ts'
import { figure, grouped, ratio, size, times } from './figures.ts'
import { circumstances, memoryRows, type Report } from './report.ts'
import { remarks } from './table.ts'

/** The report as Markdown. */

const NONE = '–'

/** All of it. */
export function markdown(report: Report): string {
  const blocks = [
    `\`\`\`sh\n${report.command}\n\`\`\``,
    circumstances(report).map((line) => `- ${line}.`).join('\n'),
    grid(['subject', 'version', 'how it works; what a `get` gives'], report.subjects.map(({ name, version, about }) => [`\`${name}\``, version || NONE, about]), 3),
    startUpGrid(report.startUps),
    memoryGrid(report),
    ...report.comparisons.map(comparisonGrid),
    remarks(report).map((line) => `- ${line}.`).join('\n'),
  ]
  return `${blocks.filter((block) => block !== '').join('\n\n')}\n`
}

function comparisonGrid({ scenario, inFlight, rows, againstPeers }: Comparison): string {
  const [first] = againstPeers
  const head = ['', 'operations/s', 'CPU µs', 'p50 µs', 'p99 µs', 'heap B', '× bare', ...(first === undefined ? [] : [`× ${first.peer}`])]
  const body = rows.map((row) => {
    const peer = againstPeers.find(({ subject }) => subject === row.subject)
    return [`\`${row.subject}\``, ...cells(row), ...(first === undefined ? [] : [peer === undefined ? '' : times(peer.ratio.median)])]
  })
  return `**${scenario}, ${inFlight} in flight**\n\n${grid(head, body)}`
}

function cells({ figures, failure, ratio: ratios, noisy }: Row): string[] {
  if (failure !== undefined) return ['failed', '', '', '', '', '']
  if (figures === undefined) return Array.from({ length: 6 }, () => NONE)
  const { rate, cpu, p50, p99, garbage } = figures
  return [grouped(rate), figure(cpu), figure(p50), figure(p99), grouped(garbage), ratios === undefined ? '' : ratio(ratios) + (noisy ? ' ~' : '')]
}

function startUpGrid(startUps: readonly StartUp[]): string {
  if (startUps.length === 0) return ''
  const rows = startUps.map(({ subject, firstReply, opened, installed }) => [
    `\`${subject}\``,
    firstReply === undefined ? NONE : figure(firstReply.median),
    opened === undefined ? NONE : figure(opened.median),
    size(installed),
  ])
  return `**Before the first reply**\n\n${grid(['', 'process start to first reply, ms', 'of it import, ms', 'installed'], rows)}`
}

function memoryGrid(report: Report): string {
  if (report.memory === undefined) return ''
  const rows = memoryRows(report).map(([subject, ...cells]) => [`\`${subject}\``, ...cells])
  return `**Memory, after ${grouped(report.memory.gets)} gets**\n\n${grid(['', 'held more than before', 'held by a kept value of 100 B'], rows)}`
}

/** A table whose columns from `words` on are numbers. */
export function grid(head: readonly string[], rows: readonly (readonly string[])[], words = 1): string {
  const rule = head.map((_, column) => (column < words ? '---' : '---:'))
  return [head, rule, ...rows].map((row) => `| ${row.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`).join('\n')
}
