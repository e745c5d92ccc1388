import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { installed, startMemcached } from '../tests/support/servers.ts'

/**
 * What the client costs beside a bare loop that does the same: CPU time of the client's process for each operation, as the
 * ratio of two runs of the same round. `npm run bench -- --help` says how to use it.
 */
const { values: options } = parseArgs({
  options: {
    operations: { type: 'string', default: '200000' },
    rounds: { type: 'string', default: '7' },
    'in-flight': { type: 'string', default: '128' },
    'at-most': { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

if (options.help) {
  console.log(`npm run bench -- [--operations 200000] [--rounds 7] [--in-flight 128] [--at-most RATIO]

Compares get and set of 100 bytes with a bare socket loop, against a memcached that it starts, which must be installed.
--at-most fails when the median ratio of get is above it.`)
  process.exit(0)
}
if (!existsSync(join(import.meta.dirname, '../dist/esm/lib/index.js'))) throw new Error('build first: npm run build')

interface Sample {
  readonly cpu: number
  readonly rate: number
}

function measure(subject: 'bare' | 'ermc', port: number, operation: string): Sample {
  const script = join(import.meta.dirname, 'worker.ts')
  const args = ['--import', 'tsx', script, subject, String(port), operation, options['in-flight'], options.operations]
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })) as Sample
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1] as number
}

function compare(port: number, operation: string): number {
  const bare: Sample[] = []
  const ermc: Sample[] = []
  for (let round = 0; round < Number(options.rounds); round += 1) {
    // In turn, so that a change of the machine's pace meets both.
    if (round % 2 === 0) bare.push(measure('bare', port, operation))
    ermc.push(measure('ermc', port, operation))
    if (round % 2 === 1) bare.push(measure('bare', port, operation))
  }
  const ratios = ermc.map(({ cpu }, round) => cpu / (bare[round] as Sample).cpu)
  const figure = (samples: readonly Sample[]): string => `${median(samples.map(({ cpu }) => cpu)).toFixed(2)} µs`
  const spread = `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`
  console.log(`${operation}  bare ${figure(bare)}  ermc ${figure(ermc)}  ratio ${median(ratios).toFixed(2)} (${spread})`)
  return median(ratios)
}

if (!installed('memcached')) throw new Error('memcached is not installed')
const server = await startMemcached()
console.log(`CPU time of the client's process for each operation, 100 B, ${options['in-flight']} in flight, memcached`)
try {
  const ratio = compare(server.port, 'get')
  compare(server.port, 'set')
  if (options['at-most'] !== undefined && ratio > Number(options['at-most'])) {
    console.error(`get costs ${ratio.toFixed(2)} times what the bare loop costs: more than ${options['at-most']}`)
    process.exitCode = 1
  }
} finally {
  await server.stop()
}
