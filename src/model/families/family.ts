// A family is data: what the block of one `model_type` looks like beyond what config.json says. A config *value* that
// changes the numbers and that the block cannot express is refused by name, never ignored.

export type FamilySpec = {
  /** `model_type` in config.json, and this file's name. */
  readonly modelType: string;
  /** Which linears carry a bias: always, never, or as a boolean key of config.json says. */
  readonly bias: {
    readonly qkv: boolean | { readonly key: string };
    readonly o: boolean | { readonly key: string };
    readonly mlp: boolean | { readonly key: string };
  };
  /** RMS norm over each head's queries and keys before the rotation. */
  readonly qkNorm: boolean;
  /** Whether `sliding_window` is in force: always when set, or only when a boolean key says so. */
  readonly slidingWindow: 'none' | 'set' | { readonly key: string };
  /** What transformers assumes where config.json is silent. */
  readonly defaults: { readonly normEps: number; readonly ropeTheta: number; readonly tied: boolean };
};
