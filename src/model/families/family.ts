// A family is data: what one `model_type` looks like beyond what config.json says, and what its tensors are called. A config
// *value* that changes the numbers and that the block cannot express is refused by name, never ignored.

import type { Names } from './names.js';

/** The block files: src/model/blocks/. */
export type ArchitectureName = 'llama' | 'gemma' | 'opt' | 'gpt2' | 'gpt_neox' | 'mixture';

/** `gelu` is x·Φ(x); `gelu_tanh` the approximation that goes by gelu_new, gelu_fast and gelu_pytorch_tanh. */
export type Activation = 'silu' | 'gelu' | 'gelu_tanh' | 'relu';

/** Always, never, or as a boolean key of config.json says; `fallback` (false unless given) where the file is silent. */
export type Flag = boolean | { readonly key: string; readonly fallback?: boolean };

export type FamilySpec = {
  /** `model_type` in config.json; this file's name, with - for _. */
  readonly modelType: string;
  /** Which block file it runs. */
  readonly architecture: ArchitectureName;
  readonly names: Names;
  /** Where config.json calls something otherwise than LLaMA's does: LLaMA's key → this family's. */
  readonly keys?: Readonly<Record<string, string>>;
  /** The object of config.json that describes the language model, where that is not the whole. */
  readonly within?: string;
  /** Values that a key must have, since others would change the numbers. A key that is not there has the first. */
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
  /** q, k and v are one tensor, gate and up another, one after the other in rows. Defaults to false. */
  readonly joined?: boolean;
  /** Weights lie [in, out] in the file (transformers' Conv1D) instead of [out, in]. Defaults to false. */
  readonly transposed?: boolean;
  /** Rotated queries and keys, or a table of which position t has row t + `offset`. Defaults to rotary. */
  readonly positions?: 'rotary' | { readonly offset: number };
  /** The key of the share of each head that turns, and that share where it is absent; all of it where undefined. */
  readonly partialRotary?: { readonly keys: readonly string[]; readonly fallback: number };
  /** Embeddings are multiplied by √D. Defaults to false. */
  readonly scaledEmbedding?: boolean;
  /** The key of the base of the rotation in blocks with a window, and that base where it is absent, if it is another. */
  readonly localRope?: { readonly key: string; readonly fallback: number };
  /**
   * Where `sliding_window` is in force: in all blocks; in those that `layer_types` names, or else from `max_window_layers`
   * on (or in all of them), if a boolean key says so; in those that `layer_types` names, or else in all but every n-th.
   */
  readonly slidingWindow?:
    | 'set'
    | { readonly key: string; readonly inAll?: true }
    | { readonly allBut: number; readonly key: string };
  /**
   * Where MLPs are experts, of which a router picks some for each token: the key of their width if it is not the MLP's;
   * whether what the picked ones count for is made to add up to 1; whether keys say which blocks have one MLP instead.
   */
  readonly mixture?: {
    readonly width?: 'moe_intermediate_size';
    readonly normalised: Flag;
    readonly someBlocks: boolean;
  };
  /** What transformers assumes where config.json has no such key, under LLaMA's keys. */
  readonly defaults: Readonly<Record<string, string | number | boolean | null>>;
  /** The MLP's width in units of the residual's, where config.json gives none. */
  readonly expansion?: number;
};
