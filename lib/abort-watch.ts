interface Watch {
  readonly callbacks: Set<() => void>
  readonly ring: () => void
}

const watches = new WeakMap<AbortSignal, Watch>()

/**
 * Calls back when the signal is aborted, unless that is called off by what this gives. However many calls share a signal,
 * it has one listener: Node prints a warning of a leak at the eleventh.
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  const watch = watches.get(signal) ?? begin(signal)
  watch.callbacks.add(callback)
  return () => {
    if (!watch.callbacks.delete(callback) || watch.callbacks.size > 0) return
    signal.removeEventListener('abort', watch.ring)
    watches.delete(signal)
  }
}

function begin(signal: AbortSignal): Watch {
  const callbacks = new Set<() => void>()
  const ring = (): void => {
    for (const callback of callbacks) callback()
  }
  const watch = { callbacks, ring }
  watches.set(signal, watch)
  signal.addEventListener('abort', ring)
  return watch
}
