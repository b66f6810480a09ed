// The numbers of a header as a config.json. Keys under the architecture's name that we do not know may change what the model
// computes, so they are refused by name; so are values that need what we do not implement. Defaults are llama.cpp's.

import { type Facts, factsOf, type Json } from './facts.js';
import type { GgufHeader } from './header.js';
import { refuseFile, show, unsupportedGguf } from './refuse.js';
import { readFrequencies } from './rope.js';

const ARCHITECTURES = ['llama', 'deci', 'qwen2', 'qwen3', 'gemma3'] as const;
export type GgufArchitecture = (typeof ARCHITECTURES)[number];

/** Sizes of one block. */
export type GgufWidths = { readonly heads: number; readonly kvHeads: number; readonly intermediate: number };

/** The sizes that names and shapes of tensors follow from. */
export type GgufShape = {
  readonly architecture: GgufArchitecture;
  readonly blocks: number;
  readonly hidden: number;
  /** Of each block; they differ in the architecture `deci` alone. */
  readonly widths: readonly GgufWidths[];
  readonly headDim: number;
  readonly vocabulary: number;
  readonly tied: boolean;
  readonly biases: { readonly attention: boolean; readonly mlp: boolean };
};

const ORIGINAL = 'start from the safetensors checkpoint that it was made from';

/** Keys that are read, by what comes after the architecture's name. */
const READ: ReadonlySet<string> = new Set([
  'block_count',
  'context_length',
  'embedding_length',
  'feed_forward_length',
  'attention.head_count',
  'attention.head_count_kv',
  'attention.key_length',
  'attention.value_length',
  'attention.layer_norm_rms_epsilon',
  'rope.dimension_count',
  'rope.freq_base',
  'rope.scale_linear',
  'rope.scaling.type',
  'rope.scaling.factor',
]);
/** Keys that change nothing of what a model computes on its own. */
const IDLE: ReadonlySet<string> = new Set([
  'vocab_size',
  'rope.scaling.finetuned',
  'rope.scaling.original_context_length',
]);
/** Keys whose one value means that they change nothing. */
const NEUTRAL: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ['expert_count', 0],
  ['expert_used_count', 0],
  ['attention.causal', true],
  ['rope.scaling.attn_factor', 1],
  ['pooling_type', 0],
]);
const READ_OF_GEMMA: ReadonlySet<string> = new Set([
  'attention.sliding_window',
  'attention.sliding_window_pattern',
  'rope.freq_base_swa',
  'final_logit_softcapping',
]);

/** @throws UnsupportedError E_UNSUPPORTED_GGUF, CheckpointError E_CHECKPOINT_GGUF */
export function readShape(header: GgufHeader): GgufShape {
  const facts = factsOf(header);
  refuseOtherFiles(header, facts);
  const architecture = architectureOf(facts);
  refuseUnknownKeys(header, architecture);
  const key = (name: string): string => `${architecture}.${name}`;
  const blocks = facts.whole(key('block_count'), 1);
  if (blocks > header.tensors.size) {
    throw refuseFile(facts.path, `tensors of ${blocks} blocks`, `${header.tensors.size} tensors`);
  }
  const widths = readWidths(facts, key, blocks, architecture);
  const hidden = facts.whole(key('embedding_length'), 1);
  const headDim = facts.whole(key('attention.key_length'), 2, Math.floor(hidden / widths[0]!.heads));
  const valueDim = facts.whole(key('attention.value_length'), 2, headDim);
  const rotated = facts.whole(key('rope.dimension_count'), 2, headDim);
  for (const [name, got] of [
    ['attention.value_length', valueDim],
    ['rope.dimension_count', rotated],
  ] as const) {
    if (got !== headDim)
      throw unsupportedGguf(facts.path, `${key(name)} ${got}`, `${headDim}, as the keys have`, ORIGINAL);
  }
  const embedding = header.tensors.get('token_embd.weight');
  if (embedding?.shape.length !== 2) {
    throw refuseFile(facts.path, 'a matrix token_embd.weight', embedding ? show(embedding.shape) : 'none');
  }
  const has = (name: string): boolean => header.tensors.has(name);
  return {
    architecture,
    blocks,
    hidden,
    widths,
    headDim,
    vocabulary: embedding.shape[0]!,
    tied: !has('output.weight'),
    biases: {
      attention:
        architecture === 'qwen2' ||
        ((architecture === 'llama' || architecture === 'qwen3') && has('blk.0.attn_q.bias')),
      mlp: architecture === 'llama' && has('blk.0.ffn_down.bias'),
    },
  };
}

