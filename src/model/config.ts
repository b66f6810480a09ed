// config.json → the numbers that the graphs need. Unknown keys are ignored; values that would change the numbers and that
// we do not implement are refused by name. A family’s own names for LLaMA’s keys are in its file under families/.

import { z } from 'zod';
import { CheckpointError, UnsupportedError } from '../base/portable.js';
import { activationNamed } from './activations.js';
import { type EmbedConfig, readEmbeds } from './embed.js';
import type { Activation, ArchitectureName, FamilySpec } from './families/family.js';
import { FAMILIES } from './families/index.js';
import type { Names } from './families/names.js';
import { TOWERS, trunkFamily } from './families/towers.js';
import type { TrunkName } from './families/towers-spec.js';
import { type ImageConfig, type ImageHead, readImageConfig, withImageKeys } from './image/config.js';
import { malformed, unsupported } from './refuse.js';
import type { Rope } from './rope.js';
import { readLocalRope, readRope } from './rope-config.js';
import { readWidths, type Widths } from './widths.js';

/** Experts instead of one MLP: their number, how many of them each token uses, their width. */
export type Mixture = {
  readonly experts: number;
  readonly perToken: number;
  readonly width: number;
  /** Whether the weights of a token’s experts are scaled to add up to 1. Else they are the softmax over all experts. */
  readonly normalised: boolean;
};

export type ModelConfig = {
  readonly family: string;
  /** The names of its tensors, as a checkpoint may have them. */
  readonly names: Names;
  /** The object in config.json that describes it, where that is not the whole. */
  readonly within: string | undefined;
  readonly architecture: ArchitectureName;
  /** L, the number of blocks; D, the residual's width; V, the vocabulary. */
  readonly blocks: number;
  readonly hidden: number;
  readonly vocabulary: number;
  readonly headDim: number;
  /** Of each block. Most code wants `blockConfig`, which has those of one block. */
  readonly widths: readonly Widths[];
  /** As config.json gives them for all blocks. What stands outside the blocks has these. */
  readonly stated: Widths;
  /** Whether a block has other widths than those, so that only readers of the list load the model. */
  readonly uneven: boolean;
  readonly norm: 'rms' | 'rms+1' | 'layer';
  readonly normEps: number;
  readonly normAffine: boolean;
  /** True: norms before attention and MLP. False: norms after each of them, on the residual, and none before the head. */
  readonly normFirst: boolean;
  readonly finalNorm: boolean;
  readonly activation: Activation;
  readonly bias: { readonly qkv: boolean; readonly o: boolean; readonly mlp: boolean };
  readonly qkNorm: boolean;
  readonly joined: boolean;
  readonly parallel: boolean;
  readonly transposed: boolean;
  /** Whether a token sees only those before it. */
  readonly causal: boolean;
  /** Whether what attention and MLP add to the residual has a factor for each channel. */
  readonly layerScale: boolean;
  /** Whether heads · head_dim need not be the residual’s width for those who load the family. */
  readonly statesHeadDim: boolean;
  /** Whether the MLP of OPT's block is gated. */
  readonly gated: boolean;
  /** What the blocks read where it is images; undefined for tokens. */
  readonly image: ImageConfig | undefined;
  /** What makes one vector of a sample, where the head does that. */
  readonly embeds: EmbedConfig | undefined;
  /** Whether nothing of the trunk reads its last residual. */
  readonly headless: boolean;
  /** The rotation of queries and keys; undefined where positions are learned. */
  readonly rope: Rope | undefined;
  /** The rotation in blocks with a window, where it differs. */
  readonly localRope: Rope | undefined;
  /**
   * `scale` multiplies the products of queries and keys; a `cap` c turns a score s into c·tanh(s/c), as `logitCap` does for
   * the logits.
   */
  readonly attention: { readonly scale: number; readonly cap: number | undefined };
  readonly logitCap: number | undefined;
  /** The width of the embedding’s rows, their factor, and, where positions are learned, the row of position 0. */
  readonly embedding: { readonly width: number; readonly scale: number; readonly positionOffset: number | undefined };
  readonly tied: boolean;
  /** Longest sequence the model was made for, in tokens. */
  readonly maxPositions: number;
  /** Per block: the sliding-window size including the query itself; undefined means full attention. */
  readonly windows: readonly (number | undefined)[];
  /** Per block: its experts, whose number may differ from block to block; undefined where it has one MLP. */
  readonly mixtures: readonly (Mixture | undefined)[];
};

