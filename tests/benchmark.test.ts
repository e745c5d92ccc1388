import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { beyondBounds } from '../benchmarks/bounds.ts'
import { compare, type Comparison } from '../benchmarks/comparison.ts'
import { compile } from '../benchmarks/compilation.ts'
import { allSeries, growthRemarks } from '../benchmarks/growth.ts'
import { startMeasuring, type Failure, type Measured } from '../benchmarks/measurement.ts'
import { memoryOf, type Memory } from '../benchmarks/memory.ts'
import { measuringCommand, parseOptions, UsageError } from '../benchmarks/options.ts'
import { updatePage } from '../benchmarks/page.ts'
import { nameOf, NothingToMeasureError, planOf, type Plan } from '../benchmarks/plan.ts'
import { duration, Progress } from '../benchmarks/progress.ts'
import { lineChart } from '../benchmarks/report/chart.ts'
import { html } from '../benchmarks/report/html.ts'
import { markdown } from '../benchmarks/report/markdown.ts'
import type { Report } from '../benchmarks/report/report.ts'
import { table } from '../benchmarks/report/table.ts'
import { scenarioNamed, scenarios } from '../benchmarks/scenarios.ts'
import { isNoisy, median, pairRatios, quantile, spreadOf } from '../benchmarks/statistics.ts'
import { subjects } from '../benchmarks/subjects.ts'
import { startServer } from '../lib/testing/index.ts'
import { outsideTap } from './support/outside-tap.ts'
import { ended, type Ended } from './support/program.ts'
import { withoutMemcached } from './support/servers.ts'

/** The benchmark measures rightly, and says what it has measured. How fast anything is, is no test's affair: that differs by machine. */

const measured = (cpu: number): Measured => ({ cpu, rate: 1e6 / cpu, p50: cpu * 10, p99: cpu * 1000, garbage: cpu * 1e6 })
const subject = (name: string) => subjects.find((each) => each.name === name) as (typeof subjects)[number]
const cell = { scenario: scenarioNamed('get 100 B') as (typeof scenarios)[number], inFlight: 128 }

/** A plan of these subjects. */
function planned(names: readonly string[], rounds: number): Plan {
  return { cells: [cell], subjects: names.map(subject), rounds, warmUp: 1, milliseconds: 1, operations: undefined, burst: 0, starts: 1 }
}

/** What comes of costs that are told, one for each round. */
async function comparisonOf(costs: { readonly [name: string]: readonly (number | string)[] }, asked: string[] = []): Promise<Comparison> {
  const rounds = Math.max(...Object.values(costs).map((list) => list.length))
  return compare(cell, planned(Object.keys(costs), rounds), async ({ name }) => {
    const left = [...(costs[name] ?? [])]
    return {
      async measure() {
        asked.push(name)
        const cost = left.shift() as number | string
        return typeof cost === 'string' ? { failure: cost } : measured(cost)
      },
      stop: async () => void asked.push(`${name}.`),
    }
  })
}

function reportOf(comparisons: readonly Comparison[]): Report {
  const rows = comparisons[0]?.rows ?? []
  const about = rows.map((row) => ({ name: row.subject, version: '10.20.30', about: subject(row.subject).about }))
  return {
    command: 'npm run bench -- --filter <all>', date: '2026-01-02T03:04:05Z', node: '20.20.2', machine: '128 × a processor whose name is really very long & strange', pinned: '0 and 1',
    server: 'memcached 1.6.18, started for this', rounds: 3, subjects: about, comparisons,
    startUps: rows.map((row) => ({ subject: row.subject, firstReply: spreadOf([100, 101]), opened: spreadOf([10]), installed: 123_456 })),
    memory: { gets: 1_000_000, of: { text: { grown: -5, kept: 160.4 }, memjs: { failure: 'Error: no' } } },
  }
}

t.test('statistics', async (t) => {
  t.equal(median([3, 1, 2]), 2)
  t.equal(median([4, 1, 2, 3]), 2.5)
  t.equal(quantile([10, 20, 30, 40, 50], 0.25), 20)
  t.equal(quantile([7], 0.75), 7)
  t.same(spreadOf([5, 1, 3]), { low: 2, median: 3, high: 4 })
  t.same(pairRatios([2, 6, 9], [1, 2, 3]), [2, 3, 3], 'of the same round, in its order')
  t.notOk(isNoisy({ low: 0.95, median: 1, high: 1.05 }))
  t.ok(isNoisy({ low: 0.8, median: 1, high: 1.1 }))
})

