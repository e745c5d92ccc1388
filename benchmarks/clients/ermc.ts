import type { Client, Open } from './client.ts'

/** The client of this package, as it is built, with its default options. */
export function ermc(driver: 'text' | 'binary' | 'meta' | 'memjs'): Open {
  return async ({ host, port, compress }) => {
    // By its own name, as users import it. To the type checker, which may run before the build, it is not there.
    const built = (await import('ermc' as string)) as typeof import('../../lib/index.ts')
    const factory = driver === 'memjs' ? ((await import('ermc/drivers/memjs' as string)) as typeof import('../../drivers/memjs.ts')).memjs : built[driver]
    const client = new built.Client({ host, port, driver: factory, ...(compress ? { minCompressLength: 1000 } : {}) })
    return client as Client
  }
}
