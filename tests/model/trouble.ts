import { setTimeout as sleep } from 'node:timers/promises'
import fc, { type Arbitrary } from 'fast-check'
import type { Client } from '../../lib/client.ts'
import type { End, Fault, FaultProxy } from '../support/fault-proxy.ts'
import { recovers } from '../support/outcomes.ts'
import type { Knowledge } from './visits.ts'

/** What befalls a client between its calls, and how it comes to its end. */

/** A server behind a proxy. */
export interface Stage {
  readonly proxy: FaultProxy
  readonly server: {
    /** It keeps its connections, and does nothing. */
    pause(): void
    resume(): void
    /** It ends, with all that it has, and begins anew. */
    restart(): Promise<void>
  }
}

/** Times are in milliseconds. */
export type Trouble =
  | { readonly does: 'cut'; readonly how: End }
  | { readonly does: 'harm'; readonly direction: 'request' | 'reply'; readonly fault: Fault }
  | { readonly does: 'turn away'; readonly how: End }
  | { readonly does: 'hold' | 'refuse' | 'pause'; readonly for: number }
  | { readonly does: 'restart' | 'reconnect' | 'close' }

const how = fc.constantFrom<End>('fin', 'reset')
const after = fc.oneof(fc.nat({ max: 60 }), fc.nat({ max: 5000 }))
const fault: Arbitrary<Fault> = fc.oneof(
  fc.record({ does: how, after }, { noNullPrototype: true }),
  fc.record({ does: fc.constant('swallow' as const), after }, { noNullPrototype: true }),
  fc.record({ does: fc.constant('drip' as const), bytes: fc.constant(40) }, { noNullPrototype: true }),
  fc.record({ does: fc.constant('delay' as const), for: fc.constant(2) }, { noNullPrototype: true }),
)

/** All kinds of it. */
export const troubles: Arbitrary<Trouble> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ does: fc.constant('cut' as const), how }, { noNullPrototype: true }) },
  { weight: 8, arbitrary: fc.record({ does: fc.constant('harm' as const), direction: fc.constantFrom('request' as const, 'reply' as const), fault }, { noNullPrototype: true }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('turn away' as const), how }, { noNullPrototype: true }) },
  { weight: 4, arbitrary: fc.record({ does: fc.constantFrom('hold' as const, 'refuse' as const, 'pause' as const), for: fc.constantFrom(0, 5, 20) }, { noNullPrototype: true }) },
  { weight: 3, arbitrary: fc.record({ does: fc.constantFrom('reconnect' as const, 'close' as const) }, { noNullPrototype: true }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('restart' as const) }, { noNullPrototype: true }) },
)

/** Makes trouble. What is to end by itself does so while the calls go on. */
export async function causeTrouble(trouble: Trouble, { proxy, server }: Stage, client: Client, known: Knowledge): Promise<void> {
  switch (trouble.does) {
    case 'cut':
      return proxy.cut(trouble.how)
    case 'harm':
      return proxy.inflict({ [trouble.direction]: trouble.fault })
    case 'turn away':
      proxy.program(trouble.how)
      return proxy.cut(trouble.how)
    case 'hold':
      proxy.hold()
      setTimeout(() => proxy.release(), trouble.for)
      return
    case 'pause':
      server.pause()
      setTimeout(() => server.resume(), trouble.for)
      return
    case 'refuse':
      await proxy.refuse()
      proxy.cut('reset')
      setTimeout(() => void proxy.accept(), trouble.for)
      return
    case 'restart':
      known.restarted()
      return server.restart()
    case 'reconnect':
      void client.connect({ reconnect: true }).catch(() => {})
      return
    case 'close':
      void client.close()
      void client.connect().catch(() => {})
      return
  }
}

/** Waits until nothing befalls anybody any more, and the client has a connection that is good. */
export async function endTrouble({ proxy, server }: Stage, client: Client): Promise<void> {
  server.resume()
  proxy.release()
  await proxy.accept()
  proxy.forget()
  await recovers(() => client.connect({ reconnect: true }))
  await sleep(0)
  await recovers(() => client.version({ timeout: 20_000 }))
}
