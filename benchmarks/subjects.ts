import { createRequire } from 'node:module'

/** What is compared, as data: this side knows no client, `clients/` opens them. */

/** What a scenario stores. */
export type ValueKind = 'string' | 'Buffer' | 'number' | 'object'

/** A library, a driver of ours, or a bare socket loop. */
export interface Subject {
  readonly name: string
  readonly kind: 'bare' | 'ermc' | 'peer'
  /** The bare loop that speaks its protocol: what it is compared with. */
  readonly bare: string
  /** The package that has to be installed. */
  readonly package: string | undefined
  /** What it can store. */
  readonly takes: readonly ValueKind[]
  /** What it does not have. */
  readonly lacks: readonly string[]
  /** One line on how it works, and what a `get` gives. */
  readonly about: string
}

const ANY: readonly ValueKind[] = ['string', 'Buffer', 'number', 'object']
const BYTES: readonly ValueKind[] = ['string', 'Buffer']

function bare(name: string, about: string): Subject {
  return { name, kind: 'bare', bare: name, package: undefined, takes: BYTES, lacks: ['compression'], about }
}

function driver(name: string, loop: string, about: string): Subject {
  return { name, kind: 'ermc', bare: loop, package: name === 'ermc-memjs' ? 'memjs' : undefined, takes: ANY, lacks: [], about }
}

function peer(name: string, loop: string, takes: readonly ValueKind[], lacks: readonly string[], about: string): Subject {
  return { name, kind: 'peer', bare: loop, package: name, takes, lacks: ['compression', ...lacks], about }
}

/** All of them, in the order of the tables. */
export const subjects: readonly Subject[] = [
  bare('bare-text', 'socket loop, text protocol, one get a line; what was stored'),
  bare('bare-joined', 'the same, the gets of a turn in one line'),
  bare('bare-meta', 'socket loop, meta protocol; what was stored'),
  bare('bare-binary', 'socket loop, binary protocol; what was stored'),
  driver('text', 'bare-text', 'ermc, its default driver; what was stored'),
  driver('meta', 'bare-meta', 'ermc with the driver meta; what was stored'),
  driver('binary', 'bare-binary', 'ermc with the driver binary; what was stored'),
  driver('ermc-memjs', 'bare-binary', 'ermc with the driver memjs; what was stored'),
  peer('memjs', 'bare-binary', BYTES, ['getMulti'], 'binary protocol; an object with a Buffer'),
  peer('memcached', 'bare-text', ANY, [], 'text protocol, callbacks made promises; what was stored'),
  peer('memcache-client', 'bare-text', ANY, [], 'text protocol; an object with what was stored'),
  peer('memcache', 'bare-text', ['string'], [], 'text protocol, a write for each command; a string'),
]

/** Those whose packages are there. */
export function installedSubjects(): Subject[] {
  const require = createRequire(import.meta.url)
  return subjects.filter(({ package: name }) => {
    try {
      return name === undefined || require.resolve(name) !== ''
    } catch {
      return false
    }
  })
}
