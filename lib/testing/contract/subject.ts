import type { Client, ClientOptions } from '../../index.ts'
import type { Command } from './calls.ts'

/** A driver and its server, and what the contract has to know of them. */
export interface ContractSubject {
  /**
   * Makes a client of the driver and its server, with these options in addition: they win over those that lead to the
   * server. Each check makes clients of its own and closes them. All of them see what the others have stored.
   */
  readonly client: (options?: ClientOptions) => Client
  /**
   * What the driver does not have: such a command must reject with MemcacheUnsupportedError, before anything is sent, and
   * a client with such an option must throw it.
   */
  readonly unsupported?: readonly Feature[]
  /** The driver accepts what is stored and forgets it, as `noop` does. */
  readonly forgets?: boolean
  /** There is no server: the driver does everything in this process, so there are no faults of a connection to be checked. */
  readonly serverless?: boolean
  /** Others use the server too: the checks that flush it, or use keys that others may have, are left out. */
  readonly shared?: boolean
  /**
   * Moves the server's clock, as the embedded server's option `now` can. Nothing is waited for: without it the checks
   * of what is gone when its time is up are left out. They are the last ones, and leave the clock where it is then.
   */
  readonly advance?: (seconds: number) => void
  /** The server's own word for when an item expires, in seconds from now; -1 = never. Without it times are checked less closely. */
  readonly secondsLeft?: (key: string) => Promise<number>
}

/** What a driver may have or not have: a command, or the option of a client that depends on it. */
export type Feature = Command | 'binaryKeys'

/** What a clause of the contract can need of a subject, beside its features. */
export type Trait =
  /** What is stored is there. */
  | 'memory'
  /** What is stored is not there. */
  | 'forgetting'
  | 'server'
  /** Nobody else uses the server. */
  | 'own server'
  /** {@link ContractSubject.advance} */
  | 'clock'
  /** {@link ContractSubject.secondsLeft} */
  | 'lifetimes'

/** A feature or a trait. */
export type Need = Feature | Trait
