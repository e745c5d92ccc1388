import { parseArgs } from 'node:util'
import type { Extent, Wishes } from './plan.ts'
import type { ServerChoice } from './server.ts'

/** What the command line says. */
export interface Options {
  readonly help: boolean
  readonly wishes: Wishes
  readonly server: ServerChoice
  /** The processors for the client and for the server. */
  readonly pin: readonly [client: string, server: string] | undefined
  readonly json: string | undefined
  readonly html: string | undefined
  readonly markdown: boolean
  readonly update: string | undefined
  readonly check: boolean
  readonly atMost: number | undefined
  /** Where the charts of growth go; without it, no growth is measured. */
  readonly growth: string | undefined
}

/** A command line that cannot be understood. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** What `--help` prints. */
export const HELP = `npm run bench -- [options]

Compares ermc's drivers with other memcached clients that are installed, and
with bare socket loops, which are the limit. It starts a memcached of its own.

  --quick             three scenarios, under a minute
  --full              every scenario, at 1, 16, 128 and 1024 in flight
  --filter REGEX      scenarios (such as "get 100 B@128") or subjects that fit
  --subjects A,B      of bare-text, bare-joined, bare-meta, bare-binary, text,
                      meta, binary, ermc-memjs, memjs, memcached,
                      memcache-client, memcache
  --in-flight 1,16    how many calls are in flight
  --rounds N          how often everything is measured
  --operations N      how many calls a measurement has, in place of a time

  --server HOST:PORT  a memcached that runs already; it is filled with values
  --server embedded   the server of ermc/testing, in a process of its own
  --pin CPU[,CPU]     keep client and server on these processors (taskset)

  --markdown          print Markdown
  --json FILE         write all figures; - prints them, and nothing else
  --html FILE         write a page with charts
  --update PAGE       put the tables between the markers of a Markdown page
  --growth FOLDER     measure instead how cost grows; its charts go there
  --check             fail beyond the ratios in benchmarks/bounds.ts
  --at-most RATIO     fail when a driver costs more than so many bare loops
  --help              print this
`

/** @throws UsageError */
export function parseOptions(args: readonly string[]): Options {
  const values = parsed(args)
  if (values.quick && values.full) throw new UsageError('--quick and --full: one of them')
  const extent: Extent = values.quick ? 'quick' : values.full ? 'full' : 'usual'
  return {
    help: values.help,
    wishes: {
      extent,
      filter: values.filter === undefined ? undefined : pattern(values.filter),
      subjects: values.subjects?.split(','),
      inFlight: values['in-flight']?.split(',').map((text) => whole('--in-flight', text)),
      rounds: values.rounds === undefined ? undefined : whole('--rounds', values.rounds),
      operations: values.operations === undefined ? undefined : whole('--operations', values.operations),
    },
    server: serverChoice(values.server),
    pin: values.pin === undefined ? undefined : processors(values.pin),
    json: values.json,
    html: values.html,
    markdown: values.markdown,
    update: values.update,
    check: values.check,
    atMost: values['at-most'] === undefined ? undefined : positive('--at-most', values['at-most']),
    growth: values.growth,
  }
}

/** Flags that say where the figures go, and not what they are. */
const FILES = ['--json', '--html', '--update']
const OUTPUT = [...FILES, '--markdown']

/** The command that measures the same, as it is typed. */
export function measuringCommand(args: readonly string[]): string {
  const words = ['npm', 'run', 'bench']
  for (const [place, arg] of args.entries()) {
    const isOutput = OUTPUT.some((flag) => arg === flag || arg.startsWith(`${flag}=`))
    const isOutputValue = FILES.includes(args[place - 1] ?? '')
    if (isOutput || isOutputValue) continue
    if (words.length === 3) words.push('--')
    words.push(/^[\w./:,@=-]+$/.test(arg) ? arg : `'${arg}'`)
  }
  return words.join(' ')
}

function parsed(args: readonly string[]) {
  const flag = { type: 'boolean', default: false } as const
  const text = { type: 'string' } as const
  try {
    return parseArgs({
      args: [...args],
      options: {
        help: flag, quick: flag, full: flag, markdown: flag, check: flag,
        filter: text, subjects: text, 'in-flight': text, rounds: text, operations: text, server: text, pin: text,
        json: text, html: text, update: text, growth: text, 'at-most': text,
      },
    }).values
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

function pattern(text: string): RegExp {
  try {
    return new RegExp(text)
  } catch (error) {
    throw new UsageError(`--filter: ${(error as Error).message}`)
  }
}

function whole(name: string, text: string): number {
  const number = positive(name, text)
  if (!Number.isSafeInteger(number)) throw new UsageError(`${name} takes whole numbers, not ${text}`)
  return number
}

function positive(name: string, text: string): number {
  const number = Number(text)
  if (!(number > 0)) throw new UsageError(`${name} takes numbers above 0, not ${text}`)
  return number
}

function processors(text: string): [client: string, server: string] {
  const [, client = '', server = client] = /^(\d+)(?:,(\d+))?$/.exec(text) ?? []
  if (client === '') throw new UsageError(`--pin takes one or two processors, as 0 or 0,1, not ${text}`)
  return [client, server]
}

function serverChoice(text: string | undefined): ServerChoice {
  if (text === undefined) return 'memcached'
  if (text === 'embedded') return text
  const [, host = '', port] = /^(.+):(\d+)$/.exec(text) ?? []
  if (port === undefined) throw new UsageError(`--server takes host:port or embedded, not ${text}`)
  return { host, port: Number(port) }
}