/** A model's config as one block has it. */
export type BlockConfig = ModelConfig & Widths;

const size = z
  .number()
  .int()
  .min(1)
  .max(2 ** 31);
const ropeSettings = z.record(z.string(), z.unknown()).nullish();

/** LLaMA’s keys; the keys of every family are read under these names. */
const schema = z.object({
  hidden_size: size,
  intermediate_size: size.nullish(),
  vocab_size: size,
  num_hidden_layers: size.max(10_000),
  num_attention_heads: size,
  num_key_value_heads: size.nullish(),
  head_dim: size.nullish(),
  max_position_embeddings: size.nullish(),
  original_max_position_embeddings: size.nullish(),
  rms_norm_eps: z.number().positive(),
  rope_theta: z.number().positive().nullish(),
  rope_scaling: ropeSettings,
  rope_parameters: ropeSettings,
  hidden_act: z.string().default('silu'),
  tie_word_embeddings: z.boolean(),
  sliding_window: z.number().int().positive().nullish(),
  max_window_layers: z.number().int().min(0).nullish(),
  layer_types: z.array(z.string()).nullish(),
  num_local_experts: size.max(10_000).nullish(),
  num_experts_per_tok: size.nullish(),
  layer_experts: z.array(z.number().int().min(0).max(10_000)).max(10_000).nullish(),
  moe_intermediate_size: size.nullish(),
  decoder_sparse_step: size.nullish(),
  mlp_only_layers: z.array(z.number().int().min(0)).nullish(),
  word_embed_proj_dim: size.nullish(),
  query_pre_attn_scalar: z.number().positive().nullish(),
  attn_logit_softcapping: z.number().positive().nullish(),
  final_logit_softcapping: z.number().positive().nullish(),
  _remove_final_layer_norm: z.boolean().nullish(),
});
type RawConfig = z.infer<typeof schema>;
type Json = Readonly<Record<string, unknown>>;

/** Keys where null is a value that means "none". For other keys null is the same as absent. */
const NONE: ReadonlySet<string> = new Set(['sliding_window', 'attn_logit_softcapping', 'final_logit_softcapping']);
/** The default of transformers where a family has no other. */
const MAX_POSITIONS = 2048;
/** The first block with a window where a key turns `sliding_window` on; the default of transformers. */
const MAX_WINDOW_LAYERS = 28;

/**
 * Reads what the forward pass needs from a checkpoint's config.json; `trunk` says of which trunk, where it has several.
 * @throws CheckpointError E_CHECKPOINT_CONFIG where a value is missing or malformed
 * @throws UnsupportedError E_UNSUPPORTED_FAMILY, E_UNSUPPORTED_CONFIG where a value needs what we do not implement
 */
