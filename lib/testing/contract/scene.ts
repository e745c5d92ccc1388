import { AssertionError } from 'node:assert/strict'
import type { Client, ClientOptions } from '../../index.ts'
import { FaultyServer, type Misbehaviour } from './faulty-server.ts'
import type { ContractSubject, Need } from './subject.ts'

/** What a clause has to work with. What is made for it is closed when it is over. */
export interface Scene extends Required<Pick<ContractSubject, 'advance' | 'secondsLeft'>> {
  /** A client without any options of its own. */
  readonly client: Client
  /** Makes another one. */
  make(options?: ClientOptions): Client
  /** A key that nobody else has, in this run or any other. */
  key(name?: string): string
  /** Whether the subject has all of these. */
  has(...needs: readonly Need[]): boolean
  /** Starts a server for clients to fail on. */
  faulty(misbehaviour: Misbehaviour): Promise<FaultyServer>
}

/** Milliseconds within which everything has come to its end, or has failed: far more than any clause takes. */
const LONGEST = 10_000

/** Sets a scene, has something played in it, and clears it away. `unique`: what the keys begin with. */
export async function inScene(subject: ContractSubject, abilities: ReadonlySet<Need>, unique: string, play: (scene: Scene) => Promise<void>): Promise<void> {
  const closing: (() => Promise<void>)[] = []
  let keys = 0
  const make: Scene['make'] = (options) => {
    const client = subject.client(options)
    closing.push(() => client.close())
    return client
  }
  const scene: Scene = {
    client: make(),
    make,
    key: (name = 'key') => `${unique}:${(keys += 1)}:${name}`,
    has: (...needs) => needs.every((need) => abilities.has(need)),
    async faulty(misbehaviour) {
      const server = await FaultyServer.start(misbehaviour)
      closing.push(() => server.close())
      return server
    },
    advance: subject.advance ?? missing,
    secondsLeft: subject.secondsLeft ?? missing,
  }
  try {
    await inTime(play(scene), 'this')
  } finally {
    await inTime(Promise.all(closing.map((close) => close())), 'close()')
  }
}

function missing(): never {
  throw new Error('a clause has to say what it needs')
}

/** A driver that leaves a promise open fails, instead of keeping everybody waiting. */
async function inTime(promise: Promise<unknown>, what: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new AssertionError({ message: `${what} has not come to its end within ${LONGEST / 1000} seconds` })), LONGEST)
  })
  try {
    await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
