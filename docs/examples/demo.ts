/**
 * Shows what ermc does, step by step, and checks every step: `npm run demo [-- --server host:port]`.
 * It exits with 0 only if each step did what it says.
 *
 *     demo.ts          starts or finds the servers, runs the chapters, says how it went
 *     demo/values.ts   storing and reading: the chapters to learn the commands from
 *     demo/faults.ts   what a caller sees when a server fails
 *     demo/report.ts   printing and checking
 */
import { parseArgs } from 'node:util'
import { Client, MemcacheError } from '../../lib/index.ts' // in your own code: from 'ermc'
import { startServer } from '../../lib/testing/index.ts' // in your own code: from 'ermc/testing'
import { faults } from './demo/faults.ts'
import { Report, useColour } from './demo/report.ts'
import { values } from './demo/values.ts'

const USAGE = `npm run demo                              on a server inside this process
npm run demo -- --server host:port        on a memcached of yours (also a path: --server unix:/path)
`

process.exitCode = await main()

async function main(): Promise<number> {
  const server = readServer()
  if (server === undefined) {
    process.stderr.write(USAGE)
    return 2
  }
  const report = new Report(process.stdout, useColour(process.stdout, process.env))
  // Whatever is asked of a server of yours, the chapters on faults need one that may be broken.
  await using embedded = await startServer()
  const url = server === '' ? embedded.url : server
  await using client = new Client(url, { keyPrefix: `ermc-demo-${process.pid}:` })
  try {
    const where = server === '' ? 'a server inside this process' : server
    report.note(`memcached ${await client.version()}, ${where}`)
    await values(client, url, report)
    if (server !== '') report.note('the chapters on faults run on a server inside this process, which may be broken')
    await faults(embedded, report)
  } catch (error) {
    report.failed(error)
  }
  return report.summary() ? 0 : 1
}

/** The URL that `--server` means, '' without it, `undefined` for arguments that cannot be understood. */
function readServer(): string | undefined {
  try {
    const { server } = parseArgs({ options: { server: { type: 'string' } } }).values
    if (server === undefined) return ''
    const url = /^(memcached|unix):/.test(server) ? server : `memcached://${server}`
    new Client(url) // throws where it cannot be one, and does not connect
    return url
  } catch (error) {
    process.stderr.write(`${error instanceof MemcacheError || error instanceof TypeError ? error.message : String(error)}\n\n`)
    return undefined
  }
}
