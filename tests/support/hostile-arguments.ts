import { Buffer } from 'node:buffer'

/** What callers had better not pass: as a key, a number, an option, a list. */

const tricky = (text: string): object => ({ toString: () => text, valueOf: () => text, toJSON: () => text, length: 1, [Symbol.toPrimitive]: () => text })
/** None of its methods can be called. */
export const throwing = { toString() { throw new RangeError('toString') }, valueOf() { throw new RangeError('valueOf') }, toJSON() { throw new RangeError('toJSON') } }
/** It contains itself. */
export const circular: Record<string, unknown> = {}
circular['self'] = circular

/** Named, since some of them have no string of their own. */
export const HOSTILE: readonly (readonly [string, unknown])[] = [
  ...['a\r\nflush_all\r\n', 'a\nb', 'a\rb', 'a\0b', ' a', 'a ', 'a b', '\t', 'a\x7f', '\x1b[31m', '\x0b', '\x85', '\u2028', '\u010a\u010d', 'a\u0120b', '\u0d0a', '\ud800', 'x\udc00', '', '0', '-1', '1 noreply', 'noreply',
    '__proto__', 'constructor', 'toString', 'ok', '😀', 'k'.repeat(250), 'k'.repeat(251), 'é'.repeat(125), 'é'.repeat(126)].map((text) => [`${JSON.stringify(text).slice(0, 30)}${text.length > 30 ? ` of ${text.length}` : ''}`, text] as const),
  ...[NaN, Infinity, -Infinity, 0.5, 1e21, 2 ** 31, 2 ** 53, -0, 0, 5, -1, -(2 ** 53), 5n, -1n, 2n ** 64n, true, false, null, undefined].map((value) => [`${typeof value} ${String(value)}`, value] as const),
  ['a symbol', Symbol('s')], ['{}', {}], ['an object without a prototype', Object.create(null)], ['a circular object', circular],
  ['an object with toString', tricky('x\r\nflush_all\r\n')], ['an object that looks like a key', tricky('ok')], ['an object that looks like a number', tricky('5')], ['an object that throws', throwing],
  ['[]', []], ['["ok"]', ['ok']], ['[[...]]', [['ok', 'v']]], ['["a\\r\\nb"]', ['a\r\nb']], ['[null]', [null]], ['[5]', [5]], ['["ab"]', ['ab']], ['[[]]', [[]]], ['[circular]', [circular]],
  ['a function', () => 'ok'], ['new String', Object('ok')], ['new Number', Object(5)], ['new Boolean', Object(true)], ['Object(1n)', Object(1n)],
  ['a Date', new Date(Date.now() + 60_000)], ['no Date', new Date(NaN)], ['a Map', new Map([['ok', 'v']])], ['a Set', new Set(['a b'])], ['/x/', /x/],
  ['a Buffer', Buffer.from('ok')], ['no Buffer', Buffer.alloc(0)], ['a Buffer with CRLF', Buffer.from('a\r\nb')], ['a long Buffer', Buffer.alloc(251, 'x')], ['a Buffer of bytes', Buffer.from([0xff, 0x80])], ['a Uint8Array', new Uint8Array([111, 107])],
  ['something iterable that is not', { [Symbol.iterator]: 5 }], ['a generator that throws', { *[Symbol.iterator]() { yield 'ok'; throw new RangeError('generator') } }],
]
