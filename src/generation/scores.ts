// Natural log-probabilities of tokens, from f32 logits in f64, at temperature 1: the model’s distribution, before sampling
// settings. A token and the same token among the likeliest have equal bits, because clients compare them.

export type TokenScore = {
  readonly token: number;
  readonly logprob: number;
};

/** A token and the likeliest tokens at its place, likeliest first, equal ones by lower id. */
export type ScoredToken = TokenScore & { readonly top: readonly TokenScore[] };

/** Scores `token` by one row of logits, and the `count` likeliest tokens. */
export function scoreToken(logits: Float32Array, token: number, count: number): ScoredToken {
  const { largest, normaliser } = normaliseRow(logits);
  const of = (id: number): TokenScore => ({ token: id, logprob: logits[id]! - largest - normaliser });
  return { ...of(token), top: likeliest(logits, count).map(of) };
}

/** The largest logit, and ln Σ exp(logit − largest). A logit minus both is its log-probability. */
export function normaliseRow(logits: Float32Array): { readonly largest: number; readonly normaliser: number } {
  let largest = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i++) if (logits[i]! > largest) largest = logits[i]!;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) {
    // e^(−below) = 2^(−k/32) · e^r, |r| ≤ ln 2 / 64; the series of e^r to r⁴ leaves out less than 2e-12 of it.
    const below = largest - logits[i]!;
    if (below > NOTHING) continue;
    const k = (below * (1 / STEP) + 0.5) | 0;
    const r = k * STEP - below;
    sum += POWERS[k]! * (1 + r * (1 + r * (1 / 2 + r * (1 / 6 + r * (1 / 24)))));
  }
  return { largest, normaliser: Math.log(sum) };
}

/** e^−44 is 8e-20: even a million such terms do not change a sum of at least 1. */
const NOTHING = 44;
const PARTS = 32;
const STEP = Math.LN2 / PARTS;
/**
 * 2^(−k/32). Only roots and products, which are the same on every machine, as e^x need not be. A call of Math.exp for each
 * token of the vocabulary took three times as long.
 */
const POWERS = powers();

function powers(): Float64Array {
  const root = Array.from({ length: Math.log2(PARTS) }).reduce<number>((power) => Math.sqrt(power), 0.5);
  const all = new Float64Array(Math.ceil(NOTHING / STEP) + 1);
  for (let k = 0; k < all.length; k++) {
    all[k] = k >= PARTS ? all[k - PARTS]! / 2 : k === 0 ? 1 : all[k - 1]! * root;
  }
  return all;
}

/** Ids of the `count` largest logits, in order; equal ones by lower id. */
function likeliest(logits: Float32Array, count: number): number[] {
  const best: number[] = [];
  if (count === 0) return best;
  for (let i = 0; i < logits.length; i++) {
    const x = logits[i]!;
    if (best.length === count && x <= logits[best[count - 1]!]!) continue;
    let at = best.length;
    while (at > 0 && x > logits[best[at - 1]!]!) at--;
    best.splice(at, 0, i);
    if (best.length > count) best.pop();
  }
  return best;
}
