// How many windows the cheap judgements of a run look at.

/** Windows that a surrogate scores. */
export const SURROGATE_WINDOWS = 32;

/** Windows that each linear's sensitivity is measured on. */
export const SENSITIVITY_WINDOWS = 8;

/** Windows that NeuronAl's candidates are judged on. */
export const ALIGNMENT_WINDOWS = 8;

/** The windows of a surrogate's sample, by their places among so many. */
export const surrogateSample = (windows: number): readonly number[] => {
  const taken = Math.min(SURROGATE_WINDOWS, windows);
  return Array.from({ length: taken }, (_, i) => Math.floor((i * windows) / taken));
};
