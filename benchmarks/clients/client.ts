/** What is measured, seen alike: the methods are the library's own calls, and nothing is put between. */

/**
 * A client of some library. A command that the library does not have is missing. Replies are the library's own; the
 * readers say what they mean, and are called only for the samples that are verified.
 */
export interface Client {
  get(key: string): Promise<unknown>
  set(key: string, value: unknown): Promise<unknown>
  getMulti?(keys: readonly string[]): Promise<unknown>
  add?(key: string, value: unknown): Promise<unknown>
  replace?(key: string, value: unknown): Promise<unknown>
  append?(key: string, value: string): Promise<unknown>
  prepend?(key: string, value: string): Promise<unknown>
  delete?(key: string): Promise<unknown>
  incr?(key: string): Promise<unknown>
  decr?(key: string): Promise<unknown>
  close(): unknown
  /** The value in a reply to `get` (or a counter's); `undefined` = a miss. Default: the reply. */
  readonly readValue?: (reply: unknown) => unknown
  /** The values in a reply to `getMulti`, by key. Default: the reply is a Map. */
  readonly readValues?: (reply: unknown) => ReadonlyMap<string, unknown>
  /** Whether a reply says that a command was done. Default: `true` does. */
  readonly readDone?: (reply: unknown) => boolean
}

/** What every client is opened with. */
export interface Opening {
  readonly host: string
  readonly port: number
  /** The values are strings (else Buffers): what the bare loops, which know no flags, hand out. */
  readonly strings: boolean
  /** Values from 1000 bytes on are compressed. */
  readonly compress: boolean
}

/** Opens a client; it may connect at its first command. */
export type Open = (opening: Opening) => Client | Promise<Client>
