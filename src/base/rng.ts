// Seeded random numbers: xoshiro128** (Blackman, Vigna 2018), seeded through splitmix32. The same seed gives the same
// numbers on every machine. Layerwise has no other source of randomness.

export interface Rng {
  /** Uniform integer in [0, 2³²). */
  uint32(): number;
  /** Uniform real in [0, 1) with 32 bits. */
  uniform(): number;
  /** Uniform integer in [0, bound), without modulo bias. */
  below(bound: number): number;
}

/** Returns a generator for `seed`, an integer; equal seeds give equal sequences. */
export function createRng(seed: number): Rng {
  let mix = seed >>> 0;
  const splitmix = (): number => {
    mix = (mix + 0x9e3779b9) >>> 0;
    let z = mix;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  };
  let [a, b, c, d] = [splitmix(), splitmix(), splitmix(), splitmix()];

  const uint32 = (): number => {
    const x = Math.imul(b, 5);
    const result = Math.imul((x << 7) | (x >>> 25), 9) >>> 0;
    const t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = (d << 11) | (d >>> 21);
    return result;
  };
  const below = (bound: number): number => {
    const limit = 2 ** 32 - (2 ** 32 % bound);
    for (;;) {
      const x = uint32();
      if (x < limit) return x % bound;
    }
  };
  return { uint32, uniform: () => uint32() / 2 ** 32, below };
}

/** `count` numbers in a seeded random order (Fisher–Yates). */
export function shuffled(count: number, seed: number): readonly number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  const rng = createRng(seed);
  for (let i = count - 1; i > 0; i--) {
    const j = rng.below(i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
