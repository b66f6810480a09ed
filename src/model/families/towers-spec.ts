// How a checkpoint of several trunks is described: where each is in config.json, whose family it is, how its tensors are named.

import type { FamilySpec } from './family.js';

export type TrunkName = 'vision' | 'text' | 'language';

export type TrunkSpec = {
  /** The object in config.json that describes it. */
  readonly within: string;
  /** Its family: one of its own, or whichever `model_type` inside the object says. */
  readonly family: FamilySpec | { readonly byType: readonly string[]; readonly fallback: string };
  /** Possible base names, and the names of its head, where they are not the family's. */
  readonly bases: readonly string[];
  readonly head?: readonly string[];
  /**
   * Set where another trunk reads its residual: the key of config.json that says after which blocks, if there is one, and what
   * counts without it (families/image-spec.ts).
   */
  readonly features?: { readonly key?: string; readonly fallback: number };
};

export type TowersSpec = {
  readonly modelType: string;
  /** In the order of the data. */
  readonly trunks: Readonly<Partial<Record<TrunkName, TrunkSpec>>>;
  /** The one that commands mean where nothing is said. */
  readonly main: TrunkName;
};
