import type { Client, ClientOptions } from '../../index.ts'
import type { FaultyServer, Misbehaviour } from './faulty-server.ts'
import type { ContractSubject, Need } from './subject.ts'

/** What a clause has to work with. */
export interface Scene extends Required<Pick<ContractSubject, 'advance' | 'secondsLeft'>> {
  /** A client without any options of its own. */
  readonly client: Client
  /** Another one. All are closed when the clause is over. */
  make(options?: ClientOptions): Client
  /** A key that nobody else has, in this run or any other. */
  key(name?: string): string
  /** Whether the subject has all of these. */
  has(...needs: readonly Need[]): boolean
  /** Starts a server for clients to fail on. It is closed when the clause is over. */
  faulty(misbehaviour: Misbehaviour): Promise<FaultyServer>
}

/** One thing that every driver with these commands and traits has to do. */
export interface Clause {
  readonly name: string
  readonly needs: readonly Need[]
  readonly holds: (scene: Scene) => Promise<void>
}

/** A clause of the contract. */
export function clause(name: string, needs: readonly Need[], holds: Clause['holds']): Clause {
  return { name, needs, holds }
}
