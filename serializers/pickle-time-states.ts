/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import { MemcacheValueError } from '../lib/errors.ts'
import { PythonDate, PythonDateTime, PythonTime } from './pickle-times.ts'

/** The bytes that Python's datetime module has pickled for each of its types: big-endian numbers, one behind the other. */

/** In the first byte that has room, it marks the second one of two equal times, where a clock was set back (PEP 495). */
const FOLD = 0x80

/** 4 bytes: year (2), month, day. */
export function dateOf(state: Buffer): PythonDate {
  checkLength(state, 4)
  return new PythonDate(state.readUInt16BE(0), state.readUInt8(2), state.readUInt8(3))
}

/** The reverse of `dateOf`. */
export function dateState({ year, month, day }: PythonDate): Buffer {
  return Buffer.from([year >> 8, year, month, day])
}

/** 6 bytes: hour, minute, second, microsecond (3). */
export function timeOf(state: Buffer, offset?: number): PythonTime {
  checkLength(state, 6)
  const hour = state.readUInt8(0)
  return new PythonTime(hour & ~FOLD, state.readUInt8(1), state.readUInt8(2), state.readUIntBE(3, 3), { offset, fold: (hour & FOLD) !== 0 })
}

/** The reverse of `timeOf`; the offset is said beside it. */
export function timeState({ hour, minute, second, microsecond, fold }: PythonTime): Buffer {
  return Buffer.from([fold ? hour | FOLD : hour, minute, second, microsecond >> 16, microsecond >> 8, microsecond])
}

/** 10 bytes: those of a date, whose month has the mark, and those of a time. A Date where that says all of it. */
export function dateTimeOf(state: Buffer, offset?: number): Date {
  checkLength(state, 10)
  const fold = (state.readUInt8(2) & FOLD) !== 0
  const { year, month, day } = dateOf(Buffer.from([state.readUInt8(0), state.readUInt8(1), state.readUInt8(2) & ~FOLD, state.readUInt8(3)]))
  const { hour, minute, second, microsecond } = timeOf(state.subarray(4))
  const milliseconds = Math.floor(microsecond / 1000)
  const time = new Date(0).setUTCFullYear(year, month - 1, day) + ((hour * 60 + minute) * 60 + second - (offset ?? 0)) * 1000 + milliseconds
  const microseconds = microsecond % 1000
  return offset === undefined && !fold && microseconds === 0 ? new Date(time) : new PythonDateTime(time, microseconds, { offset, fold })
}

/** The reverse of `dateTimeOf`; the offset is said beside it. @throws MemcacheValueError for a Date that Python cannot have. */
export function dateTimeState(date: Date): Buffer {
  const { microseconds = 0, offset = 0, fold = false } = date instanceof PythonDateTime ? date : {}
  const clock = new Date(date.getTime() + offset * 1000)
  if (Number.isNaN(clock.getTime())) throw new MemcacheValueError('an invalid Date is no date in Python')
  const day = dateState(new PythonDate(clock.getUTCFullYear(), clock.getUTCMonth() + 1, clock.getUTCDate()))
  const microsecond = clock.getUTCMilliseconds() * 1000 + microseconds
  const time = timeState(new PythonTime(clock.getUTCHours(), clock.getUTCMinutes(), clock.getUTCSeconds(), microsecond))
  if (fold) day.writeUInt8(day.readUInt8(2) | FOLD, 2)
  return Buffer.concat([day, time])
}

function checkLength(state: Buffer, length: number): void {
  if (state.length !== length) throw new MemcacheValueError(`the pickle has a date or time of ${state.length} bytes, not ${length}`)
}
