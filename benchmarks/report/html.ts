import type { Comparison } from '../comparison.ts'
import type { Measured } from '../measurement.ts'
import type { StartUp } from '../start-up.ts'
import type { Subject } from '../subjects.ts'
import { barChart, escaped, type Bar } from './chart.ts'
import { figure, grouped, ratio, size, times } from './figures.ts'
import { circumstances, memoryRows, type Report } from './report.ts'
import { remarks } from './table.ts'

/** The report as one HTML file that needs nothing else: no script, no network. */

const colours: { readonly [kind in Subject['kind']]: string } = { bare: '#9aa0a6', ermc: '#1a73e8', peer: '#e8710a' }
const INK = '#5f6368'
const STYLE = `
  :root { color-scheme: light dark }
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 0.5rem 0 }
  th, td { padding: 0.1rem 0.6rem; text-align: right; border-bottom: 1px solid #8884 }
  th:first-child, td:first-child, .words td { text-align: left }
  svg { max-width: 100%; height: auto }
  code { font-size: 0.9em }`

/** All of it. */
export function html(report: Report): string {
  const notes = remarks(report)
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>ermc benchmark</title><style>${STYLE}</style></head>
<body>
<h1>ermc benchmark</h1>
<p><code>${escaped(report.command)}</code></p>
${list(circumstances(report))}
<p>The bars are processor time of the client for each operation, in microseconds: less is better.
<b style="color:${colours.bare}">Bare socket loops</b> are the limit, <b style="color:${colours.ermc}">drivers of ermc</b>, <b style="color:${colours.peer}">other libraries</b>.</p>
${notes.length === 0 ? '' : `<h2>To be read first</h2>\n${list(notes)}`}
<h2>Subjects</h2>
<table class="words">${row('th', ['subject', 'version', 'how it works; what a get gives'])}${report.subjects.map(({ name, version, about }) => row('td', [name, version, about])).join('')}</table>
${startUpSection(report)}
${memorySection(report)}
${report.comparisons.map(comparisonSection).join('\n')}
</body>
</html>
`
}

function comparisonSection({ scenario, inFlight, rows, againstPeers }: Comparison): string {
  const title = `${scenario}, ${inFlight} in flight`
  const measured = rows.filter((each) => each.figures !== undefined)
  const bars = measured.map(({ subject, kind, figures }): Bar => {
    const { cpu } = figures as Measured
    return { label: subject, value: cpu, shown: `${figure(cpu)} µs`, colour: colours[kind] }
  })
  const body = rows.map(({ subject, figures, failure, ratio: ratios, noisy }) => {
    if (failure !== undefined) return `<tr><td>${escaped(subject)}</td><td colspan="6">failed: ${escaped(failure)}</td></tr>`
    if (figures === undefined) return row('td', [subject, ...Array.from({ length: 6 }, () => '–')])
    const { rate, cpu, p50, p99, garbage } = figures
    return row('td', [subject, grouped(rate), figure(cpu), figure(p50), figure(p99), grouped(garbage), ratios === undefined ? '' : ratio(ratios) + (noisy ? ' ~' : '')])
  })
  const [first] = againstPeers
  const peers = first === undefined ? '' : `<p>× the best peer, ${escaped(first.peer)}: ${againstPeers.map(({ subject, ratio: { median } }) => `${escaped(subject)} ${times(median)}`).join(', ')}</p>`
  return `<h2>${escaped(title)}</h2>
${bars.length === 0 ? '' : barChart(`CPU µs for each operation: ${title}`, bars)}
<table>${row('th', ['', 'operations/s', 'CPU µs', 'p50 µs', 'p99 µs', 'heap B', '× bare (middle half)'])}${body.join('')}</table>
${peers}`
}

function startUpSection({ startUps }: Report): string {
  if (startUps.length === 0) return ''
  const timed = startUps.filter((each): each is Required<StartUp> => each.firstReply !== undefined)
  const bars = timed.map(({ subject, firstReply: { median } }): Bar => ({ label: subject, value: median, shown: `${figure(median)} ms`, colour: INK }))
  const body = startUps.map(({ subject, firstReply, opened, installed }) =>
    row('td', [subject, firstReply === undefined ? '–' : figure(firstReply.median), opened === undefined ? '–' : figure(opened.median), size(installed)]),
  )
  return `<h2>Before the first reply</h2>
${bars.length === 0 ? '' : barChart('Milliseconds from the start of a process to the first reply', bars)}
<table>${row('th', ['', 'process start to first reply, ms', 'of it import, ms', 'installed'])}${body.join('')}</table>`
}

function memorySection(report: Report): string {
  if (report.memory === undefined) return ''
  const body = memoryRows(report).map((cells) => row('td', cells))
  return `<h2>Memory, after ${grouped(report.memory.gets)} gets</h2>
<table>${row('th', ['', 'held more than before', 'held by a kept value of 100 B'])}${body.join('')}</table>`
}

function row(cell: 'th' | 'td', cells: readonly string[]): string {
  return `<tr>${cells.map((text) => `<${cell}>${escaped(text)}</${cell}>`).join('')}</tr>`
}

function list(lines: readonly string[]): string {
  return `<ul>${lines.map((line) => `<li>${escaped(line)}</li>`).join('')}</ul>`
}
