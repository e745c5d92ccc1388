import type { MemcacheError } from '../../lib/errors.ts'

/** What a promise rejects with. A promise that resolves instead is the test's failure. */
export async function rejection(promise: Promise<unknown>): Promise<MemcacheError> {
  let value: unknown
  try {
    value = await promise
  } catch (error) {
    return error as MemcacheError
  }
  throw new Error(`it did not reject, but gave ${typeof value === 'string' ? JSON.stringify(value) : String(value)}`)
}
