// config.json → the numbers the block graph needs. Keys we do not know are ignored; values that would change the numbers
// and that we do not implement are refused by name. Both ways of writing rope settings are read: `rope_theta` +
// `rope_scaling` (transformers 4) and `rope_parameters` (transformers 5).

import { z } from 'zod';
import { CheckpointError, UnsupportedError } from '../base/index.js';
import { FAMILIES, type FamilySpec } from './families/index.js';
import type { Rope, RopeScaling } from './rope.js';

export type ModelConfig = {
  readonly family: string;
  /** L, the number of blocks; D, the residual's width; F, the MLP's width; V, the vocabulary. */
  readonly blocks: number;
  readonly hidden: number;
  readonly intermediate: number;
  readonly vocabulary: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly normEps: number;
  readonly rope: Rope;
  readonly bias: { readonly qkv: boolean; readonly o: boolean; readonly mlp: boolean };
  readonly qkNorm: boolean;
  readonly tied: boolean;
  /** Longest sequence the model was made for, in tokens. */
  readonly maxPositions: number;
  /** Tokens a query may look back on, where attention is windowed; longer sequences are refused. */
  readonly slidingWindow: number | undefined;
};

const size = z
  .number()
  .int()
  .min(1)
  .max(2 ** 31);
const ropeSettings = z.record(z.string(), z.unknown()).nullish();

const schema = z.object({
  hidden_size: size,
  intermediate_size: size,
  vocab_size: size,
  num_hidden_layers: size.max(10_000),
  num_attention_heads: size,
  num_key_value_heads: size.nullish(),
  head_dim: size.nullish(),
  max_position_embeddings: size.default(2048),
  rms_norm_eps: z.number().positive().optional(),
  rope_theta: z.number().positive().nullish(),
  rope_scaling: ropeSettings,
  rope_parameters: ropeSettings,
  hidden_act: z.string().default('silu'),
  tie_word_embeddings: z.boolean().nullish(),
  sliding_window: z.number().int().positive().nullish(),
  layer_types: z.array(z.string()).nullish(),
  partial_rotary_factor: z.number().nullish(),
  quantization_config: z.unknown().optional(),
});
type RawConfig = z.infer<typeof schema>;

/**
 * Reads what the forward pass needs from a checkpoint's config.json.
 * @throws CheckpointError E_CHECKPOINT_CONFIG where a value is missing or malformed
 * @throws UnsupportedError E_UNSUPPORTED_FAMILY, E_UNSUPPORTED_CONFIG where a value needs what we do not implement
 */
export function readModelConfig(config: Readonly<Record<string, unknown>>): ModelConfig {
  const family = FAMILIES.get(String(config.model_type));
  if (!family) {
    const supported = [...FAMILIES.keys()].join(', ');
    throw new UnsupportedError(
      'E_UNSUPPORTED_FAMILY',
      `config.json has model_type ${JSON.stringify(config.model_type)}; supported families: ${supported}.`,
      { got: config.model_type, supported },
    );
  }
  const parsed = schema.safeParse(config);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    const key = issue.path.map(String).join('.');
    throw new CheckpointError('E_CHECKPOINT_CONFIG', `config.json: ${key}: ${issue.message}.`, { key });
  }
  const raw = parsed.data;
  refuseUnknownValues(raw, family);

  const heads = raw.num_attention_heads;
  const kvHeads = raw.num_key_value_heads ?? heads;
  if (heads % kvHeads !== 0) malformed('num_key_value_heads', `a divisor of num_attention_heads (${heads})`, kvHeads);
  if (raw.head_dim == null && raw.hidden_size % heads !== 0) {
    malformed('hidden_size', `a multiple of num_attention_heads (${heads})`, raw.hidden_size);
  }
  const headDim = raw.head_dim ?? raw.hidden_size / heads;
  if (headDim % 2 !== 0) malformed('head_dim', 'an even number, as the rotation needs', headDim);
  const flag = (rule: boolean | { readonly key: string }): boolean =>
    typeof rule === 'boolean' ? rule : config[rule.key] === true;
  return {
    family: family.modelType,
    blocks: raw.num_hidden_layers,
    hidden: raw.hidden_size,
    intermediate: raw.intermediate_size,
    vocabulary: raw.vocab_size,
    heads,
    kvHeads,
    headDim,
    normEps: raw.rms_norm_eps ?? family.defaults.normEps,
    rope: readRope(raw, family),
    bias: { qkv: flag(family.bias.qkv), o: flag(family.bias.o), mlp: flag(family.bias.mlp) },
    qkNorm: family.qkNorm,
    tied: raw.tie_word_embeddings ?? family.defaults.tied,
    maxPositions: raw.max_position_embeddings,
    slidingWindow: slidingWindow(raw, family, config),
  };
}

