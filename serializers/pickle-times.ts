import { MemcacheValueError } from '../lib/errors.ts'
import { show } from '../lib/show.ts'

/** What Python's datetime module has and JavaScript has not. Their constructors refuse what Python's would. */

/** What a datetime or a time says beside what a clock shows. */
export interface ClockDetails {
  /** Seconds east of UTC; `undefined`: it is naive, it does not say where. */
  readonly offset?: number | undefined
  /** It is the second one of two equal times, where a clock was set back. */
  readonly fold?: boolean
}

/**
 * A `datetime.datetime` of which a Date would lose something: what is below a millisecond, or the time zone. As a Date it
 * is the same instant, rounded down to the millisecond; a naive one counts as UTC. Written, it becomes the datetime it was.
 */
export class PythonDateTime extends Date {
  /** From 0 to 999: what Python has below the millisecond. */
  readonly microseconds: number
  /** Seconds east of UTC; `undefined`: it is naive. */
  readonly offset: number | undefined
  /** It is the second one of two equal times, where a clock was set back. */
  readonly fold: boolean

  /** `time`: milliseconds since 1970, in UTC. */
  constructor(time: number, microseconds = 0, { offset, fold = false }: ClockDetails = {}) {
    super(time)
    checkRange('microseconds', microseconds, 0, 999)
    checkOffset(offset)
    this.microseconds = microseconds
    this.offset = offset
    this.fold = fold
  }
}

/** A `datetime.date`: a day of the calendar, nowhere in particular. */
export class PythonDate {
  /** From 1 to 9999. */
  readonly year: number
  /** From 1 to 12. */
  readonly month: number
  /** From 1. */
  readonly day: number

  constructor(year: number, month: number, day: number) {
    checkRange('year', year, 1, 9999)
    checkRange('month', month, 1, 12)
    checkRange('day', day, 1, new Date(Date.UTC(2000 + (year % 400), month, 0)).getUTCDate()) // the calendar repeats
    this.year = year
    this.month = month
    this.day = day
  }

  /** `2024-02-29` */
  toString(): string {
    return `${digits(this.year, 4)}-${digits(this.month)}-${digits(this.day)}`
  }
}

/** A `datetime.time`: a time of day. */
export class PythonTime {
  /** From 0 to 23. */
  readonly hour: number
  /** From 0 to 59. */
  readonly minute: number
  /** From 0 to 59. */
  readonly second: number
  /** From 0 to 999,999. */
  readonly microsecond: number
  /** Seconds east of UTC; `undefined`: it is naive. */
  readonly offset: number | undefined
  /** It is the second one of two equal times, where a clock was set back. */
  readonly fold: boolean

  constructor(hour: number, minute: number, second = 0, microsecond = 0, { offset, fold = false }: ClockDetails = {}) {
    checkRange('hour', hour, 0, 23)
    checkRange('minute', minute, 0, 59)
    checkRange('second', second, 0, 59)
    checkRange('microsecond', microsecond, 0, 999_999)
    checkOffset(offset)
    this.hour = hour
    this.minute = minute
    this.second = second
    this.microsecond = microsecond
    this.offset = offset
    this.fold = fold
  }

  /** `09:05:00.000001` */
  toString(): string {
    const clock = [this.hour, this.minute, this.second].map((part) => digits(part)).join(':')
    return this.microsecond === 0 ? clock : `${clock}.${digits(this.microsecond, 6)}`
  }
}

/** A `datetime.timedelta`: a span of time, as Python keeps it. Only `days` may be negative. */
export class PythonTimeDelta {
  /** From -999,999,999 to 999,999,999. */
  readonly days: number
  /** From 0 to 86,399. */
  readonly seconds: number
  /** From 0 to 999,999. */
  readonly microseconds: number

  constructor(days: number, seconds = 0, microseconds = 0) {
    checkRange('days', days, -999_999_999, 999_999_999)
    checkRange('seconds', seconds, 0, 86_399)
    checkRange('microseconds', microseconds, 0, 999_999)
    this.days = days
    this.seconds = seconds
    this.microseconds = microseconds
  }

  /** The whole span in milliseconds, as exactly as a number can say it. */
  get milliseconds(): number {
    return (this.days * 86_400 + this.seconds) * 1000 + this.microseconds / 1000
  }
}

function digits(value: number, count = 2): string {
  return String(value).padStart(count, '0')
}

/** An offset from UTC is less than a day. */
function checkOffset(offset: number | undefined): void {
  if (offset !== undefined) checkRange('offset', offset, -86_399, 86_399)
}

function checkRange(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new MemcacheValueError(`"${name}" is a whole number from ${least} to ${most}, not ${show(value)}`)
  }
}
