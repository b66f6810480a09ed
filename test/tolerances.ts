// Every tolerance of the test suite, by dtype and depth of computation, with its reason.

/** Whole-model logits against transformers, both in fp32: different summation orders over a few small blocks. */
export const LOGITS = 2e-4;
