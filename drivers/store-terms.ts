/** The flags and the time to live of a store, as a protocol says them. */
type Say = (flags: number, expires: number) => string

/** Says them again only where they are others than the last time: stores that follow each other mostly have both in common. */
export function storeTerms(say: Say): Say {
  let lastFlags = 0
  let lastExpires = 0
  let last = say(lastFlags, lastExpires)
  return (flags, expires) => {
    if (flags === lastFlags && expires === lastExpires) return last
    last = say(flags, expires)
    lastFlags = flags
    lastExpires = expires
    return last
  }
}