function readWidths(
  facts: Facts,
  key: (name: string) => string,
  blocks: number,
  architecture: GgufArchitecture,
): readonly GgufWidths[] {
  // Where the architecture has one size for all blocks, lists of one value are all that is read.
  const read = (name: string, fallback?: readonly number[]): readonly number[] =>
    architecture === 'deci'
      ? facts.perBlock(key(name), 1, blocks, fallback)
      : new Array<number>(blocks).fill(facts.whole(key(name), 1, fallback?.[0]));
  const heads = read('attention.head_count');
  const kvHeads = read('attention.head_count_kv', heads);
  const odd = heads.findIndex((count, block) => count % kvHeads[block]! !== 0);
  if (odd >= 0) {
    const expected = `a divisor of ${heads[odd]} heads in ${key('attention.head_count_kv')}`;
    throw refuseFile(facts.path, expected, `${kvHeads[odd]}`);
  }
  const intermediate = read('feed_forward_length');
  return heads.map((count, block) => ({
    heads: count,
    kvHeads: kvHeads[block]!,
    intermediate: intermediate[block]!,
  }));
}

/** A file that is no model, one of several parts, or quantised as in the first versions. */
function refuseOtherFiles({ path, tensors }: GgufHeader, facts: Facts): void {
  const kind = facts.text('general.type') ?? 'model';
  if (kind !== 'model') throw unsupportedGguf(path, `a file of type ${show(kind)}`, 'a model', 'give the model itself');
  const parts = facts.whole('split.count', 0, 0);
  if (parts > 1) {
    const next = "merge them into one file first with llama.cpp's llama-gguf-split";
    throw unsupportedGguf(path, `one of ${parts} parts of a model`, 'the whole model in one file', next);
  }
  const version = facts.whole('general.quantization_version', 0, 2);
  const quantised = [...tensors.values()].some(({ type }) => type.weights > 1);
  if (quantised && version !== 2) {
    throw unsupportedGguf(path, `quantisation version ${version}`, 'version 2', 'convert the model again');
  }
}

function architectureOf(facts: Facts): GgufArchitecture {
  const name = facts.text('general.architecture');
  const known = ARCHITECTURES.find((one) => one === name);
  if (known) return known;
  throw unsupportedGguf(facts.path, `architecture ${show(name ?? null)}`, ARCHITECTURES.join(', '), ORIGINAL);
}

function refuseUnknownKeys({ path, values }: GgufHeader, architecture: GgufArchitecture): void {
  for (const [key, value] of values) {
    if (!key.startsWith(`${architecture}.`)) continue;
    const name = key.slice(architecture.length + 1);
    if (READ.has(name) || IDLE.has(name) || (architecture === 'gemma3' && READ_OF_GEMMA.has(name))) continue;
    if (NEUTRAL.has(name) && NEUTRAL.get(name) === value) continue;
    const expected = NEUTRAL.has(name) ? `${key} to be ${NEUTRAL.get(name)}` : `no key ${key}`;
    const shown = ArrayBuffer.isView(value) || Array.isArray(value) ? 'a list' : show(value);
    throw unsupportedGguf(path, `${key} = ${shown} (it may change the numbers)`, expected, ORIGINAL);
  }
}

