import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { installed } from './servers.ts'

/** Certificates for tests, made by the program openssl: of an authority, of a server, of a client. */

/** Why the suites that need certificates cannot run, or `false`. */
export const withoutOpenssl: string | false = installed('openssl') ? false : 'openssl is not installed'

/** A certificate and its key: the files, for programs, and what is in them. */
export interface Certified {
  readonly certFile: string
  readonly keyFile: string
  readonly cert: string
  readonly key: string
}

/** An authority in a folder of its own. */
export class Authority {
  readonly #folder = mkdtempSync(join(tmpdir(), 'ermc-tls-'))
  readonly #own: Certified

  constructor() {
    this.#own = this.#files('authority')
    const { certFile, keyFile } = this.#own
    this.#openssl('req', '-x509', ...NEW_KEY, '-keyout', keyFile, '-out', certFile, '-days', '2', '-subj', '/CN=authority of the tests')
  }

  /** The authority's certificate, by which the others are verified. */
  get file(): string {
    return this.#own.certFile
  }

  /** What is in it. */
  get ca(): string {
    return this.#own.cert
  }

  /** Makes a certificate for these names, such as `DNS:localhost` and `IP:127.0.0.1`. */
  certify(name: string, ...names: readonly string[]): Certified {
    const made = this.#files(name)
    const [request, extensions] = [join(this.#folder, `${name}.csr`), join(this.#folder, `${name}.ext`)]
    this.#openssl('req', ...NEW_KEY, '-keyout', made.keyFile, '-out', request, '-subj', `/CN=${name}`)
    writeFileSync(extensions, names.length === 0 ? 'basicConstraints=CA:FALSE\n' : `subjectAltName=${names.join(',')}\n`)
    this.#openssl('x509', '-req', '-in', request, '-CA', this.#own.certFile, '-CAkey', this.#own.keyFile, '-CAcreateserial', '-days', '2', '-extfile', extensions, '-out', made.certFile)
    return made
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true })
  }

  #files(name: string): Certified {
    const [certFile, keyFile] = [join(this.#folder, `${name}.pem`), join(this.#folder, `${name}.key`)]
    return {
      certFile,
      keyFile,
      get cert() {
        return readFileSync(certFile, 'utf8')
      },
      get key() {
        return readFileSync(keyFile, 'utf8')
      },
    }
  }

  #openssl(...args: readonly string[]): void {
    execFileSync('openssl', args, { stdio: 'pipe' })
  }
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
