// What the rest of the runtime asks of whatever computes logits. A decoder keeps the keys and values of a number of
// sequences; a step appends tokens to some of them in one forward pass. L positions, V the vocabulary. The logits of a
// position are the same bits for any number of threads, whatever else is in the step and however a sequence's tokens are
// spread over steps.

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
};

/** What one sequence adds in a step: tokens appended to it, and of which of their positions the logits are wanted. */
export type StepPart = {
  readonly sequence: number;
  readonly tokens: readonly number[];
  readonly logits: 'none' | 'last' | 'all';
};

export interface Decoder {
  readonly info: DecoderInfo;
  /** A new empty sequence. @throws ResourceError where all are taken */
  open(): number;
  /** One forward pass over all parts together; for each part a fresh array, row-major [positions wanted, V], empty for `none`. */
  step(parts: readonly StepPart[]): Promise<readonly Float32Array[]>;
  /** Cuts a sequence back to `length` positions (prefix reuse). */
  truncate(sequence: number, length: number): void;
  release(sequence: number): void;
  close(): Promise<void>;
}
