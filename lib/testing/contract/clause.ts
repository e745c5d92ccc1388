import type { Scene } from './scene.ts'
import type { Need } from './subject.ts'

/** One thing that every driver with these features and traits has to do. */
export interface Clause {
  readonly name: string
  readonly needs: readonly Need[]
  /** Rejects if it does not. */
  readonly holds: (scene: Scene) => Promise<void>
}

/** A clause of the contract. */
export function clause(name: string, needs: readonly Need[], holds: Clause['holds']): Clause {
  return { name, needs, holds }
}
