// What a family calls its tensors. Everything but the head stands below a base, which checkpoints of the bare model (GPT-2's
// own, some of OPT's) leave out. Modules stand below a block's prefix, `<base><blocks>.<number>.`.

const LINEAR_KINDS = ['q', 'k', 'v', 'qkv', 'o', 'gate', 'up', 'gate_up', 'down'] as const;
/** What a linear does in its block. */
export type LinearKind = (typeof LINEAR_KINDS)[number];

export type NormRole = 'attentionNorm' | 'attentionPostNorm' | 'mlpNorm' | 'mlpPostNorm' | 'qNorm' | 'kNorm';

export type Names = {
  /** What names begin with, the first of them that the embedding has; checkpoints of the bare model leave it out. */
  readonly bases: readonly string[];
  readonly embedding: string;
  /** The table of positions, where they are learned. */
  readonly positions?: string;
  /** Linears between a narrower embedding and the residual, where config.json has one. */
  readonly projectIn?: string;
  readonly projectOut?: string;
  readonly finalNorm: string;
  readonly blocks: string;
  /** Names of the head, which is tied to the embedding where none is needed; the first is today's. */
  readonly head: readonly string[];
  readonly modules: Readonly<Partial<Record<LinearKind | NormRole, string>>>;
  /** Where blocks have experts: the router, what stands before an expert's number, and linears behind it. */
  readonly experts?: {
    readonly router: string;
    readonly before: string;
    readonly modules: Readonly<Partial<Record<LinearKind, string>>>;
  };
  /** Tensors of a block, by the end of their names, that older transformers saved and that hold no weights. */
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
