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

/**
 * Column norms, perplexities and reconstruction errors of a pruned four-block model against PyTorch, relative, both in
 * fp32: sums over 256 tokens in another order. Masks are equal, so nothing else differs. The worst measured are 6e-7,
 * 2e-7 and 4e-7; perplexity is what users compare between tools, so it has the margin of four digits.
 */
export const NORMS = 1e-5;
export const PERPLEXITY = 1e-4;
export const RECONSTRUCTION = 1e-5;

/**
 * A block of at most 256 columns, factorised or inverted in float32 against double, as a share of the largest value:
 * sums of 256 terms, condition of a few hundred.
 */
export const KERNEL = 1e-4;

/** max |U·H·Uᵀ − I| of a float32 factor, evaluated in double: condition of the damped H (some thousands) times 2⁻²⁴. */
export const FACTOR = 2e-3;

/** A product of matrices in float32 against double: sums of at most 40 terms of size at most 1. */
export const PRODUCT = 1e-5;

/**
 * SparseGPT's updated weights against PyTorch's, as a share of the largest: both in fp32 by different factorisations
 * and orders of summation, over 150 columns whose errors feed each other. PyTorch itself is up to 5e-7 from float64.
 */
export const SPARSEGPT_WEIGHTS = 1e-4;

/**
 * A window's mean loss, nats per token, of a small model in fp32 against logits in double: the logits differ by up to
 * 1e-5, the loss by less. The worst measured is 4e-7.
 */
export const LOSS = 1e-5;

/** A Gram matrix over some thousand tokens in float32 against double, as a share of √(H_ii·H_jj). */
export const GRAM = 2e-5;

/**
 * Measures in double against numpy in double: sums of some thousand terms in another order; the Hill estimate takes
 * logarithms of eigenvalues that are off by 1e-15 of the largest, which the smallest are 1e-4 of.
 */
export const MEASURES = 1e-9;

/** Eigenvalues of a matrix of at most 60 rows, as a share of the largest: 60·2⁻⁵³ and a margin of ten. */
export const EIGENVALUES = 1e-13;

/** Sums of RIA's shares, each a float32 rounded a few times, relative to how many sums there are. */
export const RIA_SCORES = 1e-5;

/** Mean KL divergence of a small model's distributions in fp32, nats: what the rounding of two equal models leaves. */
export const DIVERGENCE = 1e-6;

/** Σ x over some hundred tokens in float32 against double, as a share of Σ |x|. */
export const COLUMN_SUMS = 1e-5;

/** A float32 product of the runtime against double, as a share of Σ |w·x|: at most 700 terms in four running sums. */
export const MULTIPLY = 1e-5;

/** The runtime's kernels between products in float32 against double: an exponential, sums of at most 300 terms of size 1. */
export const DECODER: Tolerance = { absolute: 2e-6, relative: 5e-6 };

/**
 * Zeroth-order estimates of gradient norms from 32 draws, as logarithms of ratios to exact ones: one standard error is
 * 1/√64 = 0.125. The worst of 70 linears is allowed four of them; their mean 0.125/√70 = 0.015, three of them.
 */
export const GRADIENT_NORM = 0.5;
export const GRADIENT_MEAN = 0.05;

/** NeuronAl's misalignment, relative: differences of shares that are some thousandths, of norms that are good to NORMS. */
export const MISALIGNMENT = 1e-3;

/** ADMM's weights in float32 against float64, as a share of the largest: twenty turns of a well conditioned product. */
export const ADMM_WEIGHTS = 1e-5;

/**
 * Σ log p of a continuation of up to some hundred tokens, nats, fp32 against transformers' fp32: each token's differs by up
 * to 1e-6 or so, in either direction. The worst measured are 2e-5 on made-up items and 4e-5 on 4,000 of HellaSwag.
 */
export const LOG_PROBABILITY = 2e-4;

/**
 * Mean divergence of an edited model in fp32 against numpy in double, relative: logits that are good to 1e-5, divergences of
 * about 1 nat. The worst measured is 6e-7.
 */
export const FIDELITY = 5e-6;

/**
 * Gradients in double against finite differences in double, as a share of ‖g‖·‖v‖: four values of a loss of about 10, each
 * good to 1e-14 or so, over a step of 1e-5.
 */
export const SLOPE = 1e-7;

/** The same for Gelu, whose constants √(2/π) and 0.044715 are float32 in a graph of gradients and double in the operator. */
export const SLOPE_OF_GELU = 1e-6;

/**
 * Gradients of a block or the head by any engine in fp32 against the reference in double, ‖difference‖ / ‖gradient‖. The
 * worst measured are 1.2e-6 on x86 and 1.8e-6 on SwiftShader, both of the head's divergence; of blocks 0.9e-6.
 */
export const ENGINE_GRADIENT = 2e-6;

/**
 * Gradients of a block or the head in fp32 against PyTorch in float64, ‖difference‖ / ‖gradient‖: the project's bar. The
 * worst measured, of all tensors of all families, is 7.7e-7.
 */
export const GRADIENT = 1e-6;

/** Norms of gradients through a whole model of up to seven small blocks in fp32, against PyTorch in float64, relative. */
export const WHOLE_GRADIENT = 1e-5;

/**
 * Weights of tokens, whose mean is 1, against central differences of a loss of about 6 nats that float32 activations give: steps
 * of 0.02 leave 1e-4 of a slope to third derivatives, and rounding some 1e-5 nats per unit to each of them.
 */
export const TOKEN_WEIGHT = 0.02;

/**
 * REAP's scores and the router's agreement in float32 against double, relative: sums of at most 48 tokens' norms of 32 numbers.
 * The worst measured is 4e-7.
 */
export const EXPERT_SCORES = 1e-5;

/** Merged weights against averages in double, relative: half a step of the dtype, and a margin for float32 against float32. */
export const MERGED: Readonly<Record<string, number>> = { F32: 1e-6, F16: 2 ** -10, BF16: 2 ** -7 };

/**
 * Weights fitted after a cut, against numpy in float64, as a share of the largest weight: the inverse of the Gram matrix comes from
 * a factor in float32, and the ridge bounds its condition by about n/0.01. The worst measured is 8e-7.
 */
export const CUT_WEIGHT = 5e-6;

/** Costs of slices against those of solving every set in float64, relative. The worst measured is 2.4e-6. */
export const CUT_COST = 1e-5;

/** Taylor scores of slices of a small model in fp32 against PyTorch in float64, as a share of the largest of their block. */
export const TAYLOR = 1e-5;
