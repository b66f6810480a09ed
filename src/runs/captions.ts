// Sets of images with captions.

import { OptionError } from '../base/index.js';
import type { ImageItem, ImageSet } from '../images/index.js';
import { optionCode } from './checks.js';

export type Pairs = {
  readonly set: ImageSet;
  readonly items: readonly ImageItem[];
  readonly texts: readonly string[];
  /** By text, its image's place among the items. */
  readonly imageOf: Int32Array;
};

/** @throws OptionError E_OPTION_… where an image has none */
export function readPairs(option: string, path: string, set: ImageSet): Pairs {
  const items = set.items.filter(({ image }) => image !== undefined);
  const bare = items.find(({ captions }) => captions === undefined || captions.length === 0);
  if (items.length < 2 || bare) {
    const got = bare ? `none for ${bare.name}` : `${items.length} images`;
    throw new OptionError(
      optionCode(option),
      `--${option}: ${path}: expected two or more images, each with "caption" or "captions" (or a .txt beside it in a tar); got ${got}.`,
      { option, got },
    );
  }
  const texts = items.flatMap(({ captions }) => captions!);
  return { set, items, texts, imageOf: Int32Array.from(items.flatMap(({ captions }, at) => captions!.map(() => at))) };
}
