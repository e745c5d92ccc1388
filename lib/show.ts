/** What was thrown, which may be anything, in a message. What failed in several ways has often no message of its own. */
export function showThrown(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(showThrown).join(', ')
  return error instanceof Error ? error.message : typeof error === 'string' ? error : show(error)
}

/** An argument in a message. None of its own methods is called: they may throw. */
export function show(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value)
    case 'undefined':
    case 'number':
    case 'bigint':
    case 'boolean':
      return String(value)
    default:
      return value === null ? 'null' : `a ${typeof value}`
  }
}
