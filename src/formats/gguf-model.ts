// What llama.cpp knows of a model: the name of its architecture, the numbers of its config, and a name for each tensor. What it
// has no key for and computes differently is refused by name.
//   LLaMA's architecture rotates neighbouring values of a head where transformers rotates its halves: the rows of q and k are
//   reordered within each head, [2, h/2] → [h/2, 2]. Gemma's norms scale by their weights, which here lack the 1.
//   LLaMA-3's scaling of the rotation is a tensor of factors.

import { UnsupportedError } from '../base/index.js';
import { blockTensors, type Model, type ModelConfig, ropeFactors } from '../model/index.js';
import type { Pairs } from './gguf-tokenizer.js';

/** A tensor under llama.cpp's name: which one it is in the checkpoint, and what is done with its values. */
export type NamedTensor = {
  readonly name: string;
  readonly source: string;
  readonly kind: 'table' | 'linear' | 'vector';
  /** The number of heads whose rows are reordered. */
  readonly heads: number | undefined;
  /** Added to every value. */
  readonly plus: number;
};

export type GgufModel = {
  readonly pairs: Pairs;
  readonly tensors: readonly NamedTensor[];
  /** The factors of LLaMA 3's rotation. */
  readonly ropeFactors: Float32Array | undefined;
  readonly notes: readonly string[];
};

type Architecture = {
  readonly name: string;
  readonly activation: ModelConfig['activation'];
  /** Rows of q and k are reordered. */
  readonly permutes: boolean;
  readonly biases: readonly ('qkv' | 'o' | 'mlp')[];
  readonly gemma?: true;
};

const llama: Architecture = { name: 'llama', activation: 'silu', permutes: true, biases: ['qkv', 'o', 'mlp'] };
/** LLaMA with widths of its own in every block; llama.cpp's biases there are as wide as the residual. */
const deci: Architecture = { ...llama, name: 'deci', biases: [] };
const gemma3: Architecture = { name: 'gemma3', activation: 'gelu_tanh', permutes: false, biases: [], gemma: true };

const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  llama,
  mistral: llama,
  qwen2: { name: 'qwen2', activation: 'silu', permutes: false, biases: ['qkv'] },
  qwen3: { name: 'qwen3', activation: 'silu', permutes: false, biases: [] },
  gemma3_text: gemma3,
  gemma3,
};

/** The families that are written as GGUF. */
export const GGUF_FAMILIES: readonly string[] = Object.keys(ARCHITECTURES);

/** Those whose blocks may have widths of their own there. */
export const DECI_FAMILIES: readonly string[] = GGUF_FAMILIES.filter((family) => ARCHITECTURES[family] === llama);

const ROLES: Readonly<Record<string, string>> = {
  attentionNorm: 'attn_norm',
  attentionPostNorm: 'post_attention_norm',
  mlpNorm: 'ffn_norm',
  mlpPostNorm: 'post_ffw_norm',
  qNorm: 'attn_q_norm',
  kNorm: 'attn_k_norm',
  q: 'attn_q',
  k: 'attn_k',
  v: 'attn_v',
  o: 'attn_output',
  gate: 'ffn_gate',
  up: 'ffn_up',
  down: 'ffn_down',
};

/** @throws UnsupportedError E_UNSUPPORTED_EXPORT */
export function describeGguf(model: Model, name: string): GgufModel {
  const { config } = model;
  const architecture = architectureOf(config);
  refuseOthers(config, architecture);
  const { context, notes } = windowsOf(config, architecture);
  if (config.family === 'gemma3') notes.push('The vision part is left out: the file holds the language model alone.');
  const scaling = config.rope!.scaling;
  return {
    pairs: [
      ['general.architecture', { kind: 'text', value: architecture.name }],
      ['general.name', { kind: 'text', value: name }],
      ...numbersOf(config, architecture, context),
    ],
    tensors: tensorsOf(model, architecture),
    ropeFactors: scaling?.kind === 'llama3' ? ropeFactors(config.rope!) : undefined,
    notes,
  };
}

function architectureOf({ family, uneven }: ModelConfig): Architecture {
  const known = ARCHITECTURES[family];
  if (!known) throw refuse('model_type', `one of ${GGUF_FAMILIES.join(', ')}`, family);
  if (!uneven) return known;
  if (known === llama) return deci;
  const next = 'Pack it as a .lw file, or export to hf with --padded';
  throw refuse('layer_widths', `${DECI_FAMILIES.join(' and ')} (the architecture deci)`, family, next);
}

function numbersOf(config: ModelConfig, { name, gemma }: Architecture, context: number): Pairs {
  const whole = (key: string, value: number): Pairs[number] => [`${name}.${key}`, { kind: 'u32', value }];
  const real = (key: string, value: number): Pairs[number] => [`${name}.${key}`, { kind: 'f32', value }];
  /** One number, or a list where blocks differ. */
  const each = (key: string, of: keyof ModelConfig['widths'][number]): Pairs[number] =>
    config.uneven
      ? [`${name}.${key}`, { kind: 'i32s', value: config.widths.map((block) => block[of]) }]
      : whole(key, config.stated[of]);
  const { scaling, theta, dims } = config.rope!;
  return [
    whole('block_count', config.blocks),
    whole('context_length', context),
    whole('embedding_length', config.hidden),
    each('feed_forward_length', 'intermediate'),
    each('attention.head_count', 'heads'),
    each('attention.head_count_kv', 'kvHeads'),
    whole('attention.key_length', config.headDim),
    whole('attention.value_length', config.headDim),
    real('attention.layer_norm_rms_epsilon', config.normEps),
    whole('rope.dimension_count', dims),
    real('rope.freq_base', theta),
    whole('vocab_size', config.vocabulary),
    ...(scaling?.kind === 'linear'
      ? [
          [`${name}.rope.scaling.type`, { kind: 'text', value: 'linear' }] as const,
          real('rope.scaling.factor', scaling.factor),
        ]
      : []),
    ...(gemma ? [whole('attention.sliding_window', config.windows.find((window) => window !== undefined)!)] : []),
  ];
}