t.test('a comparison is of pairs of the same round', async (t) => {
  const asked: string[] = []
  const { rows, againstPeers } = await comparisonOf({ 'bare-text': [1, 2, 4], text: [2, 4, 8.4], memcached: [10, 20, 40], memcache: [9, 30, 50] }, asked)
  t.equal(asked.join(' '), 'bare-text text memcached memcache memcache memcached text bare-text bare-text text memcached memcache bare-text. text. memcached. memcache.', 'to and fro')
  const [bare, text] = rows
  t.equal(bare?.ratio, undefined, 'it is what the others are compared with')
  t.equal(text?.ratio?.median, 2, 'although the machine became four times slower')
  t.equal(text?.figures?.cpu, 4)
  t.equal(text?.noisy, false)
  t.match(againstPeers, [{ subject: 'text', peer: 'memcached', ratio: { median: 0.2 } }])

  const failing = await comparisonOf({ 'bare-text': [1, 1], text: [1, 'Error: a wrong reply'], memcache: [5, 9] })
  t.match(failing.rows[1], { failure: 'Error: a wrong reply', noisy: false })
  t.equal(failing.rows[1]?.figures, undefined, 'who is wrong is not fast')
  t.match(failing.rows[2], { noisy: true })
  t.same(failing.againstPeers, [])
})

t.test('what a subject cannot do is not asked of it', async (t) => {
  const asked: string[] = []
  const many = { scenario: scenarioNamed('getMulti of 100') as (typeof scenarios)[number], inFlight: 1 }
  const { rows } = await compare(many, planned(['bare-binary', 'memjs'], 1), async ({ name }) => {
    asked.push(name)
    return { failure: 'it does not start' }
  })
  t.same(asked, ['bare-binary'])
  t.match(rows[0], { subject: 'bare-binary', failure: 'it does not start' })
  t.match(rows[1], { subject: 'memjs', figures: undefined, failure: undefined })
  t.match(table(reportOf([{ scenario: 'getMulti of 100', inFlight: 1, rows, againstPeers: [] }])), /^memjs +–/m)
})

