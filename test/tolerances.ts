// Every tolerance of the test suite, by dtype and depth of computation, with its reason.

/** Whole-model logits against transformers, both in fp32: different summation orders over a few small blocks. */
export const LOGITS = 2e-4;

/** |got − expected| ≤ absolute + relative · |expected|. */
export type Tolerance = { readonly absolute: number; readonly relative: number };

/**
 * Any engine in fp32 against the reference in double: one op, one block or the head, values of about 1, sums of at most
 * 1,000 terms. The worst measured is a fifth of it, on x86 and on SwiftShader; real GPUs may round exp and rsqrt worse.
 */
export const ENGINE: Tolerance = { absolute: 1e-5, relative: 1e-5 };
