// test/golden/images/tiles.json, made by scripts/golden/tiles.py, and the images that follow from its rule.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Image } from '../src/images/index.js';
import { lcg, type VisionGolden } from './vision-golden.js';

type Pixels = readonly [
  width: number,
  height: number,
  rows: number,
  columns: number,
  pixels: string,
  tensor: string,
  most: number,
  mean: number,
];

type TilesGolden = {
  readonly pixels: Readonly<Record<string, { readonly config: object; readonly images: readonly Pixels[] }>>;
  readonly tokenizer: object;
  readonly special: object;
  readonly template: string;
  readonly dialogues: readonly (readonly [
    kind: string,
    config: string,
    width: number,
    height: number,
    ids: readonly number[],
  ])[];
  readonly model: Omit<VisionGolden, 'runs'>;
  /** The mean loss of the answer's tokens, and the first 40 logits of the rows that predict its first and its last. */
  readonly answers: readonly (readonly [
    config: string,
    width: number,
    height: number,
    nll: number,
    logits: readonly (readonly number[])[],
  ])[];
};

export const tilesGolden = JSON.parse(
  readFileSync(fileURLToPath(new URL('./golden/images/tiles.json', import.meta.url)), 'utf8'),
) as TilesGolden;

/** Noise over a ramp. */
export function picture(width: number, height: number): Image {
  const u = lcg(width);
  const pixels = new Uint8Array(width * height * 3);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (const ramp of [5 * x, 7 * y, 3 * x + 2 * y]) {
        pixels[at++] = Math.trunc((Math.floor((u() + 1) * 128) + (ramp % 256)) / 2);
      }
    }
  }
  return { width, height, pixels };
}