function slidingWindow(raw: RawConfig, family: FamilySpec, config: Readonly<Record<string, unknown>>) {
  const rule = family.slidingWindow;
  if (rule === 'none' || raw.sliding_window == null) return undefined;
  return rule === 'set' || config[rule.key] === true ? raw.sliding_window : undefined;
}

function refuseUnknownValues(raw: RawConfig, family: FamilySpec): void {
  if (raw.hidden_act !== 'silu' && raw.hidden_act !== 'swish') unsupported('hidden_act', raw.hidden_act, 'silu');
  if (raw.partial_rotary_factor != null && raw.partial_rotary_factor !== 1) {
    unsupported('partial_rotary_factor', raw.partial_rotary_factor, '1');
  }
  if (raw.quantization_config != null) {
    unsupported('quantization_config', 'a quantised checkpoint', 'none: start from the F32, F16 or BF16 checkpoint');
  }
  // With `sliding_attention` layers named, the window holds; slidingWindow() then refuses sequences that reach past it.
  const types = new Set(raw.layer_types ?? []);
  types.delete('full_attention');
  if (family.slidingWindow !== 'none') types.delete('sliding_attention');
  if (types.size > 0) unsupported('layer_types', [...types].join(', '), 'full_attention');
}

function readRope(raw: RawConfig, family: FamilySpec): Rope {
  const settings: Record<string, unknown> = { ...raw.rope_scaling, ...raw.rope_parameters };
  const theta = settings.rope_theta ?? raw.rope_theta ?? family.defaults.ropeTheta;
  if (typeof theta !== 'number' || !(theta > 0)) malformed('rope_theta', 'a positive number', theta);
  return { theta: theta as number, scaling: readScaling(settings) };
}

function readScaling(settings: Readonly<Record<string, unknown>>): RopeScaling | undefined {
  const kind = settings.rope_type ?? settings.type ?? 'default';
  const number = (key: string): number => {
    const value = settings[key];
    if (typeof value !== 'number' || !(value > 0)) malformed(`rope_scaling.${key}`, 'a positive number', value);
    return value as number;
  };
  if (kind === 'default') return undefined;
  if (kind === 'linear') return { kind, factor: number('factor') };
  if (kind === 'llama3') {
    return {
      kind,
      factor: number('factor'),
      lowFrequencyFactor: number('low_freq_factor'),
      highFrequencyFactor: number('high_freq_factor'),
      originalMaxPositions: number('original_max_position_embeddings'),
    };
  }
  return unsupported('rope_scaling.rope_type', kind, 'default, linear, llama3');
}

function unsupported(key: string, got: unknown, supported: string): never {
  throw new UnsupportedError(
    'E_UNSUPPORTED_CONFIG',
    `config.json: ${key} is ${JSON.stringify(got)}, which changes the numbers and is not implemented; supported: ${supported}.`,
    { key, got, supported },
  );
}

function malformed(key: string, expected: string, got: unknown): never {
  throw new CheckpointError(
    'E_CHECKPOINT_CONFIG',
    `config.json: ${key}: expected ${expected}, got ${JSON.stringify(got)}.`,
    { key, expected, got },
  );
}
