// Places of pairs against sorting, and their ties.

import { expect, test } from 'vitest';
import { createRng } from '../../src/base/index.js';
import { placePairs } from '../../src/evaluate/index.js';

const vectorsOf = (rows: readonly (readonly number[])[]) => ({
  count: rows.length,
  width: rows[0]!.length,
  values: Float32Array.from(rows.flat()),
});

test('places are those of sorted products, for images with several texts', () => {
  const rng = createRng(5);
  // Whole numbers, so that products are often equal.
  const draw = (count: number) => Array.from({ length: count }, () => Array.from({ length: 3 }, () => rng.below(4)));
  for (let round = 0; round < 30; round++) {
    const images = draw(6);
    const imageOf = [0, 0, 1, 2, 2, 2, 3, 4, 5, 5];
    const texts = draw(imageOf.length);
    const product = (i: number, t: number): number => images[i]!.reduce((sum, x, k) => sum + x * texts[t]![k]!, 0);
    const sorted = (count: number, of: (at: number) => number): number[] =>
      Array.from({ length: count }, (_, at) => at).sort((a, b) => of(b) - of(a) || a - b);
    const places = placePairs(vectorsOf(images), vectorsOf(texts), imageOf);
    expect(places).toEqual({
      images: images.map((_, i) => sorted(texts.length, (t) => product(i, t)).findIndex((t) => imageOf[t] === i)),
      texts: texts.map((_, t) => sorted(images.length, (i) => product(i, t)).indexOf(imageOf[t]!)),
    });
  }
});
