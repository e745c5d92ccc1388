import { createRequire } from 'node:module'

// The CommonJS build has `__filename` in this place: see the build script.
const require = createRequire(import.meta.url)

/**
 * Loads a package when it is first needed, so that those who never need it neither wait for it nor have to install it.
 * @throws what `require` throws.
 */
export function loadPackage(name: string): unknown {
  return require(name)
}
