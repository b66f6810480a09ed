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
  /** What SigLIP pools with, where it does. */
  readonly pooling: string | undefined;
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
    pooling: spec.pool === 'attention' && head === 'zero-shot' ? `${base}head` : undefined,
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
  const one = spec.flat ? [] : [1];
  const across = image.head === 'distilled' ? config.hidden : pooledWidth(config);
  return [
    [`${names.patches}.weight`, [before, channels, patch, patch]],
    ...(spec.patchBias ? ([[`${names.patches}.bias`, [before]]] as [string, readonly number[]][]) : []),
    ...names.tokens.map((name): [string, readonly number[]] => [name, [...one, ...one, before]]),
    ...(names.positions
      ? ([[names.positions, [...one, tokensOf(image) + table[0] * table[1], before]]] as [string, readonly number[]][])
      : []),
    ...(names.stemNorm ? norm(names.stemNorm, before) : []),
    ...(image.head === 'features' ? [] : norm(names.finalNorm, config.hidden)),
    ...(names.pooling === undefined ? [] : poolingTensors(names.pooling, config)),
    ...names.heads.flatMap((head): [string, readonly number[]][] => [
      [`${head}.weight`, [config.vocabulary, across]],
      [`${head}.bias`, [config.vocabulary]],
    ]),
  ];
}

/** Names and shapes of what SigLIP pools with: attention of one query to all rows, and an MLP. */
function poolingTensors(
  module: string,
  { hidden: D, stated: { intermediate: F } }: ModelConfig,
): [name: string, shape: readonly number[]][] {
  const shapes: Readonly<Record<string, readonly number[]>> = {
    probe: [1, 1, D],
    'attention.in_proj_weight': [3 * D, D],
    'attention.in_proj_bias': [3 * D],
    'attention.out_proj.weight': [D, D],
    'attention.out_proj.bias': [D],
    'layernorm.weight': [D],
    'layernorm.bias': [D],
    'mlp.fc1.weight': [F, D],
    'mlp.fc1.bias': [F],
    'mlp.fc2.weight': [D, F],
    'mlp.fc2.bias': [D],
  };
  return Object.entries(shapes).map(([name, shape]) => [`${module}.${name}`, shape]);
}
