import type { Encoded, Format } from '../../lib/index.ts'

/** The serializer of a client that stores what no other would: its values are `{ value, flags }`, bytes and flags as they will lie there. */
export const planting: Format = {
  name: 'planting',
  compressors: [],
  encode: (item) => item as Encoded,
  decode: (value, flags) => ({ value, flags }),
}
