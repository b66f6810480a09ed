// The names of a family’s tensors. Everything but the head is below a base name, which checkpoints of the bare model
// (GPT-2’s own, some of OPT’s) leave out. Modules are below a block’s prefix, `<base><blocks>.<number>.`.

const LINEAR_KINDS = ['q', 'k', 'v', 'qkv', 'o', 'gate', 'up', 'gate_up', 'down'] as const;
/** What a linear does in its block. */
export type LinearKind = (typeof LINEAR_KINDS)[number];

export type NormRole = 'attentionNorm' | 'attentionPostNorm' | 'mlpNorm' | 'mlpPostNorm' | 'qNorm' | 'kNorm';

/** A tensor of a block that is neither a norm's nor a prunable linear's. */
export type ExtraRole =
  | 'attentionScale'
  | 'mlpScale'
  | 'depthwise.weight'
  | 'depthwise.bias'
  | 'response.weight'
  | 'response.bias'
  | 'halving.norm.weight'
  | 'halving.norm.bias'
  | 'halving.weight'
  | 'halving.bias';

export type Names = {
  /** Possible base names; the embedding decides which one applies. Checkpoints of the bare model have an empty one. */
  readonly bases: readonly string[];
  readonly embedding: string;
  /** The table of learned positions. */
  readonly positions?: string;
  /** Linears between a narrower embedding and the residual, where config.json has one. */
  readonly projectIn?: string;
  readonly projectOut?: string;
  readonly finalNorm: string;
  readonly blocks: string;
  /** Names of the head, today’s first. Where none is stored, the head is tied to the embedding. */
  readonly head: readonly string[];
  readonly modules: Readonly<Partial<Record<LinearKind | NormRole, string>>>;
  /** Those that are named otherwise where the MLP is gated. */
  readonly gatedModules?: Readonly<Partial<Record<LinearKind, string>>>;
  /** Where blocks have experts: the router, the prefix of an expert’s number, and the linears after it. */
  readonly experts?: {
    readonly router: string;
    readonly before: string;
    readonly modules: Readonly<Partial<Record<LinearKind, string>>>;
  };
  /** Whole names of a block's other tensors, below its prefix or, for `halving`, below its stage's. */
  readonly extras?: Readonly<Partial<Record<ExtraRole, string>>>;
  /** Endings of names of block tensors that older transformers saved and that hold no weights. */
  readonly buffers: readonly string[];
};

export const LLAMA_NAMES: Names = {
  bases: ['model.', ''],
  embedding: 'embed_tokens',
  finalNorm: 'norm',
  blocks: 'layers',
  head: ['lm_head'],
  modules: {
    attentionNorm: 'input_layernorm',
    mlpNorm: 'post_attention_layernorm',
    qNorm: 'self_attn.q_norm',
    kNorm: 'self_attn.k_norm',
    q: 'self_attn.q_proj',
    k: 'self_attn.k_proj',
    v: 'self_attn.v_proj',
    o: 'self_attn.o_proj',
    gate: 'mlp.gate_proj',
    up: 'mlp.up_proj',
    down: 'mlp.down_proj',
  },
  buffers: ['.rotary_emb.inv_freq'],
};

/** Names that ViT, DeiT and DINOv2 share. */
export const VIT_NAMES: Omit<Names, 'bases'> = {
  embedding: 'embeddings.patch_embeddings.projection',
  finalNorm: 'layernorm',
  blocks: 'encoder.layer',
  head: ['classifier'],
  modules: {
    attentionNorm: 'layernorm_before',
    mlpNorm: 'layernorm_after',
    q: 'attention.attention.query',
    k: 'attention.attention.key',
    v: 'attention.attention.value',
    o: 'attention.output.dense',
    up: 'intermediate.dense',
    down: 'output.dense',
  },
  buffers: ['.embeddings.mask_token'],
};
