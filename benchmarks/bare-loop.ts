import { Buffer } from 'node:buffer'
import { connect } from 'node:net'

/**
 * What a memcached client cannot be cheaper than: a hand-written loop that knows only `get` of one key and `set`, writes
 * once a turn, keeps a FIFO of real promises, and parses in place. It checks nothing and survives nothing.
 */
export interface BareLoop {
  get(key: string): Promise<Buffer | undefined>
  set(key: string, value: string): Promise<boolean>
  close(): void
}

interface Waiting {
  resolve(reply: never): void
  next: Waiting | undefined
}

/** Opens a connection to 127.0.0.1. */
export async function bareLoop(port: number): Promise<BareLoop> {
  let head: Waiting | undefined
  let tail: Waiting | undefined
  let text = ''
  let rest = Buffer.alloc(0)

  const memory = Buffer.allocUnsafeSlow(64 * 1024)
  const socket = connect({
    port,
    host: '127.0.0.1',
    noDelay: true,
    onread: {
      buffer: memory,
      callback(length) {
        let bytes = memory.subarray(0, length)
        if (rest.length > 0) bytes = Buffer.concat([rest, bytes])
        const end = parse(bytes)
        rest = end === bytes.length ? rest.subarray(0, 0) : Buffer.from(bytes.subarray(end))
        return true
      },
    },
  })
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))

  /** Reads whole replies; gives where the first one that is not whole begins. */
  function parse(bytes: Buffer): number {
    let at = 0
    while (at < bytes.length) {
      const line = bytes.indexOf(10, at)
      if (line === -1) return at
      if (bytes[at] === 86) {
        let length = 0
        let scale = 1
        for (let i = line - 2; bytes[i] !== 32; i -= 1, scale *= 10) length += ((bytes[i] as number) - 48) * scale
        const end = line + 1 + length + 2 + 5 // the data, its CRLF, END and CRLF
        if (end > bytes.length) return at
        const value = Buffer.allocUnsafe(length)
        bytes.copy(value, 0, line + 1, line + 1 + length)
        settle(value)
        at = end
      } else {
        settle(bytes[at] === 83 ? true : undefined) // STORED or END
        at = line + 1
      }
    }
    return at
  }

  function settle(reply: unknown): void {
    const waiting = head as Waiting
    head = waiting.next
    if (head === undefined) tail = undefined
    waiting.resolve(reply as never)
  }

  function send(command: string): Promise<never> {
    return new Promise((resolve) => {
      if (text === '') process.nextTick(flush)
      text += command
      const waiting: Waiting = { resolve, next: undefined }
      if (tail === undefined) head = waiting
      else tail.next = waiting
      tail = waiting
    })
  }

  function flush(): void {
    socket.write(text, 'latin1')
    text = ''
  }

  return {
    get: (key) => send(`get ${key}\r\n`),
    set: (key, value) => send(`set ${key} 0 0 ${value.length}\r\n${value}\r\n`),
    close: () => socket.destroy(),
  }
}
