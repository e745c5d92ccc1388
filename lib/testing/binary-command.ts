import type { BinaryReply, BinaryRequest } from './binary-packet.ts'
import type { BinaryStatus } from './binary-status.ts'
import type { Item } from './item.ts'
import type { Sasl } from './sasl.ts'
import type { CommandContext } from './session.ts'

/** What a command of the binary protocol may do. Every reply names the request that it answers. */
export interface BinaryContext extends CommandContext {
  /** The authentication of this connection; `undefined` on a server without users. */
  readonly sasl: Sasl | undefined
  /** Answers; with nothing but the request, plain success. */
  reply(request: BinaryRequest, reply?: BinaryReply): void
  /** Answers with an error, which leaves at once, or with `drop` after so many bytes of the input were dropped. */
  fail(request: BinaryRequest, status: BinaryStatus, drop?: number): void
  /** Takes the item's value from the input, then calls `complete`. */
  upload(item: Item, complete: () => void): void
}

/** A command: what its request's body may be, and what it does. Any other body ends the connection. */
export interface BinaryCommand {
  /** The lengths that extras may have; none, unless told. */
  readonly extras?: readonly number[]
  readonly key: 'none' | 'needed' | 'optional'
  /** A value may follow. What the command leaves of it is read as the next packet. */
  readonly value?: boolean
  /** It is there for whoever is not authenticated yet. */
  readonly open?: boolean
  /** `quiet`: success is not answered, and neither is the miss of a retrieval. */
  readonly run: (session: BinaryContext, request: BinaryRequest, quiet: boolean) => void
}
