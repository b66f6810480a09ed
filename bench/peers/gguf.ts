// The synthetic model as a GGUF file (version 3) for llama.cpp: F16, Q8_0 or Q4_0 weights, float32 norms, a vocabulary of
// made-up words. Layouts of the quantised blocks of 32 weights: Q8_0 is an F16 scale and 32 signed bytes; Q4_0 an F16 scale and
// 16 bytes, the first 16 weights in the low halves, each stored as q + 8.

import { closeSync, openSync, writeSync } from 'node:fs';
import { fromFloat32 } from '#src/tensor';
import { BLOCK_LINEARS, EMBEDDING, SHAPE, type SyntheticTensor, weightsOf } from '../synthetic.js';

export const GGUF_TYPES = ['F16', 'Q8_0', 'Q4_0'] as const;
export type GgufType = (typeof GGUF_TYPES)[number];

const TYPE_ID: Record<GgufType | 'F32', number> = { F32: 0, F16: 1, Q4_0: 2, Q8_0: 8 };
const ALIGNMENT = 32;

const NAMES: Readonly<Record<string, string>> = {
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.o_proj': 'attn_output',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
};

type Entry = { readonly name: string; readonly dims: readonly number[]; readonly type: number; readonly data: Buffer };

const round = (value: number): number => (value < 0 ? -Math.round(-value) : Math.round(value));

function encode(W: Float32Array, type: GgufType): Buffer {
  if (type === 'F16') return Buffer.from(fromFloat32(W, 'F16').buffer);
  const size = type === 'Q8_0' ? 34 : 18;
  const out = Buffer.alloc((W.length / 32) * size);
  for (let block = 0; block < W.length / 32; block++) {
    const w = W.subarray(block * 32, block * 32 + 32);
    const at = block * size;
    let largest = 0;
    for (const value of w) if (Math.abs(value) > Math.abs(largest)) largest = value;
    const scale = type === 'Q8_0' ? Math.abs(largest) / 127 : largest / -8;
    out.set(fromFloat32(Float32Array.of(scale), 'F16'), at);
    for (let i = 0; i < (type === 'Q8_0' ? 32 : 16); i++) {
      if (type === 'Q8_0') out.writeInt8(scale === 0 ? 0 : round(w[i]! / scale), at + 2 + i);
      else out[at + 2 + i] = nibble(w[i]!, scale) | (nibble(w[i + 16]!, scale) << 4);
    }
  }
  return out;
}

const nibble = (w: number, scale: number): number =>
  scale === 0 ? 8 : Math.min(15, Math.max(0, round(w / scale) + 8));

/** Writes the model; every block has its own copy of the same weights. */
export function writeGguf(path: string, type: GgufType): void {
  const matrix = (name: string, tensor: SyntheticTensor): Entry => ({
    name,
    dims: [tensor.columns, tensor.rows],
    type: TYPE_ID[type],
    data: encode(weightsOf(tensor), type),
  });
  const ones = Buffer.from(new Float32Array(SHAPE.hidden).fill(1).buffer);
  const norm = (name: string): Entry => ({ name, dims: [SHAPE.hidden], type: TYPE_ID.F32, data: ones });
  const linears = BLOCK_LINEARS.map((tensor) => matrix(NAMES[tensor.name]!, tensor));
  const entries = [matrix('token_embd.weight', EMBEDDING), norm('output_norm.weight')];
  for (let block = 0; block < SHAPE.blocks; block++) {
    const at = `blk.${block}.`;
    entries.push(norm(`${at}attn_norm.weight`), norm(`${at}ffn_norm.weight`));
    for (const entry of linears) entries.push({ ...entry, name: `${at}${entry.name}.weight` });
  }
  const file = openSync(path, 'w');
  let written = 0;
  const put = (bytes: Buffer): void => {
    for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
    written += bytes.length;
  };
  const pad = (): void => put(Buffer.alloc((ALIGNMENT - (written % ALIGNMENT)) % ALIGNMENT));
  put(header(entries, type));
  for (const { data } of entries) {
    pad();
    put(data);
  }
  closeSync(file);
}

/** The preamble, the key-value pairs and the list of tensors, whose offsets count from the first aligned byte after it. */
function header(entries: readonly Entry[], type: GgufType): Buffer {
  const parts: Buffer[] = [];
  const u32 = (value: number): void => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    parts.push(bytes);
  };
  const u64 = (value: number): void => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(value));
    parts.push(bytes);
  };
  const f32 = (value: number): void => {
    const bytes = Buffer.alloc(4);
    bytes.writeFloatLE(value);
    parts.push(bytes);
  };
  const text = (value: string): void => {
    const bytes = Buffer.from(value);
    u64(bytes.length);
    parts.push(bytes);
  };
  const pairs: (() => void)[] = [];
  const integer = (key: string, value: number) => pairs.push(() => [text(key), u32(4), u32(value)]);
  const real = (key: string, value: number) => pairs.push(() => [text(key), u32(6), f32(value)]);
  const string = (key: string, value: string) => pairs.push(() => [text(key), u32(8), text(value)]);
  const list = <T>(key: string, of: number, values: readonly T[], put: (value: T) => void) =>
    pairs.push(() => {
      text(key);
      u32(9);
      u32(of);
      u64(values.length);
      for (const value of values) put(value);
    });

  string('general.architecture', 'llama');
  string('general.name', 'synthetic');
  integer('general.file_type', { F16: 1, Q4_0: 2, Q8_0: 7 }[type]);
  integer('llama.block_count', SHAPE.blocks);
  integer('llama.context_length', SHAPE.positions);
  integer('llama.embedding_length', SHAPE.hidden);
  integer('llama.feed_forward_length', SHAPE.intermediate);
  integer('llama.attention.head_count', SHAPE.heads);
  integer('llama.attention.head_count_kv', SHAPE.kvHeads);
  integer('llama.rope.dimension_count', SHAPE.headDim);
  integer('llama.vocab_size', SHAPE.vocabulary);
  real('llama.attention.layer_norm_rms_epsilon', SHAPE.normEps);
  real('llama.rope.freq_base', SHAPE.ropeTheta);
  string('tokenizer.ggml.model', 'llama');
  const ids = Array.from({ length: SHAPE.vocabulary }, (_, id) => id);
  const word = (id: number): string => {
    if (id < 3) return ['<unk>', '<s>', '</s>'][id]!;
    if (id < 259) return `<0x${(id - 3).toString(16).toUpperCase().padStart(2, '0')}>`;
    return `w${id}`;
  };
  list('tokenizer.ggml.tokens', 8, ids, (id) => text(word(id)));
  list('tokenizer.ggml.scores', 6, ids, (id) => f32(-id));
  // 2 unknown, 3 control, 6 byte, 1 ordinary.
  list('tokenizer.ggml.token_type', 5, ids, (id) => u32(id === 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1));
  integer('tokenizer.ggml.bos_token_id', 1);
  integer('tokenizer.ggml.eos_token_id', 2);

  parts.push(Buffer.from('GGUF'));
  u32(3);
  u64(entries.length);
  u64(pairs.length);
  for (const pair of pairs) pair();
  let offset = 0;
  for (const { name, dims, type: id, data } of entries) {
    text(name);
    u32(dims.length);
    for (const dim of dims) u64(dim);
    u32(id);
    u64(offset);
    offset += Math.ceil(data.length / ALIGNMENT) * ALIGNMENT;
  }
  return Buffer.concat(parts);
}
