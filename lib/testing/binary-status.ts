/** How a reply of the binary protocol says that a request failed: a number, and a text that follows as the value. */
export interface BinaryStatus { readonly code: number; readonly text: string }

/** What memcached answers; 0 is success, and has no text. */
export const STATUS = {
  notFound: { code: 0x01, text: 'Not found' },
  exists: { code: 0x02, text: 'Data exists for key.' },
  tooLarge: { code: 0x03, text: 'Too large.' },
  invalid: { code: 0x04, text: 'Invalid arguments' },
  notStored: { code: 0x05, text: 'Not stored.' },
  nonNumeric: { code: 0x06, text: 'Non-numeric server-side value for incr or decr' },
  authFailure: { code: 0x20, text: 'Auth failure.' },
  unknownCommand: { code: 0x81, text: 'Unknown command' },
  outOfMemory: { code: 0x82, text: 'Out of memory' },
  noRoomForItem: { code: 0x82, text: 'Out of memory allocating item' },
  noRoomForCounter: { code: 0x82, text: 'Out of memory allocating new item' },
  noRoomToGrow: { code: 0x82, text: 'Out of memory incrementing value' }
} as const satisfies Record<string, BinaryStatus>

/** The status of a SASL challenge, which is no failure: the challenge is the value. */
export const AUTH_CONTINUE = 0x21
