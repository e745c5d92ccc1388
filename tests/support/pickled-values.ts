import { Buffer } from 'node:buffer'
import { PythonDate, PythonDateTime, PythonTime, PythonTimeDelta } from '../../serializers/pickle-times.ts'

/** Values that a pickle keeps. */

const shared = { again: [1] }

/** What Python 2 has, too. */
export const ANY_PYTHON: readonly unknown[] = [
  null, true, false, '', 'plain', 'é€😀\0\r\n', '€'.repeat(300), Buffer.alloc(0), Buffer.from('plain'), Buffer.from([0, 0x80, 0xff]), Buffer.alloc(300, 0xfe),
  ...[0, 1, 127, 128, 255, 256, 65_535, 65_536, 2 ** 31 - 1, 2 ** 31, 2 ** 53 - 1].flatMap((number) => [number, -number - 1].filter(Number.isSafeInteger)),
  -0, 1.5, 0.1, NaN, Infinity, -Infinity, 5e-324, 1.7976931348623157e308, 2 ** 53, -(2 ** 53), 1e21,
  ...[53, 63, 64, 127, 2039, 2040].flatMap((bits) => [1n << BigInt(bits), -(1n << BigInt(bits)), (1n << BigInt(bits)) + 1n]),
  [], [[]], [1, 'two', [2n ** 60n, null]], Array.from({ length: 300 }, (_, index) => ({ index, name: 'row', tags: ['a', 'b'] })),
  {}, { a: { b: { c: [] } } }, JSON.parse('{"__proto__":{"x":1},"constructor":2,"":3}'), { 2: 'two', 1: 'one' }, [shared, shared],
  new Map<unknown, unknown>([[1, 'one'], ['two', 2], [null, []], [false, {}], [[1, [2]], new Set()], [2n ** 60n, 5], [Buffer.from([255]), 1]]),
  new Map([[new Date(0), 1]]), new Map(), new Map([['b', 1], ['2', 2], ['1', 3]]), new Set(), new Set([1, 'a', 2.5, null, [1, 2], new Set([3])]),
  new Date(0), new Date(-1), new Date('0001-01-01'), new Date('9999-12-31T23:59:59.999Z'), new PythonDateTime(1, 2), new PythonDateTime(-1, 999),
  new PythonDate(2024, 2, 29), new PythonTime(1, 2), new PythonTime(23, 59, 59, 999_999), new PythonTimeDelta(-999_999_999, 86_399, 999_999),
]

/** What only Python 3 has: time zones of its own, and the second one of two equal times. */
export const PYTHON_3: readonly unknown[] = [
  new PythonDateTime(0, 0, { offset: 0 }), new PythonDateTime(-1, 999, { offset: 3600, fold: true }), new PythonDateTime(0, 0, { offset: -86_399 }),
  new PythonTime(23, 59, 59, 999_999, { offset: 0, fold: true }),
]
