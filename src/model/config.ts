// config.json → the numbers the graphs need. Keys we do not know are ignored; values that would change the numbers and that
// we do not implement are refused by name. A family's other names for LLaMA's keys are in its file under families/.

import { z } from 'zod';
import { CheckpointError, UnsupportedError } from '../base/index.js';
import type { Activation, ShapeName } from './families/family.js';
import { FAMILIES, type FamilySpec } from './families/index.js';
import { malformed, unsupported } from './refuse.js';
import type { Rope } from './rope.js';
import { readRope } from './rope-config.js';

export type ModelConfig = {
  readonly family: string;
  readonly shape: ShapeName;
  /** L, the number of blocks; D, the residual's width; F, the MLP's width; V, the vocabulary. */
  readonly blocks: number;
  readonly hidden: number;
  readonly intermediate: number;
  readonly vocabulary: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly norm: 'rms' | 'layer';
  readonly normEps: number;
  readonly normAffine: boolean;
  /** Norms before attention and MLP; else after each of them, on the residual, and none before the head. */
  readonly normFirst: boolean;
  readonly finalNorm: boolean;
  readonly activation: Activation;
  readonly bias: { readonly qkv: boolean; readonly o: boolean; readonly mlp: boolean };
  readonly qkNorm: boolean;
  readonly joined: boolean;
  readonly parallel: boolean;
  readonly transposed: boolean;
  /** How queries and keys turn; undefined where positions are learned. */
  readonly rope: Rope | undefined;
  /** Width of the embedding's rows; the row of position 0 where positions are learned. */
  readonly embedding: { readonly width: number; readonly positionOffset: number | undefined };
  readonly tied: boolean;
  /** Longest sequence the model was made for, in tokens. */
  readonly maxPositions: number;
  /** Of each block: how many tokens a query sees, itself the last of them; undefined where it sees all. */
  readonly windows: readonly (number | undefined)[];
};

const size = z
  .number()
  .int()
  .min(1)
  .max(2 ** 31);
const ropeSettings = z.record(z.string(), z.unknown()).nullish();

/** LLaMA's keys, under which every family's are read. */
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
  rms_norm_eps: z.number().positive().nullish(),
  rope_theta: z.number().positive().nullish(),
  rope_scaling: ropeSettings,
  rope_parameters: ropeSettings,
  hidden_act: z.string().nullish(),
  tie_word_embeddings: z.boolean().nullish(),
  sliding_window: z.number().int().positive().nullish(),
  max_window_layers: z.number().int().min(0).nullish(),
  layer_types: z.array(z.string()).nullish(),
  word_embed_proj_dim: size.nullish(),
  _remove_final_layer_norm: z.boolean().nullish(),
  quantization_config: z.unknown().optional(),
});
type RawConfig = z.infer<typeof schema>;
type Json = Readonly<Record<string, unknown>>;

/** What transformers assumes where a family says nothing else. */
const MAX_POSITIONS = 2048;
/** Blocks before this one see all, where `sliding_window` is in force by a key; transformers' own default. */
const MAX_WINDOW_LAYERS = 28;

const ACTIVATIONS: ReadonlyMap<string, Activation> = new Map([
  ['silu', 'silu'],
  ['swish', 'silu'],
  ['gelu', 'gelu'],
  ['gelu_new', 'gelu_tanh'],
  ['gelu_fast', 'gelu_tanh'],
  ['gelu_pytorch_tanh', 'gelu_tanh'],
  ['relu', 'relu'],
]);

/**
 * Reads what the forward pass needs from a checkpoint's config.json.
 * @throws CheckpointError E_CHECKPOINT_CONFIG where a value is missing or malformed
 * @throws UnsupportedError E_UNSUPPORTED_FAMILY, E_UNSUPPORTED_CONFIG where a value needs what we do not implement
 */
