import { Caller, type CallerSettings, type Life } from '../caller.ts'
import type { Execute } from '../commands.ts'
import type { Driver, Endpoint } from '../driver.ts'
import { MemcacheUnsupportedError, type MemcacheError } from '../errors.ts'
import type { KeyRules } from '../key.ts'
import { Links, type OpenDriver } from './links.ts'
import { queueCodec, queueKey, type QueueOptions } from './options.ts'
import { Queue } from './queue.ts'

/** Milliseconds: a kestrel waits by a clock that ticks ten times a second, and is late rather than early. */
const LEAST_SLACK = 500

/** What a client's queues have of the client. */
export interface QueueHost {
  readonly driver: Driver
  readonly execute: Execute
  /** For the connections that readers have of their own. */
  readonly open: OpenDriver
  readonly endpoint: Endpoint
  readonly keys: KeyRules
  readonly caller: CallerSettings
  readonly maxValueLength: number
  readonly life: Life
}

/** The queues of one client, and their connections. */
export class Queues {
  readonly #host: QueueHost
  readonly #links: Links
  /** A fault must not look like an empty queue, whatever `errorAsMiss` says. */
  readonly #caller: Caller

  constructor(host: QueueHost) {
    this.#host = host
    this.#links = new Links(host.open, host.life)
    this.#caller = new Caller(host.execute, { ...host.caller, errorAsMiss: false }, host.life)
  }

  /** @throws MemcacheUnsupportedError, MemcacheKeyError, MemcacheValueError for a codec that is none. */
  open(name: string, options: QueueOptions<never>): Queue<never> {
    const { driver, endpoint, keys, maxValueLength } = this.#host
    if (driver.queues !== true) throw new MemcacheUnsupportedError('queue servers speak the text protocol: queue() needs the driver text')
    const keyOf = (queue: string): string => queueKey(queue, keys)
    const { name: server, timeout } = endpoint
    return new Queue({ name, keyOf, server, slack: Math.max(timeout, LEAST_SLACK), maxValueLength, codec: queueCodec(options), links: this.#links }, this.#caller)
  }

  /** Ends all connections. Resolves when their sockets are closed. */
  end(reason: MemcacheError): Promise<void> {
    return this.#links.endAll(reason)
  }
}

/** The queues of a client, of which nothing is connected yet. */
export function queuesOf(host: QueueHost): Queues {
  return new Queues(host)
}
