import type { Bytes, Protocol } from './driver.ts'
import { JoinedGets } from './joined-gets.ts'
import { Pending } from './pending.ts'
import type { Way, Ways } from './ways.ts'

/** Of more keys in one request the server's work for each falls no further. */
const MOST = 128
/** From so many gets in a row on it is worth to ask a server what it is. */
const WORTH_ASKING = 4

/** What the connections of one driver know of each other about joined gets. */
export interface Joining {
  /** `false` for good once a server has refused one, or gone away over the question what it is: a proxy does so. */
  allowed: boolean
  /** Begins a request again, on this connection or the next: one that was not sent, or that a joined get has not answered. */
  readonly again: (pending: Pending) => void
}

/** What a connection does for its joiner. */
export interface JoinerHost {
  /** The number of another request. */
  nextOpaque(): number
  /** Asks the server for its version, behind what has been asked. */
  ask(question: Pending<'version'>): void
}

/**
 * Makes one request of gets that leave one after the other. Only where it is sure that it may: a queue server gives its items away
 * when it is asked for them. So it asks a server for its version when there is a use for it, and believes no other sign.
 */
export class GetJoiner {
  readonly #way: Way | undefined
  readonly #isMemcached: (version: string) => boolean
  readonly #joining: Joining
  readonly #host: JoinerHost
  #server: 'unknown' | 'asked' | 'memcached' | 'other' = 'unknown'

  constructor({ joinsGets }: Pick<Protocol<never>, 'joinsGets'>, ways: Ways, joining: Joining, host: JoinerHost) {
    this.#way = ways.get('getMulti')
    this.#isMemcached = joinsGets ?? (() => false)
    this.#joining = joining
    this.#host = host
    if (joinsGets === undefined) this.#server = 'other'
  }

  /** Whether others may travel with this request. */
  takes(pending: Pending): pending is Pending<'get'> {
    const { request, alone, bytes } = pending
    return request.op === 'get' && request.touch === undefined && typeof bytes === 'string' && !alone && this.#server !== 'other' && this.#joining.allowed
  }

  /** Whether this request may travel with these others, which left before it. */
  follows(pending: Pending, run: readonly Pending<'get'>[]): boolean {
    return run.length < MOST && this.takes(pending) && (pending as Pending<'get'>).request.cas === run[0]?.request.cas
  }

  /** What has to be written for these gets, one behind the other or as one. */
  join(run: readonly Pending<'get'>[]): Bytes {
    if (run.length > 1 && this.#server === 'memcached' && this.#way !== undefined) {
      const joined = new JoinedGets(run, this.#way, this.#host.nextOpaque())
      for (const pending of run) {
        pending.take()
        pending.joined = joined
      }
      return joined.bytes
    }
    if (run.length >= WORTH_ASKING && this.#server === 'unknown') {
      this.#server = 'asked'
      this.#host.ask(new Question((version) => (this.#server = version !== undefined && this.#isMemcached(version) ? 'memcached' : 'other')))
    }
    return run.map((pending) => pending.take() as string).join('')
  }

  /** The server has refused a joined get: it is a proxy in trouble, where each key is better asked for alone. */
  refused(): void {
    this.#joining.allowed = false
    this.#server = 'other'
  }

  /** The connection has ended by itself. A server that closes when it is asked for its version is not asked on the next connection. */
  end(): void {
    if (this.#server === 'asked') this.#joining.allowed = false
  }
}

/** Asks a server what it is, for ourselves: there is no promise. */
export class Question extends Pending<'version'> {
  constructor(tell: (version: string | undefined) => void) {
    super({ op: 'version' }, { answer: tell, fail: () => tell(undefined) })
  }
}