/** config.json of the twin. `frequencies` are those of rope_freqs.weight, where the file has it. */
export function configOf(
  header: GgufHeader,
  shape: GgufShape,
  dtype: string,
  frequencies: Float32Array | undefined,
): Json {
  const facts = factsOf(header);
  const { architecture } = shape;
  const key = (name: string): string => `${architecture}.${name}`;
  const { heads, kvHeads, intermediate } = shape.widths[0]!;
  const isEven = shape.widths.every((one) => JSON.stringify(one) === JSON.stringify(shape.widths[0]));
  const common = {
    hidden_size: shape.hidden,
    intermediate_size: intermediate,
    num_hidden_layers: shape.blocks,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    ...(isEven ? {} : { layer_widths: shape.widths.map((one) => [one.heads, one.kvHeads, one.intermediate]) }),
    ...(architecture === 'qwen2' ? {} : { head_dim: shape.headDim }),
    max_position_embeddings: facts.whole(key('context_length'), 1),
    rms_norm_eps: positive(facts, key('attention.layer_norm_rms_epsilon')),
    rope_theta: positive(facts, key('rope.freq_base'), 10_000),
    rope_scaling: frequencies
      ? readFrequencies(facts, frequencies, shape.headDim, scalingOf(facts, key))
      : scalingOf(facts, key),
    vocab_size: shape.vocabulary,
    tie_word_embeddings: shape.tied,
    torch_dtype: dtype,
    bos_token_id: facts.has('tokenizer.ggml.bos_token_id') ? facts.whole('tokenizer.ggml.bos_token_id', 0) : null,
    eos_token_id: facts.has('tokenizer.ggml.eos_token_id') ? facts.whole('tokenizer.ggml.eos_token_id', 0) : null,
  };
  switch (architecture) {
    case 'llama':
    case 'deci':
      return {
        model_type: 'llama',
        architectures: ['LlamaForCausalLM'],
        ...common,
        hidden_act: 'silu',
        attention_bias: shape.biases.attention,
        mlp_bias: shape.biases.mlp,
      };
    case 'qwen2':
      if (shape.headDim * heads !== shape.hidden) {
        const got = `${heads} heads of ${shape.headDim}`;
        throw unsupportedGguf(header.path, got, `heads that make ${shape.hidden} together`, ORIGINAL);
      }
      return {
        model_type: 'qwen2',
        architectures: ['Qwen2ForCausalLM'],
        ...common,
        hidden_act: 'silu',
        use_sliding_window: false,
      };
    case 'qwen3':
      return {
        model_type: 'qwen3',
        architectures: ['Qwen3ForCausalLM'],
        ...common,
        hidden_act: 'silu',
        attention_bias: shape.biases.attention,
        use_sliding_window: false,
      };
    case 'gemma3':
      return { model_type: 'gemma3_text', architectures: ['Gemma3ForCausalLM'], ...common, ...gemmaOf(facts, shape) };
    default:
      return architecture satisfies never;
  }
}

/** Blocks of Gemma 3 27B, whose queries are scaled by the width of a head as if all heads made the residual. */
const LARGEST_GEMMA = 62;

function gemmaOf(facts: Facts, { blocks, hidden, widths, headDim }: GgufShape): Json {
  const window = facts.whole('gemma3.attention.sliding_window', 0, 0);
  const every = facts.whole('gemma3.attention.sliding_window_pattern', 1, 6);
  return {
    hidden_activation: 'gelu_pytorch_tanh',
    attention_bias: false,
    query_pre_attn_scalar: blocks === LARGEST_GEMMA ? hidden / widths[0]!.heads : headDim,
    sliding_window: window === 0 ? null : window,
    rope_local_base_freq: positive(facts, 'gemma3.rope.freq_base_swa', 10_000),
    attn_logit_softcapping: null,
    final_logit_softcapping: facts.has('gemma3.final_logit_softcapping')
      ? positive(facts, 'gemma3.final_logit_softcapping')
      : null,
    layer_types: Array.from({ length: blocks }, (_, block) =>
      (block + 1) % every === 0 || window === 0 ? 'full_attention' : 'sliding_attention',
    ),
  };
}

function positive(facts: Facts, key: string, fallback?: number): number {
  const value = facts.number(key, fallback);
  if (value > 0) return value;
  throw refuseFile(facts.path, `${key} above 0`, show(value));
}

/** `rope_scaling`, null where there is none. */
function scalingOf(facts: Facts, key: (name: string) => string): Json | null {
  const old = facts.has(key('rope.scale_linear')) ? positive(facts, key('rope.scale_linear')) : 1;
  const type = facts.text(key('rope.scaling.type')) ?? (old === 1 ? 'none' : 'linear');
  const factor = facts.has(key('rope.scaling.factor')) ? positive(facts, key('rope.scaling.factor')) : old;
  if (type === 'none' || (type === 'linear' && factor === 1)) return null;
  if (type === 'linear') return { rope_type: 'linear', type: 'linear', factor };
  throw unsupportedGguf(facts.path, `${key('rope.scaling.type')} ${show(type)}`, 'none or linear', ORIGINAL);
}
