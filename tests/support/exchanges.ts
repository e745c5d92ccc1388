import type { Op, Request } from '../../lib/commands.ts'
import type { Bytes, Exchange, Protocol } from '../../lib/driver.ts'

/** How a protocol says this request. @throws when it cannot. */
export function exchangeOf<O extends Op, Frame>(protocol: Protocol<Frame>, request: Request<O>): Exchange<O, Frame> {
  const exchange = protocol.commands[request.op]
  if (exchange === undefined) throw new Error(`the ${protocol.name} protocol has no ${request.op}`)
  return exchange
}

/** A request's bytes as latin1 text. */
export function encoded<O extends Op, Frame>(protocol: Protocol<Frame>, request: Request<O>, opaque = 0): string {
  return latin1(exchangeOf(protocol, request).encode(request, opaque))
}

/** What a driver gives the socket, as one string. */
export function latin1(bytes: Bytes): string {
  return typeof bytes === 'string' ? bytes : bytes.map((part) => (typeof part === 'string' ? part : part.toString('latin1'))).join('')
}
