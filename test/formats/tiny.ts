// Tiny checkpoints of the families that GGUF is written for, in the shapes that llama.cpp runs, and tokenizers of its kinds.

import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FAMILY_CONFIGS, makeFamily } from '../families.js';

const gemma = {
  ...FAMILY_CONFIGS.gemma3_text,
  sliding_window: 9,
  sliding_window_pattern: 6,
  rope_local_base_freq: 10_000,
  rope_theta: 50_000,
};
const llama3 = {
  rope_type: 'llama3',
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 32,
};

/** Configs by name; the part before the dash is the family. */
export const GGUF_CONFIGS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  llama: { ...FAMILY_CONFIGS.llama, rope_theta: 300, rms_norm_eps: 1e-3 },
  'llama-3': { ...FAMILY_CONFIGS.llama, rope_scaling: llama3, tie_word_embeddings: true, head_dim: 16 },
  'llama-linear': { ...FAMILY_CONFIGS.llama, rope_scaling: { type: 'linear', factor: 4 } },
  'llama-bias': { ...FAMILY_CONFIGS.llama, attention_bias: true, mlp_bias: true },
  mistral: FAMILY_CONFIGS.mistral!,
  qwen2: FAMILY_CONFIGS.qwen2!,
  qwen3: { ...FAMILY_CONFIGS.qwen3, head_dim: 16, rope_theta: 5000 },
  gemma3_text: gemma,
  gemma3: { text_config: gemma },
};

export async function makeGgufFamily(dir: string, name: string): Promise<string> {
  const family = name.split('-')[0]!;
  await makeFamily(dir, family, { config: GGUF_CONFIGS[name]!, blocks: family.startsWith('gemma') ? 7 : 2 });
  return dir;
}

/** A tokenizer of test/golden/tokenizers. */
export const goldenTokenizer = (name: string): Record<string, unknown> =>
  JSON.parse(readFileSync(new URL(`../golden/tokenizers/${name}.json`, import.meta.url), 'utf8')).tokenizer;

/** A LLaMA with a golden tokenizer, which may be changed. */
export async function makeWithTokenizer(dir: string, tokenizer: object, vocabulary = 512): Promise<string> {
  await makeFamily(dir, 'llama', { config: { ...GGUF_CONFIGS.llama, vocab_size: vocabulary } });
  await writeFile(join(dir, 'tokenizer.json'), JSON.stringify(tokenizer));
  return dir;
}
