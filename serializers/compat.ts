import { formats } from './compat-formats.ts'

/**
 * The formats of other clients, each for the option `serializer`: ermc reads then what the client writes, and writes what it
 * reads. docs/other-clients.md has a table of all types.
 */
export const compat: typeof formats = {
  // Getters, so that the formats are loaded with the first that is used.
  get pyermc() {
    return formats.pyermc
  },
  get pythonMemcached() {
    return formats.pythonMemcached
  },
  get pymemcache() {
    return formats.pymemcache
  },
  get pylibmc() {
    return formats.pylibmc
  },
  get dalli() {
    return formats.dalli
  },
  get dalliJson() {
    return formats.dalliJson
  },
  get phpMemcached() {
    return formats.phpMemcached
  },
  get spymemcached() {
    return formats.spymemcached
  },
  get memjs() {
    return formats.memjs
  },
  get memcached() {
    return formats.memcached
  },
}
