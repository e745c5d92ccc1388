import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import { Client, MemcacheError, MemcacheSocketError, MemcacheTimeoutError } from '../lib/index.ts'
import { CALLS, COMMANDS, type Command } from '../lib/testing/contract/calls.ts'
import { changes, scenesOf, tokenOf } from './support/command-scenes.ts'
import { DRIVERS, type DriverRow } from './support/drivers.ts'
import { FaultProxy, type Fault, type Passed } from './support/fault-proxy.ts'
import { inTime, outcome, PATIENT, recovers, SLACK, unhandled, type Outcome } from './support/outcomes.ts'
import { startMemcached, withoutMemcached, type RealServer } from './support/servers.ts'

/**
 * Every command of every driver against a real memcached, with a fault at each byte of what it says and hears. Each promise
 * settles in time with the right error and a truthful `sent`, what is stored is what that says, and the next command works.
 *
 *     FAULTS=all npx tap --timeout=900 tests/fault-proxy.test.ts      each byte of statistics too, and each bit of a byte
 */

const ALL = process.env['FAULTS'] === 'all'
/** How many trials are under way at a time: most of their time they wait. */
const LANES = 96
/** How long a client waits where a trial lets it wait in vain, and where nothing is to take long: milliseconds. */
const SHORT = 200
const LONG = 20_000
/** Statistics are long: in the middle, only every so many bytes. */
const STRIDE = ALL ? 1 : 97
/** Statistics count: their reply is not of the same length each time. */
const UNCERTAIN = 48

/** What is done to a command, where in its exchange. */
interface Trial {
  readonly command: Command
  readonly direction: keyof Passed
  readonly fault: Fault
  /** Whether the fault comes before the direction has all of its bytes; `undefined` where that is not certain. */
  readonly early: boolean | undefined
}

type ErrorClass = new (message: string) => MemcacheError

/** Makes a trial; says what is wrong with what came of it. */
type Judge = (lane: Lane, trial: Trial) => Promise<string | undefined>

/** Where a trial is made: trials of one lane come one after the other. */
interface Lane {
  readonly number: number
  /** How long its client waits: milliseconds. */
  readonly timeout: number
  readonly proxy: FaultProxy
  /** A client that no fault befalls. */
  readonly clean: Client
  /** The one through the proxy: it goes from trial to trial. */
  readonly client: Client
  trials: number
}

const unexpected = unhandled()

t.jobs = 1
void t.test('on the real memcached', { skip: withoutMemcached }, async (t) => {
  const server = await startMemcached(['-c', '4096', '-t', '1'])
  t.teardown(() => server.stop())
  await sixDigits(server)

  for (const driver of DRIVERS) {
    await t.test(`FIN and RST at each byte of every command's exchange (${driver.name})`, async (t) => {
      const trials = await trialsOf(server, driver, (command, { request, reply }) => [
        ...(['fin', 'reset'] as const).flatMap((does) => [
          ...places(command, request - 1).map((after) => ({ direction: 'request' as const, fault: { does, after } })),
          ...places(command, reply).map((after) => ({ direction: 'reply' as const, fault: { does, after } })),
        ]),
      ])
      await eachIn(t, server, driver, trials, harmed(MemcacheSocketError), LONG)
    })

    await t.test(`silence from each byte on (${driver.name})`, async (t) => {
      const trials = await trialsOf(server, driver, (command, { request, reply }) => [
        ...places(command, request - 1).map((after) => ({ direction: 'request' as const, fault: { does: 'swallow', after } as const })),
        ...places(command, reply - 1).map((after) => ({ direction: 'reply' as const, fault: { does: 'swallow', after } as const })),
      ])
      await eachIn(t, server, driver, trials, harmed(MemcacheTimeoutError), SHORT)
    })

    await t.test(`each byte of a reply is another one (${driver.name})`, async (t) => {
      const bitsOf = (place: number): number[] => (ALL ? [1, 2, 4, 8, 16, 32, 64, 128] : [1, 2 << ((3 * place) % 7)])
      const trials = await trialsOf(server, driver, (command, { reply }) =>
        places(command, reply - 1).flatMap((after) => bitsOf(after).map((bits) => ({ direction: 'reply' as const, fault: { does: 'flip', after, bits } as const }))), pipelineOf)
      await eachIn(t, server, driver, trials, corrupted(driver), SHORT)
    })

    await t.test(`a reply that comes twice (${driver.name})`, async (t) => {
      const trials = await trialsOf(server, driver, (_, { reply }) => [{ direction: 'reply', fault: { does: 'repeat', after: reply } }])
      await eachIn(t, server, driver, trials.filter(({ command }) => command !== 'stats'), doubled, LONG)
    })

    await t.test(`connections that are no use (${driver.name})`, async (t) => {
      const trials = commandsOf(driver).map((command): Trial => ({ command, direction: 'request', fault: { does: 'swallow' }, early: true }))
      await eachIn(t, server, driver, trials, turnedAway, SHORT)
    })
  }
})

