import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { installed, startMemcached } from '../tests/support/servers.ts'

/**
 * What the client costs beside something else that does the same: CPU time of the client's process for each operation, as
 * the ratio of two runs of the same round. `npm run bench -- --help` says how to use it.
 */
const { values: options } = parseArgs({
  options: {
    subjects: { type: 'string', default: 'bare,text' },
    commands: { type: 'string', default: 'get,set' },
    operations: { type: 'string', default: '200000' },
    rounds: { type: 'string', default: '7' },
    'in-flight': { type: 'string', default: '128' },
    'at-most': { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

if (options.help) {
  console.log(`npm run bench -- [--subjects bare,text] [--commands get,set] [--operations 200000] [--rounds 7] [--in-flight 128] [--at-most RATIO]

Compares what commands on 100 bytes cost, against a memcached that it starts, which must be installed.
--subjects: the first is what the others are compared with: bare (a socket loop), text, binary, meta, memjs.
--commands: get, set, getMulti (of 100 keys; not bare).
--at-most fails when the median ratio of a get is above it.`)
  process.exit(0)
}
if (!existsSync(join(import.meta.dirname, '../dist/esm/lib/index.js'))) throw new Error('build first: npm run build')

const [reference = 'bare', ...others] = options.subjects.split(',')

/** CPU microseconds for each operation. */
function measure(subject: string, port: number, command: string): number {
  const script = join(import.meta.dirname, 'worker.ts')
  const operations = command === 'getMulti' ? String(Math.ceil(Number(options.operations) / 50)) : options.operations
  const args = ['--import', 'tsx', script, subject, String(port), command, options['in-flight'], operations]
  return (JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })) as { cpu: number }).cpu
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1] as number
}

/** The highest median ratio of a subject to the reference. */
function compare(port: number, command: string): number {
  const costs = new Map([reference, ...others].map((subject) => [subject, [] as number[]]))
  for (let round = 0; round < Number(options.rounds); round += 1) {
    // In turn, and to and fro, so that a change of the machine's pace meets them all.
    const order = round % 2 === 0 ? [...costs] : [...costs].reverse()
    for (const [subject, samples] of order) samples.push(measure(subject, port, command))
  }
  const base = costs.get(reference) as number[]
  console.log(`${command.padEnd(9)} ${reference.padEnd(7)} ${median(base).toFixed(2)} µs`)
  const ratios = others.map((subject) => {
    const samples = costs.get(subject) as number[]
    const pairs = samples.map((cpu, round) => cpu / (base[round] as number))
    const spread = `${Math.min(...pairs).toFixed(2)} to ${Math.max(...pairs).toFixed(2)}`
    console.log(`${command.padEnd(9)} ${subject.padEnd(7)} ${median(samples).toFixed(2)} µs  ratio ${median(pairs).toFixed(2)} (${spread})`)
    return median(pairs)
  })
  return Math.max(...ratios)
}

if (!installed('memcached')) throw new Error('memcached is not installed')
const server = await startMemcached()
console.log(`CPU time of the client's process for each operation, 100 B, ${options['in-flight']} in flight, memcached`)
try {
  for (const command of options.commands.split(',')) {
    const ratio = compare(server.port, command)
    if (command === 'get' && options['at-most'] !== undefined && ratio > Number(options['at-most'])) {
      console.error(`get costs ${ratio.toFixed(2)} times what ${reference} costs: more than ${options['at-most']}`)
      process.exitCode = 1
    }
  }
} finally {
  await server.stop()
}