export function readModelConfig(whole: Json, trunk?: TrunkName): ModelConfig {
  const family = familyOf(whole, trunk);
  const config = described(whole, family);
  const raw = parse(config, family);
  refuseUnknownValues(raw, config, family);
  const heads = raw.num_attention_heads;
  const kvHeads = raw.num_key_value_heads ?? heads;
  const listed = readWidths(config, { blocks: raw.num_hidden_layers, hidden: raw.hidden_size, heads });
  if (listed) refuseWidths(listed, family);
  if (heads % kvHeads !== 0) malformed('num_key_value_heads', `a divisor of num_attention_heads (${heads})`, kvHeads);
  if (raw.head_dim == null && raw.hidden_size % heads !== 0) {
    malformed(keyOf(family, 'hidden_size'), `a multiple of the number of heads (${heads})`, raw.hidden_size);
  }
  const headDim = raw.head_dim ?? raw.hidden_size / heads;
  const intermediate =
    raw.intermediate_size ??
    listed?.reduce((most, block) => Math.max(most, block.intermediate), 0) ??
    raw.hidden_size * (family.expansion ?? Number.NaN);
  if (Number.isNaN(intermediate)) malformed(keyOf(family, 'intermediate_size'), 'a number', raw.intermediate_size);
  const maxPositions = raw.max_position_embeddings ?? MAX_POSITIONS;
  const normFirst = flag(family.normFirst ?? true, config);
  const positions = family.positions ?? 'rotary';
  const rotary = positions === 'rotary' && !family.image;
  const embeds = readEmbeds(config, family, raw.hidden_size);
  const head = headOf(family, embeds);
  const image = family.image && readImageConfig(config, family.image, head, raw.num_hidden_layers);
  const blocks = raw.num_hidden_layers - (image?.dead ?? 0);
  if (blocks < 1)
    unsupported('vision_feature_layer', family.image?.features, 'a layer after the first block or a later one');
  const stated: Widths = { heads, kvHeads, intermediate };
  const { widths, mixtures, uneven } = withMixtures(listed, stated, mixturesOf(raw, family, config, intermediate));
  const ropeRaw = { ...raw, max_position_embeddings: maxPositions };
  return {
    family: family.modelType,
    names: family.names,
    within: family.within,
    architecture: family.architecture,
    blocks,
    hidden: raw.hidden_size,
    vocabulary: raw.vocab_size,
    headDim,
    widths,
    stated,
    uneven,
    norm: family.norm ?? 'rms',
    normEps: raw.rms_norm_eps,
    normAffine: flag(family.normAffine ?? true, config),
    normFirst,
    finalNorm: normFirst && !family.image?.features && raw._remove_final_layer_norm !== true,
    // A gated MLP of DINOv2 has SiLU whatever hidden_act says.
    activation: flag(family.gated ?? false, config)
      ? 'silu'
      : activationNamed(keyOf(family, 'hidden_act'), raw.hidden_act),
    bias: {
      qkv: flag(family.bias.qkv, config),
      o: flag(family.bias.o, config),
      mlp: flag(family.bias.mlp, config),
    },
    qkNorm: family.qkNorm ?? false,
    joined: family.joined ?? false,
    parallel: flag(family.parallel ?? false, config),
    transposed: family.transposed ?? false,
    causal: family.causal ?? true,
    statesHeadDim: family.statesHeadDim ?? STATES_HEAD_DIM.includes(family.architecture),
    layerScale: family.layerScale === true && !(Number(config.layer_scale_init_value ?? 1) <= 0),
    gated: flag(family.gated ?? false, config),
    image,
    embeds,
    headless: family.head !== undefined && embeds === undefined,
    rope: rotary ? readRope(ropeRaw, config, headDim, family) : undefined,
    localRope: rotary && family.localRope ? readLocalRope(ropeRaw, config, headDim, family) : undefined,
    attention: {
      scale: 1 / Math.sqrt(raw.query_pre_attn_scalar ?? headDim),
      cap: raw.attn_logit_softcapping ?? undefined,
    },
    logitCap: raw.final_logit_softcapping ?? undefined,
    embedding: {
      width: raw.word_embed_proj_dim ?? raw.hidden_size,
      scale: family.scaledEmbedding ? Math.fround(Math.sqrt(raw.hidden_size)) : 1,
      positionOffset: positions === 'rotary' ? undefined : positions.offset,
    },
    // A text tower has no LM head: nothing is stored for it.
    tied: raw.tie_word_embeddings || family.head !== undefined,
    maxPositions,
    windows: windowsOf(raw, family, config),
    mixtures,
  };
}

/** Block files of families whose model code reads `head_dim`. */
const STATES_HEAD_DIM: readonly ArchitectureName[] = ['llama', 'gemma', 'mixture'];

const headOf = ({ head }: FamilySpec, embeds: EmbedConfig | undefined): ImageHead =>
  head === undefined ? 'classifier' : embeds ? 'zero-shot' : 'features';

/** DeciLM (Nemotron 49B and 51B) is LLaMA with a list of widths, `block_configs`. */
const ALIASES: Readonly<Record<string, string>> = { 'nemotron-nas': 'llama' };

/** The family of a config.json. @throws UnsupportedError E_UNSUPPORTED_FAMILY */
export function findFamily(config: Json): FamilySpec {
  const type = String(config.model_type);
  const family = FAMILIES.get(Object.hasOwn(ALIASES, type) ? ALIASES[type]! : type);
  if (family) return family;
  const supported = [...FAMILIES.keys(), ...Object.keys(ALIASES), ...TOWERS.keys()].join(', ');
  throw new UnsupportedError(
    'E_UNSUPPORTED_FAMILY',
    `config.json has model_type ${JSON.stringify(config.model_type)}; supported families: ${supported}.`,
    { got: config.model_type, supported },
  );
}

