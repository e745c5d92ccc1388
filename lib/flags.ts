/**
 * The 32 bits beside a stored value, which say what its bytes mean. 1, 2, 4 and 8 are those of Python's pyermc, so
 * that both read each other's items; the others are ermc's own. No bit at all is a UTF-8 string. From 1024 on they are
 * free for serializers and compressors of the user's own.
 */
export const flags = {
  string: 0,
  /** Python's pickle. */
  pickle: 1,
  /** A decimal number in ASCII, read as a number where that is exact. */
  integer: 2,
  /** A decimal number in ASCII, read as a bigint. */
  long: 4,
  /** In addition to what the value is: its bytes are compressed, 4-byte little-endian length and one LZ4 block. */
  lz4: 8,
  /** Bytes, read as a Buffer. */
  bytes: 16,
  json: 32,
  /** V8's structured clone. */
  v8: 64,
  msgpack: 128,
  /** As `lz4`, but compressed by zlib. */
  deflate: 256,
  /** As `lz4`, but compressed by Zstandard. */
  zstd: 512,
} as const
