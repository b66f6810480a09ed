// config.json for other widths: as its family says those of all blocks, or as a list; and what goes with a list that goes.

import { UnsupportedError } from '../base/index.js';
import { familyOf, findFamily, keyOf, type ModelConfig } from './config.js';
import { amendConfig } from './config-text.js';
import type { FamilySpec } from './families/family.js';
import { widthOfRatio } from './image/config.js';
import type { Model } from './model.js';
import type { Widths } from './widths.js';

type Json = Readonly<Record<string, unknown>>;

/** Keys of config.json that give each block its widths. */
const LISTS = ['layer_widths', 'block_configs'] as const;

/** How names of classes begin that read `layer_widths` (formats/custom-code.ts). */
export const LISTED_CLASS = 'Layerwise';

/** Widths as records and `layer_widths` have them. */
export const listed = (widths: readonly Widths[]): [heads: number, kvHeads: number, intermediate: number][] =>
  widths.map(({ heads, kvHeads, intermediate }) => [heads, kvHeads, intermediate]);

/** Sizes of all blocks; those that are undefined are not said. */
type PlainSizes = {
  readonly heads?: number | undefined;
  readonly kvHeads?: number | undefined;
  readonly headDim?: number | undefined;
  readonly mlp?: number | undefined;
  readonly experts?: number | undefined;
};

/** Sizes under the keys that a family has for them. */
export function plainSizes(
  family: FamilySpec,
  { heads, kvHeads, headDim, mlp, experts }: PlainSizes,
): Readonly<Record<string, number>> {
  const values: readonly (readonly [string, number | undefined])[] = [
    ['num_attention_heads', heads],
    ['num_key_value_heads', kvHeads],
    ['head_dim', headDim],
    ['intermediate_size', mlp],
    [family.mixture?.width ?? 'intermediate_size', experts],
  ];
  return Object.fromEntries(
    values.flatMap(([key, value]) => (value === undefined ? [] : [[keyOf(family, key), value] as const])),
  );
}

/**
 * What changes in config.json where its lists of widths go, all or all but one: the lists, the code that reads them, and the
 * names under which other programs know the family.
 */
export function withoutLists(
  config: Json,
  kept?: (typeof LISTS)[number],
): { readonly values: Json; readonly remove: readonly string[] } {
  const remove = LISTS.filter((key) => key !== kept);
  const rename = (values: Json) => ({ values, remove: [...remove, 'auto_map'] });
  if (config.block_configs != null) {
    return rename({ model_type: findFamily(config).modelType, architectures: ['LlamaForCausalLM'] });
  }
  const classes = Array.isArray(config.architectures) ? config.architectures.map(String) : [];
  if (kept === 'layer_widths' || !classes.some((name) => name.startsWith(LISTED_CLASS))) return { values: {}, remove };
  return rename({
    architectures: classes.map((name) => (name.startsWith(LISTED_CLASS) ? name.slice(LISTED_CLASS.length) : name)),
  });
}

/** The text of config.json for new widths: the family's own keys where all blocks are alike, else a list. */
export function widthsConfig(
  text: string,
  { config, checkpoint, trunk }: Model,
  widths: readonly Widths[],
  equal: boolean,
): string {
  const family = familyOf(checkpoint.config, trunk);
  const inner = (family.within === undefined ? checkpoint.config : checkpoint.config[family.within]) as Json;
  const plain = withoutLists(inner, equal ? undefined : 'layer_widths');
  const headsChange = widths.some(({ heads }, block) => heads !== config.widths[block]!.heads);
  const headDim = (!equal || headsChange) && inner.head_dim == null ? config.headDim : undefined;
  const sizes = equal ? changedSizes(config, inner, widths) : {};
  return amendConfig(text, {
    within: family.within,
    values: {
      ...plain.values,
      ...(equal ? {} : { layer_widths: listed(widths) }),
      ...(hasRatio(family)
        ? ratioSizes(config, family, { ...sizes, headDim })
        : plainSizes(family, { ...sizes, headDim })),
    },
    remove: plain.remove,
  });
}

/** Whether config.json says the width of MLPs as a multiple of the residual's (DINOv2). */
const hasRatio = ({ defaults }: FamilySpec): boolean => defaults.mlp_ratio !== undefined;

function ratioSizes(config: ModelConfig, family: FamilySpec, { mlp, ...sizes }: PlainSizes): Json {
  return { ...plainSizes(family, sizes), ...(mlp === undefined ? {} : { mlp_ratio: mlp / leastMlp(config) }) };
}

/** The width of DINOv2's MLP for a ratio of 1. */
const leastMlp = ({ hidden, gated }: ModelConfig): number => widthOfRatio(hidden, 1, gated);

/**
 * Refuses equal widths of MLPs that a plain config.json cannot say, where they are multiples of `multiple`: DINOv2's ratio is a
 * whole number for transformers; ConvNeXt has four times the width of a stage; SigLIP pools with an MLP as wide as the blocks';
 * a block that nothing reads stays as wide as it is.
 * @throws UnsupportedError E_UNSUPPORTED_CUT
 */
export function requirePlainMlp({ config, checkpoint, trunk, tensorNames }: Model, multiple: number): void {
  const { family, image } = config;
  const refuse = (why: string, next: string): never => {
    throw new UnsupportedError('E_UNSUPPORTED_CUT', `--widths equal: ${why} ${next}`, { family });
  };
  if (tensorNames.image?.pooling !== undefined) {
    const why = `a ${family} pools with an MLP of intermediate_size, which is not cut, so config.json cannot say another width for the blocks.`;
    refuse(why, 'Use --widths free, which Layerwise itself reads, or --units heads.');
  }
  if (!image || !hasRatio(familyOf(checkpoint.config, trunk))) return;
  const least = leastMlp(config);
  const { intermediate } = config.stated;
  const even = Array.from({ length: Math.ceil(intermediate / least) }, (_, i) => i + 1).every(
    (ratio) => widthOfRatio(config.hidden, ratio, config.gated) === ratio * least,
  );
  const free = 'or --widths free, which Layerwise itself reads';
  if (!even || intermediate % least !== 0)
    refuse(
      `the widths that ${family}'s mlp_ratio can say are not multiples of one number.`,
      `Use --units heads, ${free}.`,
    );
  if (multiple % least !== 0)
    refuse(
      `config.json of ${family} says the width of its MLPs as a whole multiple (mlp_ratio) of ${least}; --multiple is ${multiple}.`,
      `Use --multiple ${least}, ${free}.`,
    );
}

/** The sizes of blocks that are all alike, where they are not those of before. */
function changedSizes({ widths: before, mixtures }: ModelConfig, inner: Json, widths: readonly Widths[]): PlainSizes {
  const { heads, kvHeads } = widths[0]!;
  const width = (mixture: boolean): number | undefined => {
    const block = mixtures.findIndex((one) => (one !== undefined) === mixture);
    const made = widths[block]?.intermediate;
    return made === before[block]?.intermediate ? undefined : made;
  };
  const shared = kvHeads !== heads || inner.num_key_value_heads != null;
  return {
    ...(heads === before[0]!.heads ? {} : { heads, ...(shared ? { kvHeads } : {}) }),
    mlp: width(false),
    experts: width(true),
  };
}