t.test('nothing was left unhandled, nothing was warned of', async (t) => {
  await sleep(20)
  t.same(unexpected, [])
})

/** Has the server number its changes from 100,000 on, so that replies with a number are of one length. */
async function sixDigits({ port }: RealServer): Promise<void> {
  await using client = new Client({ port, timeout: 60_000, maxPending: 200_000 })
  await client.set('changes', 0)
  await Promise.all(Array.from({ length: 100_000 }, () => client.incr('changes')))
}

/** The places of a fault, up to this one. */
function places(command: Command, last: number): number[] {
  const all = Array.from({ length: last + 1 }, (_, place) => place)
  return command === 'stats' ? all.filter((place) => place < UNCERTAIN || place > last - UNCERTAIN || place % STRIDE === 0) : all
}

type Made = Pick<Trial, 'direction' | 'fault'>

/** The trials of each command, by the lengths of its exchange when nothing befalls it. */
async function trialsOf(server: RealServer, driver: DriverRow, make: (command: Command, passed: Passed) => Made[], call: (lane: Lane, command: Command, key: string, value: string) => Called[] = callOf): Promise<Trial[]> {
  return withLane(server, driver, { number: LANES, timeout: LONG }, async (lane) => {
    const trials: Trial[] = []
    for (const command of commandsOf(driver)) {
      const { key, value } = await setUp(lane, command)
      await lane.client.connect({ reconnect: true }) // where a protocol numbers requests, these are the first
      await wrongNext(lane, command)
      lane.proxy.inflict({})
      await Promise.all(call(lane, command, key, value).map(([called]) => called))
      const { passed } = lane.proxy
      for (const { direction, fault } of make(command, passed)) {
        const place = 'after' in fault ? (fault.after ?? 0) : 0
        const uncertain = command === 'stats' && direction === 'reply' && place > passed.reply - UNCERTAIN
        trials.push({ command, direction, fault, early: uncertain ? undefined : place < passed[direction] })
      }
    }
    return trials
  })
}

function commandsOf({ unsupported }: DriverRow): readonly Command[] {
  return COMMANDS.filter((each) => !unsupported.includes(each))
}

async function withLane<T>(server: RealServer, { driver }: DriverRow, { number, timeout }: Pick<Lane, 'number' | 'timeout'>, use: (lane: Lane) => Promise<T>): Promise<T> {
  const proxy = await FaultProxy.start(server)
  const clean = new Client({ port: server.port, timeout: LONG })
  const client = new Client({ port: proxy.port, driver, timeout, connectTimeout: LONG })
  const lane: Lane = { number, timeout, proxy, clean, client, trials: 0 }
  try {
    await Promise.all(neighboursOf(lane).map(([key, value]) => clean.set(key, value)))
    for (const command of COMMANDS.filter((each) => !changes(each))) await put(lane, command)
    await recovers(() => client.version(PATIENT))
    return await use(lane)
  } finally {
    await Promise.all([client.close(), clean.close()])
    await proxy.close()
  }
}

/** Makes all trials; fails for those that do not go as they should. What drops all that is stored comes last. */
async function eachIn(t: Test, server: RealServer, driver: DriverRow, trials: readonly Trial[], judge: Judge, timeout: number): Promise<void> {
  const complaints: string[] = []
  for (const flushing of [false, true]) {
    const waiting = trials.filter(({ command }) => (command === 'flushAll') === flushing).reverse()
    const lanes = Array.from({ length: Math.min(LANES, waiting.length) }, (_, number) =>
      withLane(server, driver, { number, timeout }, async (lane) => {
        for (let trial = waiting.pop(); trial !== undefined && complaints.length < 10; trial = waiting.pop()) {
          const complaint = await inTime(judge(lane, trial), 2 * LONG, 'it').catch((error: unknown) => inspect(error))
          if (complaint !== undefined) complaints.push(`${trial.command}, ${trial.direction} ${inspect(trial.fault)}: ${complaint}`)
        }
      }))
    await Promise.all(lanes)
  }
  t.strictSame(complaints, [])
  t.ok(trials.length > 15, `${trials.length} trials`)
}

