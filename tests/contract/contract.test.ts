import t from 'tap'
import { driverContract } from '../../lib/testing/index.ts'
import { rows } from './subjects.ts'

/** The contract of every driver, on every server. */

for (const { name, skip, start } of rows) {
  void t.test(name, { skip }, async (t) => {
    const { subject, stop } = await start()
    t.teardown(stop)
    for (const { name, run } of driverContract(subject)) void t.test(name, run)
  })
}
