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

export interface Decoder {
  readonly info: DecoderInfo;
  /** Opens a new empty sequence. @throws ResourceError where all are taken */
  open(): number;
  /**
   * Runs one forward pass over all parts together. Returns a new array per part, row-major [positions wanted, V]; empty
   * for `none`.
   */
  step(parts: readonly StepPart[]): Promise<readonly Float32Array[]>;
  /** Cuts a sequence back to `length` positions (prefix reuse). */
  truncate(sequence: number, length: number): void;
  release(sequence: number): void;
  close(): Promise<void>;
}
