// How many rows a sample's residual has before and after each block, and how wide they are; and a model's config for images of another
// size. Only ConvNeXt's shapes change from block to block.

import { OptionError } from '../../base/portable.js';
import type { ModelConfig } from '../config.js';
import { gridOf, stageOf, tokensOf } from './config.js';

/** The config for images of another size. @throws OptionError E_OPTION_IMAGE_SIZE where the model cannot read them */
export function withImageSize(config: ModelConfig, height: number, width: number, interpolate = false): ModelConfig {
  const { image } = config;
  if (!image || (image.height === height && image.width === width)) return config;
  const { patch, spec, table } = image;
  const refuse = (why: string): never => {
    throw new OptionError(
      'E_OPTION_IMAGE_SIZE',
      `Images of ${width}×${height} pixels: ${why}. Change the size in preprocessor_config.json.`,
      { width, height },
    );
  };
  const smallest = patch * 2 ** Math.max(0, image.stages.length - 1);
  if (height < smallest || width < smallest)
    refuse(`a ${config.family} model needs ${smallest} pixels on each side at least`);
  if (!spec.staged && !spec.partial && (height % patch !== 0 || width % patch !== 0))
    refuse(`sides have to be multiples of the patch, ${patch} pixels`);
  if (spec.positions && !spec.interpolated && !interpolate)
    refuse(`the model has positions for ${table[1] * patch}×${table[0] * patch}`);
  return { ...config, image: { ...image, height, width } };
}

export type Shape = { readonly length: number; readonly width: number };

/** The residual after `block`, or before block 0 for −1, of a sample that has `length` rows before block 0. */
export function residualShape(config: ModelConfig, block: number, length: number): Shape {
  const { image } = config;
  if (!image) return { length, width: config.hidden };
  const at = Math.max(0, block);
  const { rows, columns } = gridOf(image, at);
  return { length: tokensOf(image) + rows * columns, width: widthAt(config, at) };
}

/** The residual's width in a block. */
export const widthAt = ({ hidden, image }: ModelConfig, block: number): number =>
  image && image.stages.length > 0 ? image.stages[stageOf(image, block)]!.width : hidden;

/** Whether a block first halves the image's sides. */
export const halvesImage = ({ image }: ModelConfig, block: number): boolean =>
  image !== undefined && block > 0 && image.stages.some(({ first }) => first === block);
