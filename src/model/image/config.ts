// What config.json says about images: their size, their patches, the classes, and how many patches an image has in each block. Only
// ConvNeXt's change from block to block.

import type { FamilySpec } from '../families/family.js';
import type { ImageSpec } from '../families/image-spec.js';
import { malformed, unsupported } from '../refuse.js';

type Json = Readonly<Record<string, unknown>>;

/** Blocks of one width, at one size of the image. */
export type Stage = { readonly first: number; readonly blocks: number; readonly width: number };

/**
 * What the head gives. `classifier`: logits of the classes. `distilled`: the mean of those of DeiT's two heads. `zero-shot`: products
 * with a matrix of embedded texts. `features`: nothing; another trunk reads the residual.
 */
export type ImageHead = 'classifier' | 'distilled' | 'zero-shot' | 'features';

export type ImageConfig = {
  readonly spec: ImageSpec;
  /** Of the images that come in, in pixels. */
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  /** The side of a patch, in pixels. */
  readonly patch: number;
  /** Rows and columns of patches that the table of positions is for. */
  readonly table: readonly [rows: number, columns: number];
  readonly head: ImageHead;
  /** The name of each class; empty where there are no classes. */
  readonly labels: readonly string[];
  /** None but for ConvNeXt. */
  readonly stages: readonly Stage[];
  /** After how many blocks another trunk reads the residual. Empty where a head reads it. */
  readonly features: readonly number[];
  /** How many blocks follow the last that is read. They are in the file, and nothing computes with them. */
  readonly dead: number;
};

/** Keys of image models under LLaMA's names, with what follows from others. */
export function withImageKeys(config: Json, family: FamilySpec): Json {
  const classes = family.head === undefined ? labelsOf(config).length : 1;
  const named = { vocab_size: Math.max(1, classes), tie_word_embeddings: false };
  if (!family.image?.staged) {
    const { hidden_size: hidden = family.defaults.hidden_size, mlp_ratio: ratio = family.defaults.mlp_ratio } = config;
    if (ratio === undefined || typeof hidden !== 'number') return { ...named, ...config };
    if (typeof ratio !== 'number') return malformed('mlp_ratio', 'a number', ratio);
    return { ...named, intermediate_size: widthOfRatio(hidden, ratio, config.use_swiglu_ffn === true), ...config };
  }
  const { widths, depths } = stagesOf(config);
  return {
    ...named,
    ...config,
    hidden_size: widths.at(-1)!,
    intermediate_size: 4 * widths.at(-1)!,
    num_hidden_layers: depths.reduce((a, b) => a + b, 0),
    num_attention_heads: 1,
  };
}

/** The width of DINOv2's MLPs. A gated one has two thirds of it, in multiples of eight. */
export function widthOfRatio(hidden: number, ratio: number, gated: boolean): number {
  const times = Math.trunc(hidden * ratio);
  return gated ? Math.trunc((Math.trunc((times * 2) / 3) + 7) / 8) * 8 : times;
}

function stagesOf(config: Json): { readonly widths: readonly number[]; readonly depths: readonly number[] } {
  const read = (key: string, fallback: readonly number[]): readonly number[] => {
    const value = config[key] ?? fallback;
    const whole =
      Array.isArray(value) &&
      value.length > 0 &&
      value.every((one) => Number.isInteger(one) && one >= 1 && one < 2 ** 20);
    return whole ? (value as number[]) : malformed(key, 'a list of whole numbers', value);
  };
  const widths = read('hidden_sizes', [96, 192, 384, 768]);
  const depths = read('depths', [3, 3, 9, 3]);
  if (widths.length !== depths.length) malformed('depths', `${widths.length} numbers, as hidden_sizes has`, depths);
  return { widths, depths };
}

/** Counts blocks from the start, as `features` of a spec may not. */
function readFeatures({ features }: ImageSpec, blocks: number): readonly number[] | undefined {
  return features?.map((at) => {
    const after = at < 0 ? blocks + 1 + at : at;
    const known = Number.isInteger(at) && after >= 0 && after <= blocks;
    return known ? after : malformed('vision_feature_layer', `a layer of a trunk of ${blocks} blocks`, at);
  });
}

/** `blocks` are those in the file. */
export function readImageConfig(config: Json, spec: ImageSpec, head: ImageHead, blocks: number): ImageConfig {
  const pair = (key: string, fallback: number): readonly [number, number] => {
    const value = config[key] ?? fallback;
    const both = Array.isArray(value) ? value : [value, value];
    const whole = both.length === 2 && both.every((one) => Number.isInteger(one) && one >= 1 && one <= 16_384);
    return whole ? (both as [number, number]) : malformed(key, 'a size in pixels, or two', value);
  };
  const [height, width] = pair('image_size', 224);
  const [patch, across] = pair('patch_size', spec.patch ?? (spec.staged ? 4 : 16));
  if (patch !== across) unsupported('patch_size', [patch, across], 'square patches');
  const channels = config.num_channels ?? 3;
  if (channels !== 3) unsupported('num_channels', channels, '3');
  const table = [Math.floor(height / patch), Math.floor(width / patch)] as const;
  if (table[0] < 1 || table[1] < 1) malformed('image_size', `at least a patch of ${patch} pixels`, [height, width]);
  let first = 0;
  const stages: Stage[] = [];
  if (spec.staged) {
    const { widths, depths } = stagesOf(config);
    for (const [i, blocks] of depths.entries()) {
      stages.push({ first, blocks, width: widths[i]! });
      first += blocks;
    }
  }
  const features = readFeatures(spec, blocks);
  return {
    ...{ spec, height, width, channels: 3, patch, table, stages },
    head,
    labels: head === 'classifier' ? labelsOf(config) : [],
    features: features ?? [],
    dead: features ? blocks - Math.max(...features) : 0,
  };
}

/** The names of the classes, in the order of the logits. */
function labelsOf({ id2label, num_labels: count }: Json): readonly string[] {
  if (id2label == null) {
    if (count == null) return ['LABEL_0', 'LABEL_1'];
    if (typeof count !== 'number' || !Number.isInteger(count) || count < 1 || count > 1e6)
      return malformed('num_labels', 'a whole number', count);
    return Array.from({ length: count }, (_, i) => `LABEL_${i}`);
  }
  if (typeof id2label !== 'object') return malformed('id2label', 'an object of names by number', id2label);
  const names = id2label as Readonly<Record<string, unknown>>;
  return Array.from({ length: Object.keys(names).length }, (_, i) => {
    const name = names[`${i}`];
    return typeof name === 'string' ? name : malformed('id2label', `a name for class ${i}`, name);
  });
}

/** The stage of a block. */
export const stageOf = ({ stages }: ImageConfig, block: number): number =>
  stages.findLastIndex(({ first }) => first <= block);

export type Rows = { readonly rows: number; readonly columns: number };

/** Rows and columns of the image's patches as `block` computes with them. */
export function gridOf(image: ImageConfig, block: number): Rows {
  let [rows, columns] = [Math.floor(image.height / image.patch), Math.floor(image.width / image.patch)];
  for (let stage = stageOf(image, block); stage > 0; stage--)
    [rows, columns] = [Math.floor(rows / 2), Math.floor(columns / 2)];
  return { rows, columns };
}

/** What stands before the patches: the class token and others. */
export const tokensOf = ({ spec }: ImageConfig): number => spec.tokens.length;
