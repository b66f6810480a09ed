// A small config.json for every family, and random checkpoints of them with a byte-level tokenizer. Weights are drawn so
// that no activation vanishes or explodes; the shapes come from the layout, whose judge is the golden checkpoints.

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createRng } from '../src/base/index.js';
import { writeSafetensors } from '../src/checkpoint/index.js';
import {
  FAMILIES,
  type FamilySpec,
  findFamily,
  keyOf,
  modelTensors,
  readModelConfig,
  tensorNamesOf,
} from '../src/model/index.js';
import { type DType, fromFloat32 } from '../src/tensor/index.js';
import { byteTokenizer, normal } from './api/make.js';

const VOCABULARY = 256;
const sizes = {
  vocab_size: VOCABULARY,
  hidden_size: 32,
  num_attention_heads: 4,
  max_position_embeddings: 64,
};
const llama = { ...sizes, intermediate_size: 48, num_key_value_heads: 2, tie_word_embeddings: false };

const gemma = { ...llama, head_dim: 8, query_pre_attn_scalar: 8, sliding_window: 9, tie_word_embeddings: true };

/** By `model_type`. */
export const FAMILY_CONFIGS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  llama,
  mistral: { ...llama, sliding_window: 20 },
  mixtral: { ...llama, num_local_experts: 5, num_experts_per_tok: 2 },
  qwen2: { ...llama, tie_word_embeddings: true },
  qwen3: llama,
  qwen3_moe: { ...llama, num_experts: 6, num_experts_per_tok: 2, moe_intermediate_size: 16, decoder_sparse_step: 2 },
  phi3: llama,
  gemma2: gemma,
  gemma3_text: { ...gemma, sliding_window_pattern: 2 },
  gemma3: { text_config: gemma },
  opt: { ...sizes, ffn_dim: 48, do_layer_norm_before: false, word_embed_proj_dim: 24 },
  gpt2: { vocab_size: VOCABULARY, n_embd: 32, n_head: 4, n_positions: 64, n_inner: 48 },
  gpt_neox: { ...sizes, intermediate_size: 48, rotary_pct: 0.5 },
};

/** Families of models that write text. */
export const TEXT_FAMILIES: ReadonlyMap<string, FamilySpec> = new Map(
  [...FAMILIES].filter(([, { image, head }]) => !image && !head),
);

export type FamilyOptions = {
  readonly dtype?: DType;
  readonly seed?: number;
  /** Defaults to 2. */
  readonly blocks?: number;
  /** Defaults to that of `FAMILY_CONFIGS`. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Changes a tensor before it is written. */
  readonly change?: (name: string, values: Float32Array) => void;
};

/** Writes a random checkpoint of a family into `dir`, which is made, and returns `dir`. */
export async function makeFamily(dir: string, family: string, options: FamilyOptions = {}): Promise<string> {
  const { dtype = 'F32', seed = 1, blocks = 2, change } = options;
  const raw: Record<string, unknown> = { model_type: family, ...(options.config ?? FAMILY_CONFIGS[family]) };
  const spec = findFamily(raw);
  const part = spec.within === undefined ? {} : { ...(raw[spec.within] as object) };
  Object.assign(spec.within === undefined ? raw : part, { [keyOf(spec, 'num_hidden_layers')]: blocks });
  if (spec.within !== undefined) raw[spec.within] = part;
  const config = readModelConfig(raw);
  const rng = createRng(seed);
  const tensors = [
    ...modelTensors(
      config,
      tensorNamesOf(config, () => true),
    ),
  ].map(([name, shape]) => {
    const count = shape.reduce((a, b) => a * b, 1);
    const isNorm = shape.length === 1 && name.endsWith('.weight');
    const values = Float32Array.from({ length: count }, () =>
      isNorm ? 1 + 0.2 * normal(rng) : (normal(rng) * 0.9) / Math.sqrt(shape.length === 1 ? 16 : shape.at(-1)!),
    );
    change?.(name, values);
    return { name, dtype, shape, read: async () => fromFloat32(values, dtype) };
  });
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, 'config.json'), JSON.stringify(raw, null, 2));
  await writeFile(join(dir, 'tokenizer.json'), JSON.stringify(byteTokenizer()));
  await writeSafetensors(join(dir, 'model.safetensors'), tensors, { format: 'pt' });
  return dir;
}
