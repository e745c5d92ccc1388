/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'

/**
 * Memory that values were gathered in and nobody has a part of, to gather others in. To be given 100 KB by the operating system, page
 * by page, and to give them back costs more than to copy them.
 */

/** Bytes: less is cheap to come by, … */
const LEAST = 4096
/** … and so much of it may lie idle in all. */
const MOST = 2 * 1024 * 1024
/** How much longer than it has to be a piece may be: whoever is handed a Buffer of it keeps all of it. */
const SLACK = 1.25
/** Only the pieces that came last are looked at. */
const LOOKED_AT = 8

const spares: Buffer[] = []
let idle = 0

/** Memory for so many bytes at least, of which each may be anything. */
export function takeMemory(size: number): Buffer {
  for (let place = spares.length - 1; place >= Math.max(0, spares.length - LOOKED_AT); place -= 1) {
    const { length } = spares[place] as Buffer
    if (length < size || length > size * SLACK) continue
    idle -= length
    return spares.splice(place, 1)[0] as Buffer
  }
  return Buffer.allocUnsafeSlow(size)
}

/** Takes memory back that {@link takeMemory} gave, and that nobody reads or writes any more. The oldest goes where there is too much. */
export function giveMemory(memory: Buffer): void {
  if (memory.length < LEAST || memory.length > MOST) return
  spares.push(memory)
  idle += memory.length
  while (idle > MOST) idle -= (spares.shift() as Buffer).length
}
