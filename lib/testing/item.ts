/// <reference types="node" preserve="true" />

import type { SlabCounters } from './counters.ts'

/** Bytes that every item takes beside key, value and cas id: its header, a NUL behind the key, CRLF behind the value. */
const OVERHEAD = 48 + 1 + 2
const CAS_BYTES = 8
const FLAGS_BYTES = 4

/** In bytes. */
export const MAX_KEY_LENGTH = 250
/** The CRLF behind every value. */
export const CRLF_BYTES = 2

/** One item; in the cache from the moment it is linked. */
export interface Item {
  /** latin1, one character a byte. */
  readonly key: string
  readonly flags: number
  /** The value and the CRLF behind it, as they came in and go out. Never changed in place: replies refer to it. */
  data: Buffer
  /** The second, on the server's own clock, at which it expires; 0 = never. */
  expiresAt: number
  /** When it was stored or last counted as used, on the server's own clock. */
  usedAt: number
  /** 0 until linked, and always with cas ids switched off. */
  cas: number
  /** Was it ever fetched; and fetched again since then. */
  fetched: boolean
  active: boolean
  /** The key came base64 encoded (meta's flag `b`) and is shown so. */
  binaryKey: boolean
  /** Marked stale by meta's `md I`; a recache token was handed out. */
  stale: boolean
  tokenSent: boolean
  linked: boolean
  /** Replies that refer to it and were not sent yet: meanwhile it keeps its value, and its room. */
  holds: number
  /** Bytes that memcached would use for it, and the class that they come from. */
  readonly size: number
  readonly slab: SlabClass
}

/** One class of chunks: what it has, what was taken of it, and by whom. */
export interface SlabClass {
  readonly id: number
  readonly chunkSize: number
  readonly chunksPerPage: number
  pages: number
  usedChunks: number
  /** Longest unused first. */
  readonly items: Set<Item>
  readonly counters: SlabCounters
}

/** Bytes that an item uses in memcached: what the size limit is about. */
export function itemSize(key: string, flags: number, length: number, casEnabled: boolean): number {
  return OVERHEAD + (casEnabled ? CAS_BYTES : 0) + (flags === 0 ? 0 : FLAGS_BYTES) + key.length + length
}
