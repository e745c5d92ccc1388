import { equal, throws } from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { administration } from './administration.ts'
import { refusedArguments } from './arguments.ts'
import { bounds } from './bounds.ts'
import { CALLS, COMMANDS, type Command } from './calls.ts'
import { clause, type Clause } from './clause.ts'
import { connecting } from './connecting.ts'
import { counting } from './counting.ts'
import { expiring } from './expiring.ts'
import { extensions } from './extensions.ts'
import { faults } from './faults.ts'
import { misbehaviours } from './faulty-server.ts'
import { givingUp } from './giving-up.ts'
import { keys } from './keys.ts'
import { pipelining } from './pipelining.ts'
import { reading } from './reading.ts'
import { rejects } from './rejection.ts'
import { inScene } from './scene.ts'
import { storing } from './storing.ts'
import type { ContractSubject, Feature, Need, Trait } from './subject.ts'
import { values } from './values.ts'
import { versions } from './versions.ts'

/** One thing that a driver has to do, to be run as a test of its own. */
export interface Check {
  readonly name: string
  /** Rejects if the driver does not do it, as a rule with an AssertionError that says what came instead. */
  readonly run: () => Promise<void>
}

const FEATURES: readonly Feature[] = [...COMMANDS, 'binaryKeys']

/** In this order: what moves the server's clock comes last. */
const CLAUSES: readonly Clause[] = [
  reading, storing, versions, counting, values, keys, pipelining, extensions, refusedArguments, administration, connecting, givingUp, bounds, faults, expiring,
].flat()

/**
 * The contract of a driver: what every command of a client gives, whatever driver it has. Works with any test runner:
 *
 *     for (const { name, run } of driverContract({ client: (options) => new Client({ port, driver, ...options }) })) test(name, run)
 *
 * The checks are to be run one after the other, in this order. The keys are new ones for every run, and stay when it is
 * over. Unless the subject is `shared`, some checks flush the server.
 */
export function driverContract(subject: ContractSubject): readonly Check[] {
  const { unsupported = [] } = subject
  const abilities = new Set<Need>([...FEATURES.filter((feature) => !unsupported.includes(feature)), ...traits(subject)])
  const lacks = unsupported.map((feature) => (feature === 'binaryKeys' ? withoutBinaryKeys : withoutCommand(feature)))
  const clauses = [...lacks, ...CLAUSES].filter(({ needs }) => needs.every((need) => abilities.has(need)))
  const unique = `contract:${randomBytes(4).toString('hex')}`
  return clauses.map(({ name, holds }, place) => ({ name, run: () => inScene(subject, abilities, `${unique}:${place}`, holds) }))
}

function* traits({ forgets, serverless, shared, advance, secondsLeft }: ContractSubject): Iterable<Trait> {
  yield forgets === true ? 'forgetting' : 'memory'
  if (serverless !== true) yield 'server'
  if (shared !== true) yield 'own server'
  if (advance !== undefined) yield 'clock'
  if (secondsLeft !== undefined) yield 'lifetimes'
}

/** What is asked of a command that the driver does not have. */
function withoutCommand(command: Command): Clause {
  return clause(`${command} rejects with MemcacheUnsupportedError, and sends nothing`, [], async ({ client, make, key, has, faulty }) => {
    const fault = { name: 'MemcacheUnsupportedError', command, sent: false }
    await rejects(CALLS[command](client, key()), fault)
    if (!has('server')) return
    const server = await faulty(misbehaviours.silent)
    const watched = make(server.address)
    await rejects(CALLS[command](watched, key()), fault)
    await watched.close()
    await server.left()
    equal(server.received, 0, 'bytes were sent')
  })
}

const withoutBinaryKeys = clause('the option binaryKeys is refused with MemcacheUnsupportedError', [], async ({ make }) => {
  throws(() => make({ binaryKeys: true }), { name: 'MemcacheUnsupportedError' })
})
