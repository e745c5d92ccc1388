import { packet, packetEnd, packetsIn, type Packet } from './packets.ts'

/** These bytes with `*` for the values of the replies that `hidden` names, whose lengths are not told either. What is no whole reply stays. */
export function withoutValues(bytes: string, hidden: (reply: Packet) => boolean): string {
  let shown = ''
  let from = 0
  for (let end = packetEnd(bytes, from); end !== undefined; end = packetEnd(bytes, from)) {
    const whole = bytes.slice(from, end)
    const [reply] = packetsIn(whole) ?? []
    shown += reply !== undefined && reply.value !== '' && hidden(reply) ? packet({ ...reply, value: '*' }) : whole
    from = end
  }
  return shown + bytes.slice(from)
}
