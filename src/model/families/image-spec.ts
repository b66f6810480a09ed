// How a family reads images: what stands before its first block and what its head reads. Names are below the family's base.

/**
 * What a classifier makes of the residual of an image. `first`: the row of the class token. `first+mean`: that row beside the mean
 * of the patches' rows, both normed. `mean`: the mean of all rows. `attention`: SigLIP's pooling with a query of its own.
 */
export type Pool = 'first' | 'first+mean' | 'mean' | 'attention';

export type ImageSpec = {
  /** The convolution that makes a row of a patch, and whether it has a bias. */
  readonly patches: string;
  readonly patchBias: boolean;
  /** The side of a patch where config.json has none. Defaults to 16. */
  readonly patch?: number;
  /** Pixels that do not fill a patch are left out, as a convolution does. Defaults to false: such sizes are refused. */
  readonly partial?: true;
  /** Tensors of one row each that stand before the patches, the class token first. */
  readonly tokens: readonly string[];
  /** Tokens and positions have no leading 1 in their shapes. Defaults to false. */
  readonly flat?: true;
  /** The table of positions, for tokens and patches. Absent where a block knows where a pixel is by itself. */
  readonly positions?: string;
  /** The norm after patches, tokens and positions, and its ε where it is not the model's. */
  readonly stemNorm?: { readonly module: string; readonly eps?: number };
  /** Whether transformers interpolates positions of its own accord where an image has another size than config.json says. */
  readonly interpolated: boolean;
  readonly pool: Pool;
  /** Stages that halve an image's sides and double its width (ConvNeXt): sizes come from `hidden_sizes` and `depths`. */
  readonly staged?: true;
  /** The MLP of a block has a global response norm between its linears (ConvNeXt V2). */
  readonly response?: true;
  /**
   * Set where another trunk reads the residual instead of a head: after which blocks, as `hidden_states` of transformers counts
   * them. 0 is what the first block reads, −1 what the last one writes.
   */
  readonly features?: readonly number[];
};