/** The family of a trunk, or of the whole where it has one. @throws as `trunkFamily` and `findFamily` */
export const familyOf = (config: Json, trunk: TrunkName | undefined): FamilySpec =>
  trunkFamily(config, trunk) ?? findFamily(config);

/** What `family` calls LLaMA's `key`. */
export const keyOf = (family: FamilySpec, key: string): string => family.keys?.[key] ?? key;

/** The part of config.json that describes the language model. */
function described(whole: Json, { within }: FamilySpec): Json {
  if (within === undefined) return whole;
  const part = whole[within];
  if (typeof part !== 'object' || part === null) return malformed(within, 'an object', part);
  // Whether the head is tied is a key of the whole config unless the part has it too; so is quantisation.
  const { tie_word_embeddings } = whole;
  const quantised = Object.fromEntries(QUANTISED.filter((key) => whole[key] != null).map((key) => [key, whole[key]]));
  refuseOtherPart(whole, within, part as Json);
  // What several trunks have in common is a key of the whole config, and other values in their parts count for nothing.
  const shared = whole.projection_dim == null ? {} : { projection_dim: whole.projection_dim };
  return { tie_word_embeddings, ...part, ...shared, ...quantised };
}

/** Old files of CLIP describe a tower twice; transformers follows `<name>_dict`. */
function refuseOtherPart(whole: Json, within: string, part: Json): void {
  const other = whole[`${within}_dict`];
  if (typeof other !== 'object' || other === null) return;
  for (const [key, value] of Object.entries(other)) {
    if (!Object.hasOwn(part, key) || key === 'transformers_version') continue;
    if (JSON.stringify(part[key]) === JSON.stringify(value)) continue;
    unsupported(`${within}_dict.${key}`, value, `${JSON.stringify(part[key])}, as ${within} has it`);
  }
}

function parse(given_: Json, family: FamilySpec): RawConfig {
  const config = family.image ? withImageKeys(given_, family) : given_;
  const given = Object.entries(config).filter(([key, value]) => value != null || (value === null && NONE.has(key)));
  const renamed = Object.entries(family.keys ?? {}).flatMap(([key, own]) => {
    const value = config[own] ?? config[key];
    return value == null ? [] : [[key, value] as const];
  });
  const parsed = schema.safeParse({ ...family.defaults, ...Object.fromEntries([...given, ...renamed]) });
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  const [first, ...rest] = path.map(String);
  const key = [keyOf(family, first!), ...rest].join('.');
  throw new CheckpointError('E_CHECKPOINT_CONFIG', `config.json: ${key}: ${message}.`, { key });
}

const flag = (rule: NonNullable<FamilySpec['parallel']>, config: Json): boolean =>
  typeof rule === 'boolean' ? rule : (config[rule.key] ?? rule.fallback) === true;

function windowsOf(raw: RawConfig, family: FamilySpec, config: Json): readonly (number | undefined)[] {
  const { slidingWindow: rule } = family;
  const all = Array.from({ length: raw.num_hidden_layers }, (_, block) => block);
  const window = raw.sliding_window ?? undefined;
  if (rule === undefined || window === undefined) return all.map(() => undefined);
  if (rule === 'set') return all.map(() => window);
  const types = raw.layer_types;
  if (types && types.length !== all.length)
    malformed('layer_types', `one entry for each of ${all.length} blocks`, types);
  let slides: (block: number) => boolean;
  if ('allBut' in rule) {
    const every = config[rule.key] ?? rule.allBut;
    if (!(typeof every === 'number' && every >= 1)) return malformed(rule.key, 'a number of at least 1', every);
    slides = (block) => (block + 1) % every !== 0;
  } else {
    if (config[rule.key] !== true) return all.map(() => undefined);
    if (rule.inAll) return all.map(() => window);
    const first = raw.max_window_layers ?? MAX_WINDOW_LAYERS;
    slides = (block) => block >= first;
  }
  return all.map((block) => ((types ? types[block] === 'sliding_attention' : slides(block)) ? window : undefined));
}