export function readModelConfig(config: Json): ModelConfig {
  const family = findFamily(config);
  const raw = parse(config, family);
  refuseUnknownValues(raw, config, family);
  const heads = raw.num_attention_heads;
  const kvHeads = raw.num_key_value_heads ?? heads;
  if (heads % kvHeads !== 0) malformed('num_key_value_heads', `a divisor of num_attention_heads (${heads})`, kvHeads);
  if (raw.head_dim == null && raw.hidden_size % heads !== 0) {
    malformed(keyOf(family, 'hidden_size'), `a multiple of the number of heads (${heads})`, raw.hidden_size);
  }
  const headDim = raw.head_dim ?? raw.hidden_size / heads;
  const intermediate = raw.intermediate_size ?? raw.hidden_size * (family.defaults.intermediate ?? Number.NaN);
  if (Number.isNaN(intermediate)) malformed(keyOf(family, 'intermediate_size'), 'a number', raw.intermediate_size);
  const maxPositions = raw.max_position_embeddings ?? family.defaults.maxPositions ?? MAX_POSITIONS;
  const normFirst = flag(family.normFirst ?? true, config);
  const positions = family.positions ?? 'rotary';
  return {
    family: family.modelType,
    shape: family.shape,
    blocks: raw.num_hidden_layers,
    hidden: raw.hidden_size,
    intermediate,
    vocabulary: raw.vocab_size,
    heads,
    kvHeads,
    headDim,
    norm: family.norm ?? 'rms',
    normEps: raw.rms_norm_eps ?? family.defaults.normEps,
    normAffine: flag(family.normAffine ?? true, config),
    normFirst,
    finalNorm: normFirst && raw._remove_final_layer_norm !== true,
    activation: activationOf(raw, family),
    bias: {
      qkv: flag(family.bias.qkv, config),
      o: flag(family.bias.o, config),
      mlp: flag(family.bias.mlp, config),
    },
    qkNorm: family.qkNorm ?? false,
    joined: family.joined ?? false,
    parallel: flag(family.parallel ?? false, config),
    transposed: family.transposed ?? false,
    rope:
      positions === 'rotary'
        ? readRope({ ...raw, max_position_embeddings: maxPositions }, config, headDim, family)
        : undefined,
    embedding: {
      width: raw.word_embed_proj_dim ?? raw.hidden_size,
      positionOffset: positions === 'rotary' ? undefined : positions.offset,
    },
    tied: raw.tie_word_embeddings ?? family.defaults.tied,
    maxPositions,
    windows: windowsOf(raw, family, config),
  };
}

/** The family of a config.json. @throws UnsupportedError E_UNSUPPORTED_FAMILY */
export function findFamily(config: Json): FamilySpec {
  const family = FAMILIES.get(String(config.model_type));
  if (family) return family;
  const supported = [...FAMILIES.keys()].join(', ');
  throw new UnsupportedError(
    'E_UNSUPPORTED_FAMILY',
    `config.json has model_type ${JSON.stringify(config.model_type)}; supported families: ${supported}.`,
    { got: config.model_type, supported },
  );
}

/** What `family` calls LLaMA's `key`. */
export const keyOf = (family: FamilySpec, key: string): string => family.keys?.[key] ?? key;

function parse(config: Json, family: FamilySpec): RawConfig {
  const renamed = Object.entries(family.keys ?? {}).map(([key, own]) => [key, config[own] ?? config[key]]);
  const parsed = schema.safeParse({ ...config, ...Object.fromEntries(renamed) });
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  const [first, ...rest] = path.map(String);
  const key = [keyOf(family, first!), ...rest].join('.');
  throw new CheckpointError('E_CHECKPOINT_CONFIG', `config.json: ${key}: ${message}.`, { key });
}

const flag = (rule: NonNullable<FamilySpec['parallel']>, config: Json): boolean =>
  typeof rule === 'boolean' ? rule : (config[rule.key] ?? rule.fallback) === true;

function activationOf(raw: RawConfig, family: FamilySpec): Activation {
  const fallback = family.defaults.activation ?? 'silu';
  if (raw.hidden_act == null) return fallback;
  const known = [...ACTIVATIONS.keys()].join(', ');
  return ACTIVATIONS.get(raw.hidden_act) ?? unsupported(keyOf(family, 'hidden_act'), raw.hidden_act, known);
}

function windowsOf(raw: RawConfig, family: FamilySpec, config: Json): readonly (number | undefined)[] {
  const { slidingWindow: rule } = family;
  const all = Array.from({ length: raw.num_hidden_layers }, (_, block) => block);
  const window = raw.sliding_window ?? undefined;
  if (rule === undefined || window === undefined) return all.map(() => undefined);
  if (rule === 'set') return all.map(() => window);
  if (config[rule.key] !== true) return all.map(() => undefined);
  const types = raw.layer_types;
  if (types && types.length !== all.length) malformed('layer_types', `one for each of ${all.length} blocks`, types);
  const first = raw.max_window_layers ?? MAX_WINDOW_LAYERS;
  return all.map((block) => ((types ? types[block] === 'sliding_attention' : block >= first) ? window : undefined));
}

function refuseUnknownValues(raw: RawConfig, config: Json, family: FamilySpec): void {
  if (raw.quantization_config != null) {
    unsupported('quantization_config', 'a quantised checkpoint', 'none: start from the F32, F16 or BF16 checkpoint');
  }
  for (const [key, values] of Object.entries(family.only ?? {})) {
    const got = config[key] ?? values[0];
    if (!values.includes(got)) unsupported(key, got, values.join(', '));
  }
  const types = new Set(raw.layer_types ?? []);
  types.delete('full_attention');
  if (family.slidingWindow) types.delete('sliding_attention');
  if (types.size > 0) unsupported('layer_types', [...types].join(', '), 'full_attention');
}