/** Sliding windows: Gemma's own pattern, or a context so short that they do not matter. */
function windowsOf(
  config: ModelConfig,
  { gemma }: Architecture,
): { readonly context: number; readonly notes: string[] } {
  const { windows, maxPositions } = config;
  if (gemma) {
    const fits = windows.every((window, block) => (window === undefined) === ((block + 1) % 6 === 0));
    if (!fits || windows[0] === undefined)
      throw refuse('sliding_window', 'a window in all but every sixth block', 'others');
    return { context: maxPositions, notes: [] };
  }
  const shortest = Math.min(maxPositions, ...windows.map((window) => window ?? maxPositions));
  if (shortest === maxPositions) return { context: maxPositions, notes: [] };
  const note = `llama.cpp has no sliding window for this architecture: the context is ${shortest} tokens, the window, instead of ${maxPositions}. Beyond it its numbers would differ.`;
  return { context: shortest, notes: [note] };
}

function refuseOthers(config: ModelConfig, { name, activation, biases, gemma, permutes }: Architecture): void {
  const { rope, localRope, attention } = config;
  if (config.activation !== activation) throw refuse('the activation', activation, config.activation);
  for (const part of ['qkv', 'o', 'mlp'] as const) {
    if (config.bias[part] && !biases.includes(part)) throw refuse(`a bias of ${part}`, `none in ${name}`, 'one');
  }
  if (attention.cap !== undefined) throw refuse('attn_logit_softcapping', 'none', attention.cap);
  if (config.logitCap !== undefined) throw refuse('final_logit_softcapping', 'none', config.logitCap);
  const usual = gemma && config.blocks === 62 ? config.hidden / config.stated.heads : config.headDim;
  if (Math.abs(attention.scale * Math.sqrt(usual) - 1) > 1e-6) {
    throw refuse('query_pre_attn_scalar', `${usual}`, 1 / attention.scale ** 2);
  }
  if (rope!.dims !== config.headDim) throw refuse('partial_rotary_factor', '1', rope!.dims / config.headDim);
  const kind = rope!.scaling?.kind ?? 'default';
  const kinds = permutes ? ['default', 'linear', 'llama3'] : ['default', 'linear'];
  if (!kinds.includes(kind)) throw refuse('rope_scaling.rope_type', `one of ${kinds.join(', ')} in ${name}`, kind);
  if (localRope && (localRope.theta !== 10_000 || localRope.scaling)) {
    throw refuse('rope_local_base_freq', '10000, not scaled', localRope.theta);
  }
}

function tensorsOf({ config, tensorNames }: Model, { permutes, gemma }: Architecture): readonly NamedTensor[] {
  const { embedding, finalNorm, head } = tensorNames;
  const plain = { heads: undefined, plus: 0 };
  const norm = { kind: 'vector', heads: undefined, plus: gemma ? 1 : 0 } as const;
  const tensors: NamedTensor[] = [{ name: 'token_embd.weight', source: embedding, kind: 'table', ...plain }];
  for (let block = 0; block < config.blocks; block++) {
    const { heads: q, kvHeads: k } = config.widths[block]!;
    for (const { name: source, role, shape } of blockTensors(config, tensorNames, block)) {
      const [module, part] = role.split('.') as [string, 'weight' | 'bias'];
      const name = `blk.${block}.${ROLES[module]}.${part}`;
      if (module.endsWith('Norm')) tensors.push({ name, source, ...norm });
      else {
        const heads = permutes ? ({ q, k } as Record<string, number>)[module] : undefined;
        tensors.push({ name, source, kind: shape.length === 1 ? 'vector' : 'linear', heads, plus: 0 });
      }
    }
  }
  tensors.push({ name: 'output_norm.weight', source: `${finalNorm}.weight`, ...norm });
  // llama.cpp's deci is given a head even where it is tied.
  if (head !== embedding || config.uneven)
    tensors.push({ name: 'output.weight', source: head, kind: 'table', ...plain });
  return tensors;
}

/** Rows of `width` values reordered within each of `heads` heads: halves → neighbours. */
export function interleaveHalves<A extends Float32Array | Int8Array>(values: A, width: number, heads: number): A {
  const to = values.slice() as A;
  const half = values.length / width / heads / 2;
  for (let head = 0; head < heads; head++) {
    for (let i = 0; i < 2 * half; i++) {
      const from = head * 2 * half + (i % 2) * half + Math.floor(i / 2);
      to.set(values.subarray(from * width, (from + 1) * width), (head * 2 * half + i) * width);
    }
  }
  return to;
}

function refuse(
  what: string,
  expected: string,
  got: unknown,
  next = 'Export to hf or compressed-tensors',
): UnsupportedError {
  const message = `${what}: GGUF is written for ${expected}, got ${got}; llama.cpp would compute other numbers. ${next}.`;
  return new UnsupportedError('E_UNSUPPORTED_EXPORT', message, { what, expected, got });
}
