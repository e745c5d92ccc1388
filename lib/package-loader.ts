import { createRequire } from 'node:module'

/**
 * Loads a package when it is first needed, so that those who never need it neither wait for it nor have to install it.
 * @throws what `require` throws.
 */
export function loadPackage(name: string): unknown {
  // @ts-ignore TS1343: CommonJS has no import.meta. For that format build.js puts `__filename` in its place, and bundlers leave nothing there.
  return createRequire(import.meta.url ?? __filename)(name)
}
