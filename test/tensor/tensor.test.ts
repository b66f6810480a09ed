import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LayerwiseError } from '../../src/base/index.js';
import {
  bytesPerElement,
  type DType,
  dtypes,
  elementCount,
  fromFloat32,
  isDType,
  isFloat,
  toFloat32,
} from '../../src/tensor/index.js';
import { runs } from '../scale.js';

const codeOf = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    if (error instanceof LayerwiseError) return error.code;
    throw error;
  }
  return 'no error';
};
const bytesOf = (...words: readonly number[]) => new Uint8Array(Uint16Array.from(words).buffer);
const wordsOf = (bytes: Uint8Array) => [...new Uint16Array(bytes.slice().buffer)];
const floatOf = (bits: number) => new Float32Array(Uint32Array.of(bits).buffer);
const allWords = Uint16Array.from({ length: 65536 }, (_, i) => i);
const allBytes = new Uint8Array(allWords.buffer);

/** The plain twin: a float from its fields, by arithmetic. */
function decode(word: number, exponentBits: number, mantissaBits: number): number {
  const sign = word & 0x8000 ? -1 : 1;
  const exponent = (word >> mantissaBits) & (2 ** exponentBits - 1);
  const fraction = (word & (2 ** mantissaBits - 1)) / 2 ** mantissaBits;
  const bias = 2 ** (exponentBits - 1) - 1;
  if (exponent === 2 ** exponentBits - 1) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent ? sign * (1 + fraction) * 2 ** (exponent - bias) : sign * fraction * 2 ** (1 - bias);
}
const decoders = {
  F16: (word: number) => decode(word, 5, 10),
  BF16: (word: number) => decode(word, 8, 7),
} as const;
const infinity = { F16: 0x7c00, BF16: 0x7f80 } as const;

/** The plain twin of rounding: the nearer neighbour among all finite values, ties to the even pattern. */
function encodeSlowly(value: number, dtype: 'F16' | 'BF16'): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  const top = infinity[dtype];
  const at = (word: number) =>
    word === top ? 2 * decoders[dtype](top - 1) - decoders[dtype](top - 2) : decoders[dtype](word);
  let low = 0;
  let high: number = top;
  if (magnitude >= at(top)) return sign | top;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (at(middle) <= magnitude) low = middle;
    else high = middle;
  }
  const below = magnitude - at(low);
  const above = at(high) - magnitude;
  return sign | (below < above || (below === above && low % 2 === 0) ? low : high);
}

describe.each(['F16', 'BF16'] as const)('%s', (dtype) => {
  test('all 65,536 patterns widen as the plain twin does', () => {
    const values = toFloat32(allBytes, dtype);
    const wrong = [...allWords].filter((word) => !Object.is(values[word], decoders[dtype](word)));
    expect(wrong).toEqual([]);
  });

  test('all 65,536 patterns survive a round trip, NaN payloads included', () => {
    expect(fromFloat32(toFloat32(allBytes, dtype), dtype)).toEqual(allBytes);
  });

  test('every boundary between neighbours rounds to nearest, ties to even', () => {
    const values = toFloat32(allBytes, dtype);
    const probes: number[] = [];
    for (let word = 0; word < infinity[dtype]; word++) {
      const upper = word + 1 === infinity[dtype] ? 2 * values[word]! - values[word - 1]! : values[word + 1]!;
      const [bits] = new Uint32Array(Float32Array.of((values[word]! + upper) / 2).buffer);
      for (const near of [bits! - 1, bits!, bits! + 1]) probes.push(near, (near | 0x80000000) >>> 0);
    }
    const floats = new Float32Array(Uint32Array.from(probes).buffer);
    const words = wordsOf(fromFloat32(floats, dtype));
    const wrong = probes.filter((_, i) => !Number.isNaN(floats[i]) && words[i] !== encodeSlowly(floats[i]!, dtype));
    expect(wrong).toEqual([]);
  });

  test('any float32 rounds as the plain twin does', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (bits) => {
        const value = floatOf(bits);
        const [word] = wordsOf(fromFloat32(value, dtype));
        if (Number.isNaN(value[0])) return Number.isNaN(decoders[dtype](word!));
        return word === encodeSlowly(value[0]!, dtype);
      }),
      { numRuns: runs(2000) },
    );
  });

  test('NaN whose payload does not fit stays NaN', () => {
    for (const bits of [0x7f800001, 0xff800001]) {
      const [word] = wordsOf(fromFloat32(floatOf(bits), dtype));
      expect(decoders[dtype](word!)).toBeNaN();
      expect(word! >> 15).toBe(bits >>> 31);
    }
  });

  test('bytes at an odd offset convert as aligned ones do, and are not written to', () => {
    const shifted = new Uint8Array(allBytes.length + 1);
    shifted.set(allBytes, 1);
    const before = shifted.slice();
    const bits = (values: Float32Array) => new Uint32Array(values.buffer);
    expect(bits(toFloat32(shifted.subarray(1), dtype))).toEqual(bits(toFloat32(allBytes, dtype)));
    expect(shifted).toEqual(before);
  });
});