/**
 * Keys with values of their own, that nobody writes to. Of different lengths, so that no length which another digit makes of
 * one ends where a later value does: nobody could see that.
 */
function neighboursOf({ number }: Lane): readonly [east: Pair, west: Pair] {
  const pair = (side: string): Pair => [`${side}-${digits(number, 2)}`, tokenOf(side, number)]
  return [pair('east'), pair('westward')]
}

type Pair = readonly [key: string, value: string]

function digits(number: number, count: number): string {
  return String(number).padStart(count, '0')
}

/** Puts the scene of a command on the stage, if an earlier trial may have changed it. */
async function setUp(lane: Lane, command: Command): Promise<Staged> {
  lane.trials += 1
  return changes(command) ? put(lane, command) : staged(lane, command)
}

/** A key of its own for what changes it. All keys are of one length, and so are all values. */
function staged({ number, trials }: Lane, command: Command): Staged {
  const trial = changes(command) ? trials : 0
  const key = `key-${digits(number, 2)}-${digits(trial, 5)}`
  return { key, value: tokenOf(key, trial) }
}

async function put(lane: Lane, command: Command): Promise<Staged> {
  const { key, value } = staged(lane, command)
  const { before } = scenesOf(value)[command]
  if (before !== undefined) await lane.clean.set(key, before)
  return { key, value }
}

interface Staged {
  readonly key: string
  readonly value: string
}

type Called = readonly [called: Promise<unknown>, isRight: (result: unknown) => boolean]

function callOf({ client }: Lane, command: Command, key: string, value: string): [Called] {
  return [[CALLS[command](client, key), (result) => scenesOf(value)[command].isRight(result, key)]]
}

/** The command between two others, of one turn. */
function pipelineOf(lane: Lane, command: Command, key: string, value: string): Called[] {
  const [[east, eastern], [west, western]] = neighboursOf(lane)
  const { client } = lane
  return [[client.get(east), (found) => found === eastern], ...callOf(lane, command, key, value), [client.get(west), (found) => found === western]]
}

/** What is wrong with the next command. `flushAll` may have taken what it would read. */
async function wrongNext(lane: Lane, command: Command): Promise<string | undefined> {
  const { client, proxy } = lane
  const [[key, value]] = neighboursOf(lane)
  proxy.inflict({}) // in case the fault has not come to its place
  const found = await recovers(() => (command === 'flushAll' ? client.version(PATIENT) : client.get(key, PATIENT)))
  return command === 'flushAll' || found === value ? undefined : `the next command gave ${inspect(found)}`
}

/** What is stored in the end, if it is not what it has to be. */
async function wronglyStored({ clean }: Lane, command: Command, key: string, expected: unknown): Promise<string | undefined> {
  if (command === 'flushAll') return undefined // it is everybody's
  let found = await clean.get(key)
  for (const until = performance.now() + SLACK; found !== expected && performance.now() < until; ) found = await clean.get(key)
  return found === expected ? undefined : `${inspect(found)} is stored, not ${inspect(expected)}`
}

/** What is wrong with the loss of a connection on which a request has left. */
function wrongLoss({ error, took }: Outcome, command: Command, errorClass: ErrorClass, within: number): string | undefined {
  if (error === undefined || !isOf(errorClass, error)) return `no ${errorClass.name}`
  if (error.command !== command || !/^127\.0\.0\.1:\d+$/.test(error.server ?? '')) return 'the wrong command or server'
  if (!error.sent) return 'sent is not true'
  return took > within + SLACK ? 'too late' : undefined
}

/** Whether it is of this very class, and of none below it. */
function isOf(errorClass: ErrorClass, error: MemcacheError): boolean {
  return error.constructor === errorClass
}

