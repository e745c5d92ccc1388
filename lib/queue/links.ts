import type { Life } from '../caller.ts'
import type { Execute } from '../commands.ts'
import type { Driver, Endpoint } from '../driver.ts'
import { MemcacheClosedError, type MemcacheError } from '../errors.ts'

/** How many connections that nobody uses are kept for the next who needs one for a moment. */
const MOST_IDLE = 8

/** One connection beside the client's own, from its first request to its end. There is never a second one in its place. */
export interface Link {
  readonly execute: Execute
  /** Destroys the connection; what is pending rejects with `reason`. Resolves when the socket is closed. */
  end(reason: MemcacheError): Promise<void>
}

/** A driver with the user's layers around it, as the client itself has one. */
export type OpenDriver = (events: Pick<Endpoint, 'onConnect' | 'onDisconnect'>) => { readonly driver: Driver; readonly execute: Execute }

/** The connections that a client has for its queues. They end with the client. */
export class Links {
  readonly #openDriver: OpenDriver
  readonly #life: Life
  readonly #open = new Set<Link>()
  readonly #idle = new Set<Link>()

  constructor(openDriver: OpenDriver, life: Life) {
    this.#openDriver = openDriver
    this.#life = life
  }

  /** `lost` is called once, when it has ended, whatever ended it. @throws MemcacheClosedError after `close()`. */
  open(lost: (cause: MemcacheError) => void = () => {}): Link {
    if (this.#life.closed) throw new MemcacheClosedError('close() was called')
    let ended: MemcacheError | undefined
    let closed: Promise<void> | undefined
    const finish = (cause: MemcacheError): void => {
      if (ended !== undefined) return
      ended = cause
      this.#open.delete(link)
      this.#idle.delete(link)
      lost(cause)
    }
    const { driver, execute } = this.#openDriver({
      // A layer that asks again, or takes its time, can make the driver connect anew. Nothing may be written there: on any
      // connection a server would answer END to an acknowledgement.
      onConnect() {
        if (ended !== undefined) void driver.disconnect(ended)
      },
      onDisconnect: finish,
    })
    const link: Link = {
      execute: (request, call) => (ended === undefined ? execute(request, call) : Promise.reject(ended)),
      end: (reason) => {
        finish(reason)
        return (closed ??= driver.disconnect(reason)) // which only the first time has a socket to wait for
      },
    }
    this.#open.add(link)
    return link
  }

  /** Does something on a connection that nobody else uses meanwhile. It ends if that fails, else it is kept for the next. */
  async use<R>(work: (link: Link) => Promise<R>): Promise<R> {
    const [link = this.open()] = this.#idle
    this.#idle.delete(link)
    try {
      const result = await work(link)
      if (this.#open.has(link)) this.#idle.add(link)
      if (this.#idle.size > MOST_IDLE) void link.end(new MemcacheClosedError('there are enough idle connections'))
      return result
    } catch (error) {
      void link.end(new MemcacheClosedError('what the connection was used for has failed', { cause: error }))
      throw error
    }
  }

  /** Ends all of them. Resolves when their sockets are closed. */
  async endAll(reason: MemcacheError): Promise<void> {
    await Promise.all(Array.from(this.#open, (link) => link.end(reason)))
  }
}