test('values known by heart', () => {
  expect([...toFloat32(bytesOf(0x3c00, 0xc000, 0x7bff, 0x0001, 0x8000, 0xfc00), 'F16')]).toEqual([
    1,
    -2,
    65504,
    2 ** -24,
    -0,
    Number.NEGATIVE_INFINITY,
  ]);
  expect(wordsOf(fromFloat32(Float32Array.of(65519, 65520, 2 ** -25, 0.1), 'F16'))).toEqual([
    0x7bff, 0x7c00, 0, 0x2e66,
  ]);
  expect(wordsOf(fromFloat32(Float32Array.of(1, 0.1, 3.4e38), 'BF16'))).toEqual([0x3f80, 0x3dcd, 0x7f80]);
});

test('F32 goes through unchanged, bit for bit, into memory of its own', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat(3), (bytes, skip) => {
      const whole = bytes.subarray(0, bytes.length - (bytes.length % 4));
      const shifted = new Uint8Array(whole.length + skip);
      shifted.set(whole, skip);
      const values = toFloat32(shifted.subarray(skip), 'F32');
      expect(fromFloat32(values, 'F32')).toEqual(whole);
      values.fill(1);
      expect(shifted.subarray(skip)).toEqual(whole);
    }),
    { numRuns: runs(100) },
  );
});

test('F64 rounds to the nearest float32', () => {
  fc.assert(
    fc.property(fc.array(fc.double()), (numbers) => {
      const bytes = new Uint8Array(Float64Array.from(numbers).buffer);
      const shifted = new Uint8Array(bytes.length + 1);
      shifted.set(bytes, 1);
      expect(toFloat32(shifted.subarray(1), 'F64')).toEqual(Float32Array.from(numbers.map(Math.fround)));
    }),
    { numRuns: runs(100) },
  );
});

test('a view into a larger array converts only the view', () => {
  const values = Float32Array.of(9, 1, 2, 9).subarray(1, 3);
  for (const dtype of ['F32', 'F16', 'BF16'] as const) {
    expect([...toFloat32(fromFloat32(values, dtype), dtype)]).toEqual([1, 2]);
  }
});

test('dtypes: names, sizes, which are real numbers', () => {
  expect(dtypes.filter(isFloat)).toEqual(['F64', 'F32', 'F16', 'BF16']);
  const sizes = (['F64', 'F32', 'F16', 'BF16', 'I64', 'BOOL', 'C64', 'F8_E4M3'] as const).map(bytesPerElement);
  expect(sizes).toEqual([8, 4, 2, 2, 8, 1, 8, 1]);
  expect(['F16', 'f16', 'toString', 16, undefined].map(isDType)).toEqual([true, false, false, false, false]);
  for (const dtype of ['F4', 'F6_E2M3', 'F6_E3M2'] as const) {
    expect(codeOf(() => bytesPerElement(dtype))).toBe('E_UNSUPPORTED_DTYPE');
  }
});

test('what cannot be converted is refused by name', () => {
  const unreadable = dtypes.filter((dtype: DType) => codeOf(() => toFloat32(new Uint8Array(8), dtype)) !== 'no error');
  expect(unreadable).toEqual(dtypes.filter((dtype) => !isFloat(dtype)));
  const writable = dtypes.filter(
    (dtype: DType) => codeOf(() => fromFloat32(new Float32Array(2), dtype)) === 'no error',
  );
  expect(writable).toEqual(['F32', 'F16', 'BF16']);
  expect(codeOf(() => toFloat32(new Uint8Array(3), 'F16'))).toBe('E_SHAPE_BYTES');
});

test('elementCount multiplies, and refuses what is not a shape', () => {
  expect([elementCount([]), elementCount([3, 4]), elementCount([3, 0])]).toEqual([1, 12, 0]);
  for (const shape of [[-1], [1.5], [Number.NaN], [2 ** 30, 2 ** 30], [2 ** 30, 2 ** 30, 0], [-2, -2]]) {
    expect(codeOf(() => elementCount(shape))).toBe('E_SHAPE_DIMENSIONS');
  }
});
