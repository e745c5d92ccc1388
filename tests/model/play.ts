import type { Client } from '../../lib/client.ts'
import { BINARY_KEYS, keysOf, nameOf, wireKey } from './arguments.ts'
import { makeCall, outcomeOf, perform, type Call, type Outcome } from './calls.ts'
import { Contradiction, type Abilities, type Model } from './model.ts'
import { PLAIN_KEYS, type Turn } from './programs.ts'

/** A client with one of the drivers, made with `cacheCas`. */
export interface Player extends Abilities {
  readonly name: string
  readonly client: Client
}

/** The server that they play on. */
export interface Stage {
  /** Moves its clock. */
  readonly advance?: (seconds: number) => void
  /** Whether it does the same each time, if it is asked for one thing at a time. */
  readonly exact: boolean
}

/** How often each command had each kind of outcome: `cas: true`, `get: undefined`, `incr: MemcacheClientError`. */
export type Tally = Map<string, number>

/**
 * Plays a program, turn by turn: the calls of a turn are made at once, then each outcome is given to the model. In the end
 * each client reads all keys. @throws Contradiction
 */
export async function play(program: readonly Turn[], players: readonly Player[], model: Model, stage: Stage, tally: Tally): Promise<void> {
  const memories = players.map((): Ids => new Map())
  const sightings: Sighting[] = []
  const reading = players.map((_, by): Turn => ({ by, pause: 0, calls: READINGS }))
  for (const [index, { by, pause, calls }] of [...program, ...reading].entries()) {
    const place = by % players.length
    const player = players[place] as Player
    const memory = memories[place] as Ids
    if (stage.advance !== undefined) {
      stage.advance(pause)
      model.advance(pause)
    }
    const made = calls.map((call) => {
      const asked = withSighting(call, sightings)
      return { call: withMemory(asked, memory), coming: outcomeOf(perform(player.client, asked)) }
    })
    let leftOpen = false
    for (const { call, coming } of made) {
      const outcome = await coming
      try {
        model.follow(call, outcome, player, stage.exact && calls.length === 1)
      } catch (error) {
        throw error instanceof Contradiction ? new Contradiction(`${player.name}, turn ${index}: ${error.message}`) : error
      }
      count(tally, call, outcome)
      for (const sighting of idsIn(call, outcome)) {
        sightings.push(sighting)
        memory.set(sighting.key, sighting.id)
      }
      // Of one that fails, some ids are remembered.
      leftOpen ||= call.command === 'getsMulti' && 'error' in outcome
    }
    if (leftOpen) {
      player.client.resetCas()
      memory.clear()
    }
  }
}

/** Cas ids by the keys in bytes. */
type Ids = Map<string, bigint>

/** A cas id that came with a key. */
interface Sighting {
  readonly key: string
  readonly id: bigint
}

const READINGS = [...PLAIN_KEYS, ...BINARY_KEYS].map((key): Call => makeCall('gets', [key]) as Call)

/** With the id in place of the sighting that is meant; where there was none, one that nobody has. */
function withSighting(call: Call, sightings: readonly Sighting[]): Call {
  if (call.command !== 'cas') return call
  const [key, value, options] = call.args
  if (typeof options.cas !== 'object') return call
  const ids = sightings.filter((each) => each.key === wireKey(key))
  const { id } = ids.at(-1 - options.cas.ago) ?? ids[0] ?? { id: 2n ** 64n - 2n }
  return makeCall('cas', [key, value, { ...options, cas: id }]) as Call
}

/** A call as the model has to know it: with the id that the client remembers. */
function withMemory(call: Call, memory: Ids): Call {
  if (call.command === 'resetCas') memory.clear()
  if (call.command !== 'cas' || call.args[2].cas !== undefined) return call
  const [key, value, options] = call.args
  return makeCall('cas', [key, value, { ...options, cas: memory.get(wireKey(key)) }]) as Call
}

/** The cas ids that a call has brought to light; not those of `metaGet`, which most drivers do not have. */
function idsIn(call: Call, outcome: Outcome): Sighting[] {
  if ('error' in outcome || call.command === 'metaGet') return []
  const seen = call.command === 'getsMulti' ? (outcome.value as Map<string, unknown>) : new Map(keysOf(call).map((key) => [nameOf(key), outcome.value]))
  return keysOf(call).flatMap((key) => {
    const { cas: id } = { ...(seen.get(nameOf(key)) as { readonly cas?: bigint } | undefined) }
    return id === undefined ? [] : [{ key: wireKey(key), id }]
  })
}

function count(tally: Tally, { command }: Call, outcome: Outcome): void {
  const result = 'error' in outcome ? (outcome.error as Error).name : typeof outcome.value === 'boolean' ? outcome.value : typeof outcome.value
  const name = `${command}: ${result}`
  tally.set(name, (tally.get(name) ?? 0) + 1)
}
