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
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i]! - largest);
  return { largest, normaliser: Math.log(sum) };
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
