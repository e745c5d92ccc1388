import fc from 'fast-check'

/** Random programs of the text and meta protocols: mostly sensible lines about few keys, every part now and then replaced by something odd. */

const LONG_KEY = 'k'.repeat(250)
const key = fc.constantFrom('a', 'b', 'n', 'n', 'a', 'p:x', LONG_KEY, `${LONG_KEY}k`, 'a\x01', '\xe9\xff', '')
const number = fc.constantFrom(
  '0', '1', '2', '5', '10', '18446744073709551615', '18446744073709551616', '-1', '+3', '007', 'x', '1.5', '', '4294967296', '4294967301',
  '-18446744073709551615', '100000', '2592000', '2592001', '2147483648', '-9223372036854775809', '5x', '5\t6', '\t7', 'noreply'
)
const exptime = fc.constantFrom('0', '0', '0', '100000', '-1', '2592001', '2147483648', 'x', '', '2000000000')
const value = fc.constantFrom(
  '', '1', '9', '10', '99', '18446744073709551615', '18446744073709551616', '-5', '+7', ' 10', '007', '5 6', 'abc', '1\r\n2', 'flush_all',
  'get a', 'x'.repeat(40), '18446744073709551615 -', '7\t', '\x007', '7\x00', '-0', '-18446744073709551615', '\r\n'
)
const noreply = fc.constantFrom('', '', '', ' noreply', ' noreply', ' noreply x', ' noReply', ' ')
const rarely = <T>(usual: fc.Arbitrary<T>, odd: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  fc.oneof({ weight: 8, arbitrary: usual }, { weight: 1, arbitrary: odd })
/** The length of a value, or a wrong one. */
const lengthOf = fc.oneof(
  { weight: 10, arbitrary: fc.constant((text: string) => String(text.length)) },
  { weight: 1, arbitrary: fc.constantFrom((text: string) => String(text.length + 1), (text: string) => String(text.length - 1), () => 'x', () => '-1', () => '') }
)

const storage = fc.tuple(
  fc.constantFrom('set', 'set', 'set', 'add', 'replace', 'append', 'prepend', 'cas'), key, rarely(fc.constantFrom('0', '5'), number),
  exptime, value, lengthOf, rarely(fc.constantFrom('1', '2', '3', '4'), number), noreply
).map(([mode, key, flags, exptime, value, length, cas, noreply]) =>
  `${mode} ${key} ${flags} ${exptime} ${length(value)}${mode === 'cas' ? ` ${cas}` : ''}${noreply}\r\n${value}\r\n`)

const classic = fc.oneof(
  fc.tuple(fc.constantFrom('get', 'gets', 'bget'), fc.array(key, { maxLength: 4 })).map(([name, keys]) => `${name} ${keys.join(' ')}\r\n`),
  fc.tuple(fc.constantFrom('gat', 'gats'), exptime, fc.array(key, { maxLength: 3 })).map(([name, time, keys]) => `${name} ${time} ${keys.join(' ')}\r\n`),
  fc.tuple(fc.constantFrom('incr', 'decr'), key, number, noreply).map(([name, key, delta, noreply]) => `${name} ${key} ${delta}${noreply}\r\n`),
  fc.tuple(key, exptime, noreply).map(([key, time, noreply]) => `touch ${key} ${time}${noreply}\r\n`),
  fc.tuple(key, fc.constantFrom('', ' 0', ' 5', ' 00', ' b'), noreply).map(([key, time, noreply]) => `delete ${key}${time}${noreply}\r\n`),
  fc.tuple(fc.constantFrom('', ' 0', ' -1', ' 1000', ' x', ' 1.5', ' 2592001'), noreply).map(([delay, noreply]) => `flush_all${delay}${noreply}\r\n`)
)

const administration = fc.tuple(
  fc.constantFrom(
    'verbosity', 'cache_memlimit', 'lru mode', 'lru temp_ttl', 'lru', 'lru tune 10 20', 'slabs reassign', 'slabs automove', 'slabs', 'extstore',
    'extstore item_size', 'extstore max_frag', 'extstore drop_unread', 'extstore free_memchunks', 'slabs automove ratio', 'lru_crawler sleep',
    'lru_crawler tocrawl', 'stats detail', 'stats x', 'refresh_certs', 'shutdown', 'version', 'watch bogus'
  ),
  fc.array(number, { maxLength: 3 }), noreply
).map(([name, args, noreply]) => `${[name, ...args].join(' ')}${noreply}\r\n`)

/** None with a NUL reads what is there: memcached then holds on to the item until its next read, and an `incr` behind it makes a new one. */
const oddities = fc.constantFrom(
  '\r\n', '\n', ' \r\n', 'x\r\n', 'bogus\r\n', 'bogus HTTP/1.1\r\n', 'gbogus HTTP/1.1\r\n', 'GET / HTTP/1.0\r\n', 'mget x HTTP/1\r\n',
  'mx HTTP/1.1\r\n', 'get z\x00b c\r\n', 'set a\x00 0 0 1\r\n1\r\n', 'get a\r\r\n', 'version\n', 'mn\n', 'quit\r\n', 'get   a   n \r\n', ' get a\r\n',
  `get ${'a '.repeat(30)}\r\n`, `get ${'a '.repeat(30)}${LONG_KEY}k\r\n`, 'stats detail on\r\n', 'stats sizes_enable\r\n', 'stats sizes\r\n',
  'stats reset\r\n', `delete ${'d'.repeat(2100)}\r\n`, `set ${'a '.repeat(40)}\r\n`, `version ${'a '.repeat(40)}noreply\r\n`, `${'y'.repeat(3000)}\r\n`
)

const metaKey = rarely(key, fc.constantFrom('Zm9v', 'YQ==', 'bg==', 'Zm9', 'IA0KAP8=', '====', 'Zm=v', 'Zm9v!'))
const metaFlags = fc.array(fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom('v', 's', 't', 'f', 'c', 'k', 'h', 'q', 'u', 'b', 'I', 'Oabc') },
  { weight: 4, arbitrary: fc.tuple(fc.constantFrom('T', 'N', 'R'), exptime).map((parts) => parts.join('')) },
  { weight: 3, arbitrary: fc.tuple(fc.constantFrom('C', 'D', 'J', 'F'), fc.constantFrom('0', '1', '2', '3', '5', 'x')).map((parts) => parts.join('')) },
  { weight: 2, arbitrary: fc.constantFrom('MI', 'MD', 'M+', 'M-', 'ME', 'MA', 'MP', 'MR', 'MS', 'Mx', 'M', 'MII') },
  { weight: 1, arbitrary: fc.constantFrom('z', '!', '\xe9', `O${'y'.repeat(32)}`, `O${'y'.repeat(31)}`, 'P', 'L1', 'S5', 'E5', 'O', 'T', 'vv') }
), { maxLength: 5 }).map((words) => words.map((word) => ` ${word}`).join(''))
const meta = fc.oneof(
  fc.tuple(fc.constantFrom('mg', 'mg', 'md', 'ma', 'ma', 'me', 'mn'), metaKey, metaFlags).map(([name, key, flags]) => `${name} ${key}${flags}\r\n`),
  fc.tuple(metaKey, value, lengthOf, metaFlags).map(([key, value, length, flags]) => `ms ${key} ${length(value)}${flags}\r\n${value}\r\n`),
  fc.tuple(key, fc.integer({ min: 12, max: 22 })).map(([key, count]) => `mg ${key} ${[...'vstfckhluqOPLIbczzzzzzz'].slice(0, count).join(' ')}\r\n`)
)

const command = fc.oneof(
  { weight: 5, arbitrary: storage }, { weight: 5, arbitrary: meta }, { weight: 4, arbitrary: classic },
  { weight: 1, arbitrary: administration }, { weight: 1, arbitrary: oddities }
)
/** What is written on one connection, one after the other. */
export const textProgram: fc.Arbitrary<string[]> = fc.array(fc.array(command, { minLength: 1, maxLength: 30 }).map((lines) => lines.join('')), { minLength: 1, maxLength: 3 })
