// A family is data: how one `model_type` differs from what config.json says, and the names of its tensors. A config *value*
// that changes the numbers and that the block cannot express is refused by name, never ignored.

import type { EmbedSpec } from './embed-spec.js';
import type { ImageSpec } from './image-spec.js';
import type { Names } from './names.js';

/** The block files: src/model/blocks/. */
export type ArchitectureName = 'llama' | 'gemma' | 'opt' | 'gpt2' | 'gpt_neox' | 'mixture' | 'convnext';

/**
 * `gelu` is x·Φ(x); `gelu_tanh` the approximation that goes by gelu_new, gelu_fast and gelu_pytorch_tanh; `quick_gelu` is
 * x·σ(1.702x).
 */
export type Activation = 'silu' | 'gelu' | 'gelu_tanh' | 'quick_gelu' | 'relu';

/** Always, never, or by a boolean key of config.json; `fallback` (false by default) applies where the key is absent. */
export type Flag = boolean | { readonly key: string; readonly fallback?: boolean };

export type FamilySpec = {
  /** `model_type` in config.json; this file's name, with - for _. */
  readonly modelType: string;
  /** Which block file it runs. */
  readonly architecture: ArchitectureName;
  readonly names: Names;
  /** Keys that have another name than in LLaMA’s config.json: LLaMA’s key → this family’s key. */
  readonly keys?: Readonly<Record<string, string>>;
  /** The object in config.json that describes the language model, where that is not the whole file. */
  readonly within?: string;
  /** The only values a key may have, because others would change the numbers. An absent key counts as the first. */
  readonly only?: Readonly<Record<string, readonly unknown[]>>;
  /** Which linears carry a bias. */
  readonly bias: { readonly qkv: Flag; readonly o: Flag; readonly mlp: Flag };
  /** `rms+1` scales by 1 + its weights. Defaults to `rms`. */
  readonly norm?: 'rms' | 'rms+1' | 'layer';
  /** Whether norms have weights at all. Defaults to true. */
  readonly normAffine?: Flag;
  /** Norms before attention and MLP (true, the default), or after each of them on the residual. */
  readonly normFirst?: Flag;
  /** RMS norm over each head's queries and keys before the rotation. */
  readonly qkNorm?: boolean;
  /** Attention and MLP both read the block's input, and their sum is added to it. Defaults to false. */
  readonly parallel?: Flag;
  /** q, k and v are one tensor, gate and up another; their rows follow one another. Defaults to false. */
  readonly joined?: boolean;
  /** Weights lie [in, out] in the file (transformers' Conv1D) instead of [out, in]. Defaults to false. */
  readonly transposed?: boolean;
  /** Rotated queries and keys, or a learned table in which position t has row t + `offset`. Defaults to rotary. */
  readonly positions?: 'rotary' | { readonly offset: number };
  /** The key of the share of each head that is rotated, and the share where it is absent. Undefined: all of the head. */
  readonly partialRotary?: { readonly keys: readonly string[]; readonly fallback: number };
  /** Whether a token sees only those before it. Defaults to true. */
  readonly causal?: boolean;
  /** What attention and MLP add to the residual is multiplied by a vector of its own (DINOv2). Defaults to false. */
  readonly layerScale?: boolean;
  /** Whether transformers reads `head_dim`, so that heads times their size need not be the residual's width. Defaults to what its block's families do. */
  readonly statesHeadDim?: boolean;
  /** Whether the MLP of OPT's block is gated, with gate and up in one tensor. Defaults to false. */
  readonly gated?: Flag;
  /** Set where the blocks read images instead of tokens. */
  readonly image?: ImageSpec;
  /**
   * What reads the residual after the last block, where that is neither an LM head nor a classifier: nothing of this trunk, or
   * what makes one vector of a sample.
   */
  readonly head?: 'none' | EmbedSpec;
  /** Embeddings are multiplied by √D. Defaults to false. */
  readonly scaledEmbedding?: boolean;
  /** The key of the base of the rotation in blocks with a window, and its default, where that rotation differs. */
  readonly localRope?: { readonly key: string; readonly fallback: number };
  /**
   * Which blocks have a `sliding_window`: all of them; or, if a boolean key turns it on, those in `layer_types`, else
   * those from `max_window_layers` on (or all); or those in `layer_types`, else all but every n-th.
   */
  readonly slidingWindow?:
    | 'set'
    | { readonly key: string; readonly inAll?: true }
    | { readonly allBut: number; readonly key: string };
  /**
   * Set where MLPs are experts and a router picks some of them for each token: the key of their width if it is not the
   * MLP’s; whether the weights of the picked ones are scaled to add up to 1; whether keys say which blocks have one MLP
   * instead.
   */
  readonly mixture?: {
    readonly width?: 'moe_intermediate_size';
    readonly normalised: Flag;
    readonly someBlocks: boolean;
  };
  /** Defaults of transformers for absent keys, under LLaMA’s names. */
  readonly defaults: Readonly<Record<string, string | number | boolean | null>>;
  /** The MLP’s width as a multiple of the residual’s, where config.json has no width. */
  readonly expansion?: number;
};
