/// <reference types="node" preserve="true" />

import type { Peer, Session } from './session.ts'

const HEADER_LENGTH = 24

/**
 * A connection that takes the binary protocol alone (`-B binary`, `-S`), as a client of another protocol meets it: no
 * answer to anything shorter than a packet's header, and no answer but the end to anything else.
 */
export class BinaryOnlySession implements Session {
  #peer: Peer
  #received = 0

  constructor(peer: Peer) {
    this.#peer = peer
  }

  receive(chunk: Buffer): void {
    this.#received += chunk.length
    if (this.#received >= HEADER_LENGTH) this.#peer.close()
  }

  dispose(): void {}
}
