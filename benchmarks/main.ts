import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { beyondBounds } from './bounds.ts'
import { compile } from './compilation.ts'
import { allSeries, growthOf, growthSteps, type Growth, type GrowthPlan } from './growth.ts'
import { HELP, measuringCommand, parseOptions, UsageError, type Options } from './options.ts'
import { updatePage } from './page.ts'
import { NothingToMeasureError, planOf, type Plan } from './plan.ts'
import { Progress } from './progress.ts'
import { growthChart, growthMarkdown } from './report/growth.ts'
import { html } from './report/html.ts'
import { markdown } from './report/markdown.ts'
import { failedRows, type Report } from './report/report.ts'
import { table } from './report/table.ts'
import { run } from './run.ts'
import { startBenchmarkServer, type Endpoint } from './server.ts'
import { installedSubjects } from './subjects.ts'

/** Whose growth is shown, if no others are asked for. */
const GROWING = ['bare-text', 'text', 'meta', 'binary']

/** `npm run bench`: measures, prints, writes. It ends with 0, with 1 where something failed or is beyond a bound, with 2 for a wrong command line. */
async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args)
  if (options.help) {
    process.stdout.write(HELP)
    return 0
  }
  const plan = planOf(options.wishes, installedSubjects())
  await compile()
  const server = await startBenchmarkServer(options.server, options.pin?.[1])
  try {
    process.stderr.write(`Measuring against ${server.name}\n`)
    const command = measuringCommand(args)
    if (options.growth !== undefined) return await measureGrowth(plan, options, options.growth, server, command)
    const report = await run(plan, options, server, command, process.stderr)
    write(report, options)
    const beyond = beyondBounds(report.comparisons, options.check, options.atMost)
    for (const sentence of beyond) process.stderr.write(`${sentence}\n`)
    return beyond.length > 0 || failedRows(report).length > 0 ? 1 : 0
  } finally {
    await server.stop()
  }
}

/** Its own tables and charts, in place of the comparison. */
async function measureGrowth({ subjects, rounds, warmUp, milliseconds }: Plan, options: Options, folder: string, { host, port }: Endpoint, command: string): Promise<number> {
  const wished = options.wishes.subjects ?? GROWING
  const plan: GrowthPlan = { subjects: subjects.map(({ name }) => name).filter((name) => wished.includes(name)), rounds, warmUp, milliseconds, cpu: options.pin?.[0], host, port }
  const progress = new Progress(process.stderr, growthSteps(plan))
  const growths: Growth[] = []
  for (const series of allSeries) growths.push(await growthOf(series, plan, progress))
  progress.clear()

  mkdirSync(folder, { recursive: true })
  for (const growth of growths) writeFileSync(join(folder, `${growth.series.file}.svg`), growthChart(growth))
  if (options.json === '-') process.stdout.write(`${JSON.stringify(growths, null, 2)}\n`)
  else {
    if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(growths, null, 2)}\n`)
    process.stdout.write(growthMarkdown(growths, command))
  }
  if (options.update !== undefined) updatePage(options.update, 'growth', growthMarkdown(growths, command, relative(dirname(options.update), folder)))
  return growths.some(({ curves }) => curves.some(({ failure }) => failure !== undefined)) ? 1 : 0
}

function write(report: Report, { json, html: page, markdown: asMarkdown, update }: Options): void {
  const figures = `${JSON.stringify(report, null, 2)}\n`
  if (json === '-') process.stdout.write(figures)
  else {
    if (json !== undefined) writeFileSync(json, figures)
    process.stdout.write(asMarkdown ? markdown(report) : table(report))
  }
  if (page !== undefined) writeFileSync(page, html(report))
  if (update !== undefined) updatePage(update, 'benchmark', markdown(report))
}

// A run that is broken off takes its server and its compiled programs with it, which it does as it exits.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof UsageError || error instanceof NothingToMeasureError)) throw error
  process.stderr.write(`${error.message}\nnpm run bench -- --help says what there is.\n`)
  process.exitCode = 2
}
