// AssemblyScript: causal attention of one sequence and one layer over a float32 cache of keys and values. Query t of
// `tokens` is at position `start` + t and sees the positions up to its own, at most `window` of them if that is not
// zero. Key-value head h serves `shared` query heads from h·shared on. Up to four (query, head) pairs that need the
// same keys go through them together. In decoding these are heads of one token, so each key and value is read from
// memory once for four. Scores are kept in `scores`, f32 [4, positions]; the largest is subtracted before the
// exponential.

import { touchRows } from './ahead.as';
import { tanh4 } from './elements.as';
import { dot, dots, exp4, total } from './lanes.as';

/** Positions whose keys and values are touched at once (ahead.as.ts). */
const BATCH: i32 = 16;

/**
 * Replaces `count` positions' scores by e^(score − largest) and returns 1 / their sum. The scores are padded to fours.
 */
function soften(scores: usize, count: i32): f32 {
  for (let i = count; (i & 3) !== 0; i++) store<f32>(scores + ((<usize>i) << 2), f32.NEGATIVE_INFINITY);
  const end = scores + ((<usize>((count + 3) & ~3)) << 2);
  let most = v128.load(scores);
  for (let at = scores + 16; at < end; at += 16) most = f32x4.pmax(most, v128.load(at));
  const largest = max<f32>(
    max<f32>(f32x4.extract_lane(most, 0), f32x4.extract_lane(most, 1)),
    max<f32>(f32x4.extract_lane(most, 2), f32x4.extract_lane(most, 3)),
  );
  const base = f32x4.splat(largest);
  let sum = f32x4.splat(0);
  for (let at = scores; at < end; at += 16) {
    const e = exp4(f32x4.sub(v128.load(at), base));
    v128.store(at, e);
    sum = f32x4.add(sum, e);
  }
  let all = total(sum);
  for (let i = count; (i & 3) !== 0; i++) all -= load<f32>(scores + ((<usize>i) << 2));
  return 1 / all;
}

/** Replaces scores by cap · tanh(score / cap). */
function capScores(scores: usize, count: i32, cap: f32): void {
  const inverse = f32x4.splat(1 / cap);
  const caps = f32x4.splat(cap);
  // Values capped beyond the count are overwritten before they are read.
  for (const end = scores + ((<usize>count) << 2); scores < end; scores += 16) {
    v128.store(scores, f32x4.mul(caps, tanh4(f32x4.mul(v128.load(scores), inverse))));
  }
}

/** Heads [from, to) of all queries. Strides are in bytes. `cap` is 0 for no cap. */
export function attend(
  q: usize,
  qStride: usize,
  keys: usize,
  values: usize,
  positionStride: usize,
  headStride: usize,
  y: usize,
  pitch: usize,
  size: i32,
  shared: i32,
  start: i32,
  tokens: i32,
  window: i32,
  scale: f32,
  cap: f32,
  from: i32,
  to: i32,
  scores: usize,
): void {
  const bytes = (<usize>size) << 2;
  const whole = bytes & ~15;
  const rowBytes = (<usize>((start + tokens + 3) & ~3)) << 2;
  for (let token = 0; token < tokens; token++) {
    const end = start + token + 1;
    const first = window > 0 ? max(end - window, 0) : 0;
    const count = end - first;
    let block = 1;
    for (let head = from; head < to; head += block) {
      const group = head / shared;
      block = min(min((group + 1) * shared, to) - head, 4);
      const own = q + <usize>token * qStride + <usize>head * bytes;
      const skip = <usize>group * headStride + <usize>first * positionStride;
      let key = keys + skip;
      for (let i = 0; i < count; i++) {
        const at = scores + ((<usize>i) << 2);
        if (token === 0 && (i & (BATCH - 1)) === 0) {
          if (i === 0) touchRows(key, bytes, positionStride, min(BATCH, count));
          touchRows(key + <usize>BATCH * positionStride, bytes, positionStride, min(BATCH, count - i - BATCH));
          touchRows(values + skip + <usize>i * positionStride, bytes, positionStride, min(BATCH, count - i));
        }
        if (block === 4) {
          const four = f32x4.mul(dots(own, key, bytes), f32x4.splat(scale));
          v128.store32_lane(at, four, 0);
          v128.store32_lane(at + rowBytes, four, 1);
          v128.store32_lane(at + 2 * rowBytes, four, 2);
          v128.store32_lane(at + 3 * rowBytes, four, 3);
        } else {
          for (let j = 0; j < block; j++) {
            store<f32>(at + <usize>j * rowBytes, dot(own + <usize>j * bytes, key, bytes) * scale);
          }
        }
        key += positionStride;
      }
      for (let j = 0; j < block; j++) {
        const row = scores + <usize>j * rowBytes;
        const out = y + <usize>token * pitch + <usize>(head + j) * bytes;
        if (cap > 0) capScores(row, count, cap);
        const factor = soften(row, count);
        let at: usize = 0;
        for (; at + 64 <= bytes; at += 64) mix4(values + skip + at, positionStride, row, count, factor, out + at);
        for (; at < whole; at += 16) mix1(values + skip + at, positionStride, row, count, factor, out + at);
        for (; at < bytes; at += 4) {
          let sum: f32 = 0;
          let value = values + skip + at;
          for (let i = 0; i < count; i++) {
            sum += load<f32>(row + ((<usize>i) << 2)) * load<f32>(value);
            value += positionStride;
          }
          store<f32>(out + at, sum * factor);
        }
      }
    }
  }
}

/** Sixteen numbers of the mean of values weighted by e^score. */
function mix4(value: usize, stride: usize, weights: usize, count: i32, factor: f32, out: usize): void {
  let a = f32x4.splat(0);
  let b = f32x4.splat(0);
  let c = f32x4.splat(0);
  let d = f32x4.splat(0);
  for (const end = weights + ((<usize>count) << 2); weights < end; weights += 4) {
    const w = v128.load32_splat(weights);
    a = f32x4.add(a, f32x4.mul(w, v128.load(value)));
    b = f32x4.add(b, f32x4.mul(w, v128.load(value, 16)));
    c = f32x4.add(c, f32x4.mul(w, v128.load(value, 32)));
    d = f32x4.add(d, f32x4.mul(w, v128.load(value, 48)));
    value += stride;
  }
  const f = f32x4.splat(factor);
  v128.store(out, f32x4.mul(a, f));
  v128.store(out, f32x4.mul(b, f), 16);
  v128.store(out, f32x4.mul(c, f), 32);
  v128.store(out, f32x4.mul(d, f), 48);
}

/** Four numbers of that mean. */
function mix1(value: usize, stride: usize, weights: usize, count: i32, factor: f32, out: usize): void {
  let a = f32x4.splat(0);
  for (const end = weights + ((<usize>count) << 2); weights < end; weights += 4) {
    a = f32x4.add(a, f32x4.mul(v128.load32_splat(weights), v128.load(value)));
    value += stride;
  }
  v128.store(out, f32x4.mul(a, f32x4.splat(factor)));
}
