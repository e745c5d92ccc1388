/** The statistics over the binary protocol: one packet for each, and an empty one behind the last. */

import { STATUS } from './binary-status.ts'
import { sections, trackSizes } from './statistics-sections.ts'
import type { BinaryCommand, BinaryContext } from './binary-command.ts'
import type { BinaryRequest } from './binary-packet.ts'
import type { Engine } from './session.ts'
import type { Statistic } from './statistics-sections.ts'

/** The key is the section; without one, the general statistics. */
export const binaryStatistics: BinaryCommand = { key: 'optional', value: true, run: runStat }

function runStat(session: BinaryContext, request: BinaryRequest): void {
  const { engine } = session
  const { key } = request
  engine.store.sweep()
  if (key === 'sizes_enable' || key === 'sizes_disable') {
    // As in text, nothing says that this was the last one.
    report(session, request, trackSizes(engine, key === 'sizes_enable'))
    return
  }
  const statistics = collect(engine, key)
  if (statistics === undefined) {
    session.fail(request, STATUS.notFound)
    return
  }
  report(session, request, statistics)
  session.reply(request)
}

/** What a section holds, or `undefined` where there is none. Of some names the beginning is enough. */
function collect(engine: Engine, name: string): Statistic[] | undefined {
  if (name.startsWith('reset')) {
    engine.store.resetCounters()
    engine.prefixes.reset()
    return []
  }
  if (name.startsWith('detail dump')) return [['detailed', engine.prefixes.dump()]]
  if (name.startsWith('detail on') || name.startsWith('detail off')) {
    engine.settings.detailEnabled = name.startsWith('detail on')
    return []
  }
  return sections.get(name.startsWith('settings') ? 'settings' : name)?.(engine)
}

function report(session: BinaryContext, request: BinaryRequest, statistics: readonly Statistic[]): void {
  for (const [key, value] of statistics) session.reply(request, { key, value: String(value) })
}
