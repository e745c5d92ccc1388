import fc from 'fast-check'

/** Nested data that every language keeps: no empty objects, no names that are numbers, no integers of more than 64 bits. */
export const trees = fc.letrec((tie) => ({
  value: fc.oneof({ maxDepth: 4 }, leaves(), tie('list'), tie('object')),
  list: fc.array(tie('value'), { maxLength: 5 }),
  object: fc.dictionary(names(), tie('value'), { minKeys: 1, maxKeys: 5, noNullPrototype: true }),
})).value

function leaves(): fc.Arbitrary<unknown> {
  const large = fc.bigInt({ min: 2n ** 53n, max: 2n ** 63n - 1n })
  return fc.oneof(fc.string({ unit: 'grapheme' }), fc.integer(), fc.maxSafeInteger(), fc.double(), fc.boolean(), fc.constant(null), large, large.map((value) => -value))
}

function names(): fc.Arbitrary<string> {
  return fc.oneof(fc.string({ unit: 'grapheme', minLength: 1 }), fc.constant('__proto__')).filter((name) => !/^-?\d+$/.test(name))
}