t.test('the report, in each form', async (t) => {
  const names = subjects.map(({ name }) => name)
  const costs = Object.fromEntries(names.map((name, index) => [name, [1e-3 + index, 12.3 * (index + 1), 98765 * (index + 1)]]))
  const report = reportOf([
    await comparisonOf(costs),
    await comparisonOf({ 'bare-text': [1, 1, 1], text: [`Error: ${'<b>long'.repeat(30)}`], memcache: [1, 2, 3] }),
  ])

  const text = table(report)
  for (const line of text.split('\n')) t.ok(line.length <= 80, `${line.length}: ${line}`)
  for (const name of names) t.match(text, new RegExp(`^${name} `, 'm'))
  t.match(text, /^text +failed: Error: <b>long/m)
  t.match(text, /^memcache .* ~$/m, 'a noisy row is marked')
  t.match(text.replace(/\n */g, ' '), /Too noisy .*get 100 B@128: memcache/, 'and named')
  t.notMatch(table(reportOf([await comparisonOf({ 'bare-text': [1, 1], text: [2, 2] })])), 'Too noisy')

  const page = html(report)
  t.match(page, /<svg /)
  t.notMatch(page, /(src|href)=|@import|url\(|<script|<link/, 'it opens without a network')
  t.same([...page.matchAll(/https?:\/\/[^"' <]+/g)].map(([url]) => url).filter((url) => url !== 'http://www.w3.org/2000/svg'), [])
  t.notMatch(page, '<b>long')
  t.match(page, '--filter &lt;all&gt;')

  const pageText = markdown(report)
  t.match(pageText, '| `text` | failed |')
  for (const [, row = ''] of pageText.matchAll(/^(\|.*\|)$/gm)) t.ok(row.split(' | ').length >= 3, row)
})

t.test('a page keeps what is around the part that is written', async (t) => {
  const page = join(t.testdir({ 'a.md': 'one\n<!-- x: begin -->\nold\n<!-- x: end -->\ntwo\n' }), 'a.md')
  updatePage(page, 'x', '$& new\n')
  t.equal(readFileSync(page, 'utf8'), 'one\n<!-- x: begin -->\n$& new\n<!-- x: end -->\ntwo\n')
  t.throws(() => updatePage(page, 'y', ''), /has no <!-- y: begin -->/)
})

t.test('bounds', async (t) => {
  const dear = await comparisonOf({ 'bare-text': [1], text: [1000], memcache: [5000] })
  t.match(beyondBounds([dear], true, undefined), [/^get 100 B@128: text costs 1000\.00 times .* more than \d/])
  t.same(beyondBounds([dear], false, undefined), [])
  t.equal(beyondBounds([dear], false, 999).length, 1, 'of ours alone')
  t.same(beyondBounds([dear], false, 1000), [])
})

t.test('growth', async (t) => {
  const [series] = allSeries
  if (series === undefined) throw new Error('there is no series')
  t.same(growthRemarks([{ series, curves: [{ subject: 'text', points: [[1, 50], [10, 5], [100, 6]] }] }]), [])
  t.match(growthRemarks([{ series, curves: [{ subject: 'text', points: [[1, 50], [10, 5], [100, 50]] }] }]), [/costs text 10\.0 times/])
  t.match(growthRemarks([{ series, curves: [{ subject: 'text', points: [], failure: 'at 1: no' }] }]), [/^Failed: .*text at 1: no/])
  for (const { steps, job } of allSeries) for (const step of steps) t.ok(scenarioNamed(job(step).scenario), job(step).scenario)
  const chart = lineChart('a < b', 'x', 'y', [{ label: 'text', colour: '#000', points: [[1, 10], [10, 1000]] }])
  t.match(chart, 'points="60.0,314.0 620.0,64.0"', 'from corner to corner of two decades')
  t.match(chart, 'a &lt; b')
})

t.test('what is measured', async (t) => {
  const wishes = parseOptions(['--quick']).wishes
  const plan = (...args: string[]): string[] => planOf({ ...wishes, ...parseOptions(args).wishes }, subjects).cells.map(nameOf)
  t.same(plan('--quick'), ['get 100 B@128', 'set 100 B@128', 'getMulti of 100@1'])
  t.same(plan('--filter', '^get 1 KB$|^get 1 KB@16$', '--full'), ['get 1 KB@16'])
  t.same(plan('--quick', '--filter', 'incr'), ['incr@16'], 'beyond the usual ones')
  t.same(plan('--in-flight', '3', '--quick'), ['get 100 B@3', 'set 100 B@3', 'getMulti of 100@3'])
  t.equal(new Set(plan('--full')).size, plan('--full').length)

  const names = (...args: string[]): string[] => planOf(parseOptions(args).wishes, subjects).subjects.map(({ name }) => name)
  t.same(names('--subjects', 'memjs,text'), ['bare-text', 'bare-binary', 'text', 'memjs'], 'and what they are compared with')
  t.same(names('--filter', '^meta$'), ['bare-meta', 'meta'])
  t.throws(() => names('--filter', 'nothing of the kind'), NothingToMeasureError)
  t.throws(() => names('--subjects', 'redis'), NothingToMeasureError)
})

t.test('a command line that cannot be understood', async (t) => {
  for (const wrong of [['--qiuck'], ['extra'], ['--rounds', '0'], ['--rounds', '1.5'], ['--at-most', 'x'], ['--quick', '--full'], ['--filter', '('], ['--pin', 'a'], ['--server', 'nowhere']]) {
    t.throws(() => parseOptions(wrong), UsageError, wrong.join(' '))
  }
  t.match(parseOptions(['--pin', '0,1', '--server', '[::1]:11211']), { pin: ['0', '1'], server: { host: '[::1]', port: 11211 } })
})

t.test('the command that a report names measures the same', async (t) => {
  t.equal(measuringCommand(['--quick', '--json', 'a.json', '--html=b.html', '--markdown', '--filter', 'get 1 KB@1$', '--update', 'c.md']), "npm run bench -- --quick --filter 'get 1 KB@1$'")
  t.equal(measuringCommand(['--json', '-']), 'npm run bench')
})

/** The benchmark as `npm run bench` runs it. */
async function bench(...args: string[]): Promise<Ended> {
  const script = fileURLToPath(new URL('../benchmarks/main.ts', import.meta.url))
  return ended(outsideTap(process.execPath, ['--import', 'tsx', script, ...args]), { timeout: 100_000 })
}

t.test('from end to end', async (t) => {
  const folder = t.testdir({ 'page.md': '<!-- benchmark: begin -->\n<!-- benchmark: end -->\n' })
  const [json, page, text] = ['a.json', 'a.html', 'page.md'].map((name) => join(folder, name)) as [string, string, string]
  const { code, out, err } = await bench(
    '--quick', '--filter', '^(get 100 B|get miss)@128$', '--subjects', 'text,memjs', '--rounds', '1', '--operations', '300', '--server', 'embedded',
    '--json', json, '--html', page, '--update', text,
  )
  t.equal(code, 0, err)
  t.match(out, /the embedded server of ermc\/testing, in a process of its own/)
  for (const scenario of ['get 100 B', 'get miss']) t.match(out, new RegExp(`^${scenario}, 128 in flight$`, 'm'))
  for (const name of ['bare-text', 'bare-binary', 'text', 'memjs']) t.equal(out.match(new RegExp(`^${name}( +[\\d.,]+M?){5}(  |$)`, 'gm'))?.length, 2, `${name} is in both tables`)
  t.match(out, /^Before the first reply/m)
  t.match(out, /× the best peer, memjs: text \d/)
  t.match(err, /^100 % start$/m, 'plain lines, as this is no terminal')
  t.notMatch(out + err, '\x1b')

  const { comparisons, startUps } = JSON.parse(readFileSync(json, 'utf8')) as Report
  t.equal(comparisons.length, 2)
  for (const { figures } of comparisons.flatMap(({ rows }) => rows)) for (const figure of Object.values(figures ?? {})) t.ok(figure > 0, 'every figure is measured')
  t.ok(startUps.every(({ firstReply, opened }) => (firstReply?.median ?? 0) > (opened?.median ?? 0)))
  t.ok(startUps.some(({ subject: name, installed }) => name === 'memjs' && installed > 10_000))
  t.match(readFileSync(page, 'utf8'), /^<!doctype html>/)
  t.match(readFileSync(text, 'utf8'), /\*\*get miss, 128 in flight\*\*/)
})

t.test('on a memcached that it starts, with all figures on its standard output and nothing else', { skip: withoutMemcached }, async (t) => {
  const { code, out, err } = await bench('--quick', '--filter', '^get 100 B@128$', '--subjects', 'text', '--rounds', '1', '--operations', '300', '--json', '-', '--at-most', '1000000')
  t.equal(code, 0, err)
  const { server, comparisons } = JSON.parse(out) as Report
  t.match(server, /^memcached [\d.]+, started for this$/)
  t.match(comparisons, [{ scenario: 'get 100 B', inFlight: 128 }])
})

t.test('progress, on a terminal and elsewhere', async (t) => {
  const shown = (isTTY: boolean): string => {
    let text = ''
    const progress = new Progress({ isTTY, columns: 60, write: (more: string) => (text += more) } as unknown as NodeJS.WriteStream, 2)
    progress.begin('get 100 B@128')
    progress.tick()
    progress.end()
    progress.begin('a label that is much too long for a line of a terminal')
    progress.tick()
    progress.end()
    progress.clear()
    return text
  }
  t.equal(shown(false), ' 50 % get 100 B@128\n100 % a label that is much too long for a line of a terminal\n')
  const lines = shown(true).split('\r\x1b[2K')
  t.match(lines[2], /^\[█{12}·{12}\] 50 %, \d+ s left  get 100 B@128$/)
  t.ok(lines.every((line) => line.length < 60))
  t.equal(lines.at(-1), '', 'in the end it is gone')
  t.equal(duration(61_000), '1 min 1 s')
})

t.test('its exit code', async (t) => {
  const { code, out, err } = await bench('--qiuck')
  t.equal(code, 2)
  t.equal(out, '')
  t.match(err, /--qiuck.*\n.*--help/s)
  const help = await bench('--help')
  t.equal(help.code, 0)
  for (const line of help.out.split('\n')) t.ok(line.length <= 80, line)
})

t.test('the bare loops give what is stored, in one piece and in many', { timeout: 120_000 }, async (t) => {
  await compile()
  await using server = await startServer()
  for (const name of ['bare-joined', 'bare-meta', 'bare-binary']) {
    for (const scenario of ['get 100 KB', name === 'bare-joined' ? 'get miss' : 'getMulti of 100']) {
      t.match(await measure(server.port, name, scenario, 16), { cpu: Number }, `${scenario}: ${name}`)
    }
  }
  server.garble('END\r\n')
  t.match(await measure(server.port, 'bare-text', 'set 100 B', 1), { failure: /a wrong reply/ }, 'a wrong reply is a failure')
})

/** What a worker finds with a few operations. */
async function measure(port: number, name: string, scenario: string, inFlight: number): Promise<Measured | Failure> {
  const started = await startMeasuring({ host: '127.0.0.1', port, subject: name, scenario, inFlight, warmUp: 1, milliseconds: 1, operations: 64 }, undefined)
  if ('failure' in started) return started
  const found = await started.measure()
  await started.stop()
  return found
}

t.test('memory', { timeout: 120_000 }, async (t) => {
  await compile()
  await using server = await startServer()
  for (const name of ['text', 'binary']) {
    const found = (await memoryOf(name, 20_000, { host: '127.0.0.1', port: server.port }, undefined)) as Memory
    t.ok(found.grown < 1_000_000, `${name}: ${found.grown} bytes more are held after 20,000 gets`)
    t.ok(found.kept < 16_384, `${name}: a kept value of 100 bytes holds ${found.kept}: less than the 64 KiB that it came in`)
  }
})
