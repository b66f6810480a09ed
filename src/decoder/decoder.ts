// The interface of a decoder, which computes logits. A decoder keeps the keys and values of a number of sequences; a
// step appends tokens to some of them in one forward pass. L is positions, V the vocabulary. The logits of a position
// are the same bits for any number of threads, for any other sequences in the step, and for any division of a
// sequence's tokens into steps.

export type DecoderInfo = {
  /** V. */
  readonly vocabulary: number;
  /** Positions a sequence may have. */
  readonly maxPositions: number;
  /** How many sequences may be open at once. */
  readonly sequences: number;
  /** Resident weights, in bytes. */
  readonly bytes: number;
  readonly threads: number;
  /** On a GPU: dispatches of a token. */
  readonly dispatches?: number | undefined;
};

/** What one sequence adds in a step: the tokens to append, and the positions among them whose logits are wanted. */
export type StepPart = {
  readonly sequence: number;
  readonly tokens: readonly number[];
  readonly logits: 'none' | 'last' | 'all';
};

/** The likeliest token, the lowest of equals, and its logit. Where a logit is NaN, that of the first one. */
export type Choice = { readonly token: number; readonly logit: number };

/** Greedy writing in which no logits leave the device, so that it need not wait for anybody who looks at them. */
export interface GreedyWriter {
  /** Sequences that can write at once. */
  readonly most: number;
  /**
   * Appends a token to each sequence, then `count` − 1 times the likeliest. Yields after each time what is likeliest next.
   * The device is ahead of that; once the iteration ends, at the last or before, each sequence has what was appended before the last
   * yield. No step may be asked for before.
   */
  write(
    starts: readonly { readonly sequence: number; readonly token: number }[],
    count: number,
  ): AsyncGenerator<readonly Choice[], void, undefined>;
}

export interface Decoder {
  readonly info: DecoderInfo;
  /** Opens a new empty sequence. @throws ResourceError where all are taken */
  open(): number;
  /**
   * Runs one forward pass over all parts together. Returns a new array per part, row-major [positions wanted, V]; empty
   * for `none`.
   */
  step(parts: readonly StepPart[]): Promise<readonly Float32Array[]>;
  /** Undefined where the logits are in this machine's memory anyway, or are changed here (a cap). */
  readonly greedy?: GreedyWriter | undefined;
  /** Cuts a sequence back to `length` positions (prefix reuse). */
  truncate(sequence: number, length: number): void;
  release(sequence: number): void;
  close(): Promise<void>;
}
