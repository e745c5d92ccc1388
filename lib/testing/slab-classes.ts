/**
 * memcached's memory: pages of 1 MiB, each given for good to one class of equally large chunks; an item takes a chunk
 * of the smallest class that holds it. Nothing is allocated here, only counted, so that a server with a small memory
 * limit refuses and evicts at the same item as memcached does.
 */

import { SlabCounters } from './counters.ts'
import type { SlabClass } from './item.ts'

const PAGE_SIZE = 1024 * 1024
const GROWTH_FACTOR = 1.25
const CHUNK_ALIGNMENT = 8
const ITEM_HEADER = 48
/** Class ids are below this. */
export const MAX_CLASSES = 64

/** What decides the classes: memcached's `-m`, `-n`, `-I` and `-o slab_chunk_max`, in bytes. */
export interface SlabSettings {
  readonly memoryLimit: number
  readonly chunkSize: number
  readonly itemSizeMax: number
  readonly slabChunkMax: number
}

/** All classes of a server, and the limit they share. */
export class SlabClasses {
  readonly classes: readonly SlabClass[]
  memoryLimit: number
  #settings: SlabSettings
  #pages = 0

  constructor(settings: SlabSettings) {
    this.#settings = settings
    this.memoryLimit = settings.memoryLimit
    this.classes = chunkSizes(settings).map((chunkSize, index) => ({
      id: index + 1,
      chunkSize,
      chunksPerPage: Math.floor(PAGE_SIZE / chunkSize),
      pages: 0,
      usedChunks: 0,
      items: new Set(),
      counters: new SlabCounters()
    }))
  }

  /** Bytes in all pages handed out so far. */
  get allocated(): number {
    return this.#pages * PAGE_SIZE
  }

  /** The class for an item of `size` bytes, or `undefined` when the item is larger than `itemSizeMax`. */
  classFor(size: number): SlabClass | undefined {
    if (size > this.#settings.itemSizeMax) return undefined
    return this.classes.find((slab) => size <= slab.chunkSize) ?? this.classes.at(-1)
  }

  /** Whether an item of `size` bytes has to be spread over several chunks of the largest class. */
  isChunked(size: number): boolean {
    return size > this.#settings.slabChunkMax
  }

  /** Takes the chunks that `size` bytes need in `slab`; false when there is no free one and no memory for a page. */
  take(slab: SlabClass, size: number): boolean {
    const chunks = Math.ceil(size / slab.chunkSize)
    while (slab.usedChunks + chunks > slab.pages * slab.chunksPerPage) {
      // A class gets its first page even past the limit.
      if (slab.pages > 0 && (this.#pages + 1) * PAGE_SIZE > this.memoryLimit) return false
      slab.pages++
      this.#pages++
    }
    slab.usedChunks += chunks
    return true
  }

  /** Gives back what `take` took. The page stays with the class. */
  give(slab: SlabClass, size: number): void {
    slab.usedChunks -= Math.ceil(size / slab.chunkSize)
  }

  /** As after a fresh start, but for chunks of items that are still being received. */
  clear(): void {
    this.#pages = 0
    for (const slab of this.classes) {
      slab.pages = Math.ceil(slab.usedChunks / slab.chunksPerPage)
      this.#pages += slab.pages
      slab.counters.reset()
    }
  }
}

function chunkSizes(settings: SlabSettings): number[] {
  const sizes: number[] = []
  let size = ITEM_HEADER + settings.chunkSize
  while (sizes.length < MAX_CLASSES - 2 && size < settings.slabChunkMax / GROWTH_FACTOR) {
    size = Math.ceil(size / CHUNK_ALIGNMENT) * CHUNK_ALIGNMENT
    sizes.push(size)
    size = Math.floor(size * GROWTH_FACTOR)
  }
  sizes.push(settings.slabChunkMax)
  return sizes
}
