import t from 'tap'
import { driverContract } from '../../lib/testing/index.ts'
import { proxiedRows } from './subjects.ts'

/** The contract of every driver, behind proxies: however its bytes are cut into pieces, and however late they come. */

t.jobs = 4 // most of their time they wait

for (const { name, skip, start } of proxiedRows) {
  void t.test(name, { skip, buffered: true }, async (t) => {
    const { subject, stop } = await start()
    t.teardown(stop)
    for (const { name, run } of driverContract(subject)) void t.test(name, run)
  })
}
