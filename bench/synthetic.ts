// A synthetic LLaMA for decoding benches: TinyLlama's shapes (arXiv 2401.02385) and enough blocks for 1 GB of int8 linears.
// Every block holds the same weights, so they are made once; in every form of the model each block has its own bytes,
// which is what decoding reads. Normal weights of width 0.02; 4:16, 8:16 and unstructured zeros go to the smallest.

import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { createRng } from '#src/base';
import { fromFloat32 } from '#src/tensor';

export const SHAPE = {
  hidden: 2048,
  intermediate: 5632,
  heads: 32,
  kvHeads: 4,
  headDim: 64,
  vocabulary: 32_000,
  blocks: 23,
  positions: 512,
  normEps: 1e-5,
  ropeTheta: 10_000,
} as const;

export type SyntheticTensor = { readonly name: string; readonly rows: number; readonly columns: number };

const KV = SHAPE.kvHeads * SHAPE.headDim;

/** The linears of one block, named as in a checkpoint, without the block's prefix. */
export const BLOCK_LINEARS: readonly SyntheticTensor[] = [
  { name: 'self_attn.q_proj', rows: SHAPE.hidden, columns: SHAPE.hidden },
  { name: 'self_attn.k_proj', rows: KV, columns: SHAPE.hidden },
  { name: 'self_attn.v_proj', rows: KV, columns: SHAPE.hidden },
  { name: 'self_attn.o_proj', rows: SHAPE.hidden, columns: SHAPE.hidden },
  { name: 'mlp.gate_proj', rows: SHAPE.intermediate, columns: SHAPE.hidden },
  { name: 'mlp.up_proj', rows: SHAPE.intermediate, columns: SHAPE.hidden },
  { name: 'mlp.down_proj', rows: SHAPE.hidden, columns: SHAPE.intermediate },
];
export const EMBEDDING: SyntheticTensor = { name: 'model.embed_tokens', rows: SHAPE.vocabulary, columns: SHAPE.hidden };

/** How many zeros: `n` of every 16 columns stay, or a share of each row goes. */
export type Zeros =
  | { readonly kind: 'none' }
  | { readonly kind: 'n:16'; readonly n: number }
  | { readonly kind: 'row'; readonly share: number };

/** The weights of a tensor, row-major; the same for the same name and zeros, whoever asks. */
export function weightsOf({ name, rows, columns }: SyntheticTensor, zeros: Zeros = { kind: 'none' }): Float32Array {
  const seed = [...name].reduce((sum, c) => (sum * 31 + c.charCodeAt(0)) % 2 ** 31, 7);
  const rng = createRng(seed);
  // A sum of four uniforms is near enough to a normal, and fast.
  const W = Float32Array.from(
    { length: rows * columns },
    () => 0.0346 * (rng.uniform() + rng.uniform() + rng.uniform() + rng.uniform() - 2),
  );
  if (zeros.kind === 'n:16') {
    for (let at = 0; at < W.length; at += 16) dropSmallest(W.subarray(at, at + 16), 16 - zeros.n);
  } else if (zeros.kind === 'row') {
    for (let row = 0; row < rows; row++) {
      dropSmallest(W.subarray(row * columns, (row + 1) * columns), Math.round(columns * zeros.share));
    }
  }
  return W;
}

function dropSmallest(w: Float32Array, count: number): void {
  const threshold = Float32Array.from(w, Math.abs).sort()[count]!;
  for (let i = 0; i < w.length; i++) if (Math.abs(w[i]!) < threshold) w[i] = 0;
}

/**
 * Writes the model as an F16 checkpoint with a byte-level tokenizer; `zeros` in the linears of its blocks. The file is
 * written block by block from the same bytes.
 */
export function writeSyntheticCheckpoint(dir: string, zeros: Zeros, blocks: number = SHAPE.blocks): void {
  mkdirSync(dir);
  const { hidden, intermediate, heads, kvHeads, headDim, vocabulary, positions, normEps, ropeTheta } = SHAPE;
  const config = {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: hidden,
    intermediate_size: intermediate,
    num_hidden_layers: blocks,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    head_dim: headDim,
    vocab_size: vocabulary,
    max_position_embeddings: positions,
    rms_norm_eps: normEps,
    rope_theta: ropeTheta,
    tie_word_embeddings: true,
    torch_dtype: 'float16',
  };
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
  writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(tokenizer()));
  writeFileSync(join(dir, 'tokenizer_config.json'), '{}');

  const half = (tensor: SyntheticTensor, which: Zeros): Uint8Array => fromFloat32(weightsOf(tensor, which), 'F16');
  const ones = fromFloat32(new Float32Array(hidden).fill(1), 'F16');
  const block = new Map<string, readonly [readonly number[], Uint8Array]>([
    ['input_layernorm.weight', [[hidden], ones]],
    ['post_attention_layernorm.weight', [[hidden], ones]],
    ...BLOCK_LINEARS.map((linear) => {
      return [`${linear.name}.weight`, [[linear.rows, linear.columns], half(linear, zeros)]] as const;
    }),
  ]);
  const tensors: (readonly [string, readonly number[], Uint8Array])[] = [
    [`${EMBEDDING.name}.weight`, [vocabulary, hidden], half(EMBEDDING, { kind: 'none' })],
    ['model.norm.weight', [hidden], ones],
  ];
  for (let i = 0; i < blocks; i++) {
    for (const [name, [shape, bytes]] of block) tensors.push([`model.layers.${i}.${name}`, shape, bytes]);
  }
  const header: Record<string, unknown> = {};
  let at = 0;
  for (const [name, shape, bytes] of tensors) {
    header[name] = { dtype: 'F16', shape, data_offsets: [at, at + bytes.length] };
    at += bytes.length;
  }
  const json = Buffer.from(JSON.stringify(header));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(json.length));
  const file = openSync(join(dir, 'model.safetensors'), 'w');
  for (const bytes of [size, json, ...tensors.map(([, , data]) => data)]) {
    for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
  }
  closeSync(file);
}

/** Words made of digits, one for each id: nothing is read with them, but a model has to have a tokenizer. */
function tokenizer() {
  const vocab = Object.fromEntries(Array.from({ length: SHAPE.vocabulary }, (_, id) => [`w${id}`, id]));
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: 'WhitespaceSplit' },
    post_processor: null,
    decoder: null,
    model: { type: 'WordLevel', vocab, unk_token: 'w0' },
  };
}