/** The command's connection is cut, or goes silent. */
function harmed(errorClass: ErrorClass): Judge {
  return async (lane, { command, direction, fault, early }) => {
    const { key, value } = await setUp(lane, command)
    lane.proxy.inflict({ [direction]: fault })
    const [[called, isRight]] = callOf(lane, command, key, value)
    const made = await outcome(called)
    const lost = wrongLoss(made, command, errorClass, lane.timeout)
    const right = made.error === undefined && isRight(made.value)
    // What has come before an RST may be lost with it.
    const either = early === undefined || (fault.does === 'reset' && !early)
    const wrong = either ? (right ? undefined : lost) : early ? lost : right ? undefined : 'not right'
    const { before, after } = scenesOf(value)[command]
    return (
      (wrong && `${wrong}: ${inspect(made)}`) ??
      (await wrongNext(lane, command)) ??
      wronglyStored(lane, command, key, direction === 'request' ? before : after)
    )
  }
}

/**
 * One byte belongs to one reply: no more than one result is another one than it should be, and that is nobody else's. Which
 * one it may be is open, since no client can see that a byte of a value, a count or a status has changed; but in protocols of
 * lines it sees that a value is not as long as it was announced.
 */
function corrupted({ name }: DriverRow): Judge {
  const marksEnds = name === 'text' || name === 'meta'
  return async (lane, { command, direction, fault }) => {
    const { key, value } = await setUp(lane, command)
    const [[, east], [, west]] = neighboursOf(lane)
    const tokens = [east, value, west]
    lane.proxy.inflict({ [direction]: fault })
    const made = await Promise.all(pipelineOf(lane, command, key, value).map(async ([called, isRight]) => ({ isRight, ...(await outcome(called)) })))
    const wrong = made.filter(({ error, value: found, isRight }) => error === undefined && !isRight(found))
    const foreign = made.some(({ value: found }, place) => tokens.some((token, owner) => owner !== place && inspect(found).includes(token)))
    const torn = made.some(({ value: found }, place) => place !== 1 && typeof found === 'string' && found.length !== tokens[place]?.length)
    const untyped = made.find(({ error, took }) => error !== undefined && (!(error instanceof MemcacheError && error.sent) || took > SHORT + SLACK))
    if (foreign || (marksEnds && torn) || wrong.length > (command === 'flushAll' ? 3 : 1)) return `not their own: ${inspect(made)}`
    return untyped === undefined ? wrongNext(lane, command) : `late, or no error of ours: ${inspect(untyped)}`
  }
}

/** The first answer is the command's, and what follows is not given to the one behind it. */
async function doubled(lane: Lane, { command, direction, fault }: Trial): Promise<string | undefined> {
  const { key, value } = await setUp(lane, command)
  const [[east, eastern]] = neighboursOf(lane)
  lane.proxy.inflict({ [direction]: fault })
  const [[called, isRight]] = callOf(lane, command, key, value)
  const [made, behind] = await Promise.all([outcome(called), outcome(lane.client.get(east))])
  if (made.error !== undefined || !isRight(made.value)) return `the first answer is right: ${inspect(made)}`
  const own = behind.error === undefined ? command === 'flushAll' || behind.value === eastern : behind.error instanceof MemcacheSocketError
  return own ? wrongNext(lane, command) : `what is behind it: ${inspect(behind)}`
}

/** Closed and reset before a request comes, accepted by something that never says anything, refused. */
async function turnedAway(lane: Lane, { command }: Trial): Promise<string | undefined> {
  const { proxy, client } = lane
  const { key } = await setUp(lane, command)
  for (const plan of ['fin', 'reset', { request: { does: 'swallow' } }] as const) {
    await client.close()
    proxy.program(plan)
    await client.connect().catch(() => {})
    const made = await outcome(CALLS[command](client, key))
    const refused = typeof plan === 'string' && made.error === undefined // on the connection after that
    if (!refused && (!(made.error instanceof MemcacheSocketError) || made.error.command !== command || made.took > SHORT + SLACK)) return `${inspect(plan)}: ${inspect(made)}`
    const wrong = await wrongNext(lane, command)
    if (wrong !== undefined) return `${inspect(plan)}: ${wrong}`
  }
  await client.close()
  await proxy.refuse()
  await client.connect().catch(() => {})
  const untried = await put(lane, command)
  const { error } = await outcome(CALLS[command](client, untried.key))
  await proxy.accept()
  if (error === undefined || !isOf(MemcacheSocketError, error) || error.sent || error.command !== command) return `refused: ${inspect(error)}`
  return (await wrongNext(lane, command)) ?? wronglyStored(lane, command, untried.key, scenesOf(untried.value)[command].before)
}
