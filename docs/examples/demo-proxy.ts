/**
 * Shows what ermc is behind a proxy, step by step, and checks every step: `npm run demo:proxy`. It starts two memcached and a
 * twemproxy in front of them, and ends them. It exits with 0 only if each step did what it says.
 *
 *     demo-proxy.ts           runs the chapters, says how it went
 *     demo/proxied-servers.ts starting and ending the programs
 *     demo/proxy.ts           the chapters
 *     nutcracker.yml          twemproxy's configuration
 */
import { missingPrograms, startProxied } from './demo/proxied-servers.ts'
import { proxy } from './demo/proxy.ts'
import { Report, useColour } from './demo/report.ts'

process.exitCode = await main()

async function main(): Promise<number> {
  const missing = missingPrograms()
  if (missing.length > 0) {
    process.stderr.write(`This demo runs ${missing.join(' and ')}, which this machine does not have.\n`)
    process.stderr.write('On Debian and Ubuntu: apt-get install memcached nutcracker (nutcracker is the name of twemproxy there)\n')
    return 2
  }
  const report = new Report(process.stdout, useColour(process.stdout, process.env))
  try {
    await using servers = await startProxied()
    report.note(`twemproxy on the ports ${servers.cache} (pool "cache") and ${servers.state} (pool "state"),`)
    report.note(`in front of memcached on the ports ${servers.ports.join(' and ')}`)
    await proxy(servers, report)
  } catch (error) {
    report.failed(error)
  }
  return report.summary() ? 0 : 1
}
