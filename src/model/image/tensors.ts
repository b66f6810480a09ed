// Names and shapes of what stands before an image model's blocks and after them.

import type { ModelConfig } from '../config.js';
import type { Names } from '../families/names.js';
import { type ImageConfig, tokensOf } from './config.js';

/** Names of modules, without `.weight`; of tokens and positions, names of tensors. */
export type ImageNames = {
  readonly patches: string;
  readonly tokens: readonly string[];
  readonly positions: string | undefined;
  readonly stemNorm: string | undefined;
  readonly finalNorm: string;
  /** The classifier, or DeiT's two. */
  readonly heads: readonly string[];
};

/** The two classifiers of a distilled DeiT, which read its two tokens. */
const DISTILLED = ['cls_classifier', 'distillation_classifier'] as const;

export function imageNamesOf({ spec, head }: ImageConfig, base: string, names: Names): ImageNames {
  return {
    patches: base + spec.patches,
    tokens: spec.tokens.map((name) => base + name),
    positions: spec.positions && base + spec.positions,
    stemNorm: spec.stemNorm && base + spec.stemNorm.module,
    finalNorm: base + names.finalNorm,
    heads: head === 'distilled' ? DISTILLED : head === 'classifier' ? [names.head[0]!] : [],
  };
}

/** Whether a checkpoint has the heads of a distilled DeiT. transformers decides by `architectures`; the tensors are what counts. */
export const isDistilled = (has: (name: string) => boolean): boolean =>
  DISTILLED.every((name) => has(`${name}.weight`));

/** The width of the row that the head reads. */
export const pooledWidth = ({ hidden, image }: ModelConfig): number =>
  image!.head === 'distilled' || image!.spec.pool === 'first+mean' ? 2 * hidden : hidden;

/** Names and shapes of all tensors outside the blocks. */
export function imageTensors(config: ModelConfig, names: ImageNames): [name: string, shape: readonly number[]][] {
  const image = config.image!;
  const { spec, patch, channels, table, stages } = image;
  const before = stages[0]?.width ?? config.hidden;
  const norm = (module: string, width: number): [string, readonly number[]][] => [
    [`${module}.weight`, [width]],
    [`${module}.bias`, [width]],
  ];
  const across = image.head === 'distilled' ? config.hidden : pooledWidth(config);
  return [
    [`${names.patches}.weight`, [before, channels, patch, patch]],
    ...(spec.patchBias ? ([[`${names.patches}.bias`, [before]]] as [string, readonly number[]][]) : []),
    ...names.tokens.map((name): [string, readonly number[]] => [name, [1, 1, before]]),
    ...(names.positions
      ? ([[names.positions, [1, tokensOf(image) + table[0] * table[1], before]]] as [string, readonly number[]][])
      : []),
    ...(names.stemNorm ? norm(names.stemNorm, before) : []),
    ...norm(names.finalNorm, config.hidden),
    ...names.heads.flatMap((head): [string, readonly number[]][] => [
      [`${head}.weight`, [config.vocabulary, across]],
      [`${head}.bias`, [config.vocabulary]],
    ]),
  ];
}
