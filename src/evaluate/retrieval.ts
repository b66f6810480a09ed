// Retrieval by the vectors of CLIP and SigLIP, both ways: of all texts the nearest to an image, of all images the nearest to a text. A
// place is how many others come before the first right one; of equals the lower number comes first. Recall@k is the share of
// places below k.

import { InternalError } from '../base/index.js';
import type { Vectors } from './embeddings.js';

export type Places = {
  /** By image: the texts before the first of its own. */
  readonly images: readonly number[];
  /** By text: the images before its own. */
  readonly texts: readonly number[];
};

/** `imageOf` has the number of each text's image; every image has a text. */
export function placePairs(images: Vectors, texts: Vectors, imageOf: ArrayLike<number>): Places {
  const { width } = images;
  if (texts.width !== width || imageOf.length !== texts.count)
    throw new InternalError('E_INTERNAL_PAIRS', `${texts.count} texts of ${texts.width} for images of ${width}.`);
  const own: number[][] = Array.from({ length: images.count }, () => []);
  for (let t = 0; t < texts.count; t++) own[imageOf[t]!]!.push(t);
  const product = (i: number, t: number): number => {
    let sum = 0;
    for (let k = 0; k < width; k++) sum += images.values[i * width + k]! * texts.values[t * width + k]!;
    return sum;
  };
  // Of each text, the product with its image, and how many images are nearer.
  const nearest = Float64Array.from({ length: texts.count }, (_, t) => product(imageOf[t]!, t));
  const before = new Int32Array(texts.count);
  const places = own.map((right, i) => {
    const products = Float64Array.from({ length: texts.count }, (_, t) => product(i, t));
    for (const [t, value] of products.entries()) {
      if (i !== imageOf[t] && comesBefore(value, i, nearest[t]!, imageOf[t]!)) before[t]!++;
    }
    const best = right.reduce((a, b) => (comesBefore(products[b]!, b, products[a]!, a) ? b : a));
    return products.reduce((sum, value, t) => sum + (comesBefore(value, t, products[best]!, best) ? 1 : 0), 0);
  });
  return { images: places, texts: [...before] };
}

const comesBefore = (value: number, at: number, other: number, place: number): boolean =>
  value > other || (value === other && at < place);
