/// <reference types="node" preserve="true" />

import { runRequest } from './binary-commands.ts'
import { readRequest, replyHead } from './binary-packet.ts'
import { CommandSession } from './command-session.ts'
import { CRLF_BYTES } from './item.ts'
import { Sasl } from './sasl.ts'
import type { BinaryContext } from './binary-command.ts'
import type { BinaryReply, BinaryRequest } from './binary-packet.ts'
import type { BinaryStatus } from './binary-status.ts'
import type { Item } from './item.ts'
import type { Engine, Peer } from './session.ts'

/** The binary protocol on one connection: commands are packets, and what they mean is in binary-commands.ts. */
export class BinarySession extends CommandSession implements BinaryContext {
  readonly sasl: Sasl | undefined

  constructor(engine: Engine, peer: Peer) {
    super(engine, peer)
    const { auth } = engine.settings
    if (auth !== undefined) this.sasl = new Sasl(auth)
  }

  reply({ opcode, opaque }: BinaryRequest, reply: BinaryReply = {}): void {
    const { replies } = this.peer
    replies.write(replyHead(opcode, opaque, reply))
    if (reply.value !== undefined) replies.write(reply.value)
  }

  fail(request: BinaryRequest, { code, text }: BinaryStatus, drop?: number): void {
    this.reply(request, { status: code, value: text })
    // To memcached a length of 2 GiB and more is negative, and nothing is dropped.
    if (drop !== undefined) this.swallow(drop | 0)
    else this.flush()
  }

  upload(item: Item, complete: () => void): void {
    const { data } = item
    const length = data.length - CRLF_BYTES
    data.write('\r\n', length, 'latin1')
    this.fill(item, data.subarray(0, length), complete)
  }

  protected override runNext(): boolean {
    const request = readRequest(this.input)
    if (request === undefined) return false
    if (request === 'foreign') {
      this.close()
      return true
    }
    this.peer.lastCommandAt = this.engine.store.lifetimes.clock
    runRequest(this, request)
    return true
  }
}
