import type { Life } from '../caller.ts'
import type { Execute } from '../commands.ts'
import type { Driver, Endpoint } from '../driver.ts'
import { MemcacheClosedError, type MemcacheError } from '../errors.ts'

/** One connection beside the client's own, from its first request to its end. It never connects a second time. */
export interface Link {
  readonly execute: Execute
  /** Destroys the connection; what is pending rejects with `reason`. */
  end(reason: MemcacheError): void
}

/** A driver with the user's layers around it, as the client itself has one. */
export type OpenDriver = (events: Pick<Endpoint, 'onConnect' | 'onDisconnect'>) => { readonly driver: Driver; readonly execute: Execute }

/** The connections that a client has for its queues, one for each reader. They end with the client. */
export class Links {
  readonly #openDriver: OpenDriver
  readonly #life: Life
  readonly #open = new Set<Link>()

  constructor(openDriver: OpenDriver, life: Life) {
    this.#openDriver = openDriver
    this.#life = life
  }

  /** `lost` is called once, when a connection that stood has ended, whatever ended it. @throws MemcacheClosedError after `close()`. */
  open(lost: (cause: MemcacheError) => void): Link {
    if (this.#life.closed) throw new MemcacheClosedError('close() was called')
    let ended: MemcacheError | undefined
    const onDisconnect = (cause: MemcacheError): void => {
      ended ??= cause
      this.#open.delete(link)
      lost(cause)
    }
    const { driver, execute } = this.#openDriver({ onConnect() {}, onDisconnect })
    const link: Link = {
      execute: (request, call) => (ended === undefined ? execute(request, call) : Promise.reject(ended)),
      end: (reason) => {
        ended ??= reason
        this.#open.delete(link)
        void driver.disconnect(reason)
      },
    }
    this.#open.add(link)
    return link
  }

  endAll(reason: MemcacheError): void {
    for (const link of [...this.#open]) link.end(reason)
  }
}
