// How a family makes one vector of an image or a text, to be compared with those that another trunk makes (CLIP, SigLIP).

export type EmbedSpec = {
  /** The row of a text that is read: that of its end token, or the last. Absent where images are read: `ImageSpec.pool` says it. */
  readonly row?: 'end' | 'last';
  /** The linear after the norm. Absent where the pooled row is the vector. */
  readonly projection?: {
    readonly module: string;
    /** Whether its name is below the family's base. */
    readonly below: boolean;
    readonly bias: boolean;
    /** The key of its rows, and their number where the key is absent; undefined: as many as the residual is wide. */
    readonly key: string;
    readonly fallback: number | undefined;
  };
};
