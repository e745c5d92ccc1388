import { writeFileSync } from 'node:fs'
import { beyondBounds } from './bounds.ts'
import { compile } from './compilation.ts'
import { HELP, parseOptions, UsageError, type Options } from './options.ts'
import { updatePage } from './page.ts'
import { NothingToMeasureError, planOf } from './plan.ts'
import { html } from './report/html.ts'
import { markdown } from './report/markdown.ts'
import { failedRows, type Report } from './report/report.ts'
import { table } from './report/table.ts'
import { run } from './run.ts'
import { startBenchmarkServer } from './server.ts'
import { installedSubjects } from './subjects.ts'

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
    const report = await run(plan, options, server, `npm run bench -- ${args.join(' ')}`, process.stderr)
    write(report, options)
    const beyond = beyondBounds(report.comparisons, options.check, options.atMost)
    for (const sentence of beyond) process.stderr.write(`${sentence}\n`)
    return beyond.length > 0 || failedRows(report).length > 0 ? 1 : 0
  } finally {
    await server.stop()
  }
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

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof UsageError || error instanceof NothingToMeasureError)) throw error
  process.stderr.write(`${error.message}\nnpm run bench -- --help says what there is.\n`)
  process.exitCode = 2
}
