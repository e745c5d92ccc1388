/** The opaque token of meta requests: `O` and a number. */

const THOUSAND = 1000
/** ` O…`, without the last three digits of the number, which was `thousands` thousand and some. */
let thousands = -1
let front = ''
let ends: readonly string[] = []

/**
 * A number as the token of a request, a blank before it. Each is another, and V8 keeps the text of every number that it has made text
 * of: so it is put together of parts that are there already.
 */
export function opaqueToken(opaque: number): string {
  if (opaque < THOUSAND) return ` O${opaque}`
  const end = opaque % THOUSAND
  const rest = (opaque - end) / THOUSAND
  if (rest !== thousands) {
    if (ends.length === 0) ends = Array.from({ length: THOUSAND }, (_, number) => String(number).padStart(3, '0'))
    thousands = rest
    front = ` O${rest}`
  }
  return front + (ends[end] as string)
}
