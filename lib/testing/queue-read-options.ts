import type { ReadRequest } from './queue-commands.ts'

/** What stands behind a queue's name, in any order: `/t=500/close/open`. What else does is ignored. NaN waits for no number. */
export function readOptions(key: string): ReadRequest {
  const [name = '', ...options] = key.split('/')
  const time = options.findLast((option) => option.startsWith('t='))
  return {
    name,
    open: options.includes('open'),
    close: options.includes('close'),
    abort: options.includes('abort'),
    peek: options.includes('peek'),
    wait: time === undefined ? 0 : Number(time.slice(2))
  }
}
