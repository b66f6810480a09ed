// From logits to the next token. Temperature 0 is greedy; ties go to the lowest id. Otherwise p = softmax(logits / T) in
// f64, cut in this order (that of transformers): the k likeliest tokens (top-k); of those, renormalised, the smallest set
// of likeliest tokens whose mass reaches topP; then those at least minP times as likely as the likeliest. At least one
// token is left; equal probabilities rank by lower id. Changes to the logits are in penalties.ts. One uniform number is
// drawn per token, so a seed gives the same text whatever else runs. Instead of sorting the whole vocabulary, a histogram
// over (max − logit) / T finds how far down to sort.

import { createRng, NumericError } from '../base/portable.js';
import type { Choice } from '../decoder/portable.js';
import type { Penalties } from './penalties.js';

export type Sampling = {
  /** T ≥ 0; 0 is greedy. */
  readonly temperature: number;
  /** Share of the mass to draw from, 0 to 1; 1 keeps everything. */
  readonly topP: number;
  /** Number of tokens to draw from; undefined keeps all. */
  readonly topK?: number | undefined;
  /** Share of the likeliest token’s probability that a token needs, 0 to 1. Defaults to 0, which keeps all. */
  readonly minP?: number | undefined;
  readonly seed: number;
} & Penalties;

export type Sampler = (logits: Float32Array) => number;

/** A sampler with its own stream of random numbers. */
export function createSampler({ temperature, topP, topK, minP = 0, seed }: Sampling): Sampler {
  if (temperature === 0) return argmax;
  const rng = createRng(seed);
  return (logits) => {
    const best = logits[argmax(logits)]!;
    const u = rng.uniform();
    const k = topK === undefined || topK >= logits.length ? undefined : topK;
    if (k === undefined && topP >= 1 && minP === 0) return drawFromAll(logits, best, temperature, u);
    return drawFromNucleus(logits, best, temperature, { topP, k, minP }, u);
  };
}

/** The token with the largest logit, the lowest of equals. @throws NumericError E_NUMERIC_LOGITS for NaN or an infinite result */
export function argmax(logits: Float32Array): number {
  let best = 0;
  for (let i = 0; i < logits.length; i++) {
    const x = logits[i]!;
    if (x > logits[best]!) best = i;
    else if (Number.isNaN(x)) throw notFinite(i, x);
  }
  if (!Number.isFinite(logits[best])) throw notFinite(best, logits[best]);
  return best;
}

/** What `argmax` gives or throws, of a likeliest token that was found elsewhere. @throws NumericError E_NUMERIC_LOGITS */
export function checkChoice({ token, logit }: Choice): number {
  if (!Number.isFinite(logit)) throw notFinite(token, logit);
  return token;
}

const notFinite = (token: number, got: number | undefined): NumericError =>
  new NumericError(
    'E_NUMERIC_LOGITS',
    `The model gives token ${token} the logit ${got}; expected a finite number. The checkpoint may be damaged: run layerwise evaluate on it.`,
    { token, got },
  );

function drawFromAll(logits: Float32Array, best: number, temperature: number, u: number): number {
  const weights = new Float64Array(logits.length);
  let total = 0;
  for (let i = 0; i < logits.length; i++) {
    weights[i] = Math.exp((logits[i]! - best) / temperature);
    total += weights[i]!;
  }
  return pick(weights, u * total);
}

/**
 * The first index at which the running sum passes `threshold`; if rounding keeps the sum below it, the last index with any
 * weight.
 */
function pick(weights: ArrayLike<number>, threshold: number): number {
  let sum = 0;
  let last = 0;
  for (let i = 0; i < weights.length; i++) {
    if (weights[i] === 0) continue;
    sum += weights[i]!;
    last = i;
    if (sum > threshold) return i;
  }
  return last;
}

const BINS = 1024;
const BINS_PER_NAT = 16; // 64 nats in all; everything below is one bin

type Cut = { readonly topP: number; readonly k: number | undefined; readonly minP: number };

function drawFromNucleus(
  logits: Float32Array,
  best: number,
  temperature: number,
  { topP, k, minP }: Cut,
  u: number,
): number {
  const masses = new Float64Array(BINS);
  const counts = new Int32Array(BINS);
  const binOf = (logit: number): number =>
    Math.min(BINS - 1, Math.floor(((best - logit) / temperature) * BINS_PER_NAT));
  let total = 0;
  for (let i = 0; i < logits.length; i++) {
    const bin = binOf(logits[i]!);
    const weight = Math.exp((logits[i]! - best) / temperature);
    masses[bin]! += weight;
    counts[bin]!++;
    total += weight;
  }
  // The last bin that can hold a token of the set. If k cuts, the remaining mass is known only after sorting.
  const floor = k === undefined && minP > 0 ? Math.ceil(-Math.log(minP) * BINS_PER_NAT) + 1 : BINS - 1;
  let [deepest, mass, count] = [0, 0, 0];
  for (; deepest < Math.min(floor, BINS - 1); deepest++) {
    mass += masses[deepest]!;
    count += counts[deepest]!;
    if (k === undefined ? mass >= topP * total : count >= k) break;
  }
  const candidates: number[] = [];
  for (let i = 0; i < logits.length; i++) if (binOf(logits[i]!) <= deepest) candidates.push(i);
  candidates.sort((a, b) => logits[b]! - logits[a]! || a - b);
  const ranked = k === undefined ? candidates : candidates.slice(0, k);
  const weights = ranked.map((i) => Math.exp((logits[i]! - best) / temperature));
  const wanted = topP * (k === undefined ? total : weights.reduce((sum, weight) => sum + weight, 0));
  let [kept, reached] = [0, 0];
  while (kept < weights.length && (kept === 0 || (reached < wanted && weights[kept]! >= minP))) {
    reached += weights[kept++]!;
  }
  return ranked[pick(weights.slice(0, kept), u * reached)]!;
}