function mixturesOf(
  raw: RawConfig,
  family: FamilySpec,
  config: Json,
  intermediate: number,
): readonly (Mixture | undefined)[] {
  const { mixture: rule } = family;
  const all = Array.from({ length: raw.num_hidden_layers }, (_, block) => block);
  if (rule === undefined) return all.map(() => undefined);
  const [experts, perToken] = [raw.num_local_experts!, raw.num_experts_per_tok!];
  if (perToken > experts) malformed('num_experts_per_tok', `at most the number of experts (${experts})`, perToken);
  const width = rule.width === undefined ? intermediate : raw[rule.width]!;
  const mixture = { experts, perToken, width, normalised: flag(rule.normalised, config) };
  const [step, single] = rule.someBlocks ? [raw.decoder_sparse_step ?? 1, raw.mlp_only_layers ?? []] : [1, []];
  const mixtures = all.map((block) => ((block + 1) % step === 0 && !single.includes(block) ? mixture : undefined));
  return raw.layer_experts ? withOwnNumbers(mixtures, raw.layer_experts) : mixtures;
}

/**
 * Mixtures with `layer_experts`, the number of experts of each block, 0 where it has none. `layerwise experts` writes this key
 * where blocks have different numbers; transformers does not know it and refuses the shapes.
 */
function withOwnNumbers(
  mixtures: readonly (Mixture | undefined)[],
  numbers: readonly number[],
): readonly (Mixture | undefined)[] {
  if (numbers.length !== mixtures.length)
    malformed('layer_experts', `one number for each of ${mixtures.length} blocks`, `${numbers.length} numbers`);
  return mixtures.map((mixture, block) => {
    const experts = numbers[block]!;
    const [least, most] = mixture ? [mixture.perToken, mixture.experts] : [0, 0];
    if (experts < least || experts > most) {
      const range = mixture ? `${least} (num_experts_per_tok) to ${most} (all)` : '0, because it has one MLP';
      malformed('layer_experts', `for block ${block} ${range}`, experts);
    }
    return mixture && { ...mixture, experts };
  });
}

/** Widths of all blocks, and experts as wide as a list says. */
function withMixtures(
  listed: readonly Widths[] | undefined,
  stated: Widths,
  mixtures: readonly (Mixture | undefined)[],
): Pick<ModelConfig, 'widths' | 'mixtures' | 'uneven'> {
  const even = mixtures.map((mixture) => (mixture ? { ...stated, intermediate: mixture.width } : stated));
  if (!listed) return { widths: even, mixtures, uneven: false };
  return {
    widths: listed,
    mixtures: mixtures.map((mixture, block) => mixture && { ...mixture, width: listed[block]!.intermediate }),
    uneven: listed.some((own, block) => !sameWidths(own, even[block]!)),
  };
}

const sameWidths = (a: Widths, b: Widths): boolean =>
  a.heads === b.heads && a.kvHeads === b.kvHeads && a.intermediate === b.intermediate;

/** Lists of widths in families whose blocks have none of their own. */
function refuseWidths(widths: readonly Widths[], { architecture, modelType }: FamilySpec): void {
  if (architecture === 'convnext')
    unsupported('layer_widths', 'a list', `none in ${modelType}, whose stages have widths`);
  const shared = widths.findIndex(({ heads, kvHeads }) => heads !== kvHeads);
  if (architecture === 'gpt_neox' && shared >= 0)
    unsupported(`layer_widths[${shared}]`, widths[shared], `as many key-value heads as heads in ${modelType}`);
}

/**
 * Keys that mark quantised weights: those of transformers, of MLX, and of compressed-tensors before it adopted the first.
 */
const QUANTISED = ['quantization_config', 'quantization', 'compression_config'] as const;
const UNQUANTISED = 'none: start from the F32, F16 or BF16 checkpoint that it was made from';

/** The name of the method and its bits, where the object has them. */
function describeQuantisation(value: unknown): string {
  const { quant_method: method, bits } = (typeof value === 'object' && value !== null ? value : {}) as Json;
  return `a quantised checkpoint${[method, bits && `${bits} bits`].map((one) => (one ? ` (${one})` : '')).join('')}`;
}

function refuseUnknownValues(raw: RawConfig, config: Json, family: FamilySpec): void {
  for (const key of QUANTISED)
    if (config[key] != null) unsupported(key, describeQuantisation(config[key]), UNQUANTISED);
  for (const [key, values] of Object.entries(family.only ?? {})) {
    const got = config[key] ?? values[0];
    if (!values.includes(got)) unsupported(key, got, values.join(', '));
  }
  const types = new Set(raw.layer_types ?? []);
  types.delete('full_attention');
  if (family.slidingWindow) types.delete('sliding_attention');
  if (types.size > 0) unsupported('layer_types', [...types].join(', '), 'full_attention');
}
