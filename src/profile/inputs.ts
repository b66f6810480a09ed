// What a block and its linears read at a few tokens: 512 in all, spread evenly over the first 16 windows (ALS also uses
// 16 calibration samples). The first token of every window is one of them; some models have huge activations there.
// Windows are taken in order, so the sample does not depend on the number of workers. For a token not routed to an
// expert, that expert's linears read zeros.

import type { Engine, Session } from '../engine/index.js';
import { expertOf, TOKENS_PER_EXPERT } from '../model/index.js';
import { type Activations, inParallel, runChunk } from '../stream/index.js';
import type { BlockInputs } from './measure.js';

const WINDOWS = 16;
const TOKENS = 512;

/** The inputs of a block, `from`, and of its linears, from a session of the block's graph with outputs `inputs`. */
export async function sampleInputs(engine: Engine, session: Session, from: Activations): Promise<BlockInputs> {
  const windows = Math.min(
    WINDOWS,
    from.chunks.reduce((a, b) => a + b, 0),
  );
  const perWindow = Math.max(1, Math.min(from.length, Math.floor(TOKENS / windows)));
  const positions = Array.from({ length: perWindow }, (_, i) => Math.floor((i * from.length) / perWindow));
  // How many of each chunk's first windows are sampled, until there are enough.
  const taken: number[] = [];
  for (let chunk = 0, left = windows; left > 0; chunk++) {
    taken.push(Math.min(left, from.chunks[chunk]!));
    left -= taken.at(-1)!;
  }
  const pick = (data: Float32Array, count: number, width: number, rowOf?: Int32Array): Float32Array => {
    const rows = new Float32Array(count * perWindow * width);
    for (let w = 0, row = 0; w < count; w++) {
      for (const position of positions) {
        const token = w * from.length + position;
        const at = (rowOf?.[token] ?? token) * width;
        if (at >= 0) rows.set(data.subarray(at, at + width), row * width);
        row++;
      }
    }
    return rows;
  };
  const parts = await inParallel(engine.concurrency, taken.length, async (chunk) => {
    const block = pick(await from.read(chunk), taken[chunk]!, from.width);
    const outputs = await runChunk(session, from, chunk);
    const { [TOKENS_PER_EXPERT]: assigned, ...taps } = outputs;
    const sites = Object.entries(taps).map(([site, { data, shape }]) => {
      const width = shape[1]!;
      const expert = expertOf(site);
      const rowOf =
        expert === undefined
          ? undefined
          : rowsOf(assigned!.data as Float32Array, expert, from.chunks[chunk]! * from.length);
      return { site, width, data: pick(data as Float32Array, taken[chunk]!, width, rowOf) };
    });
    return { block, sites };
  });
  const sites = parts[0]!.sites.map(({ site, width }, s) => {
    return [site, { width, data: concatenate(parts.map((part) => part.sites[s]!.data)) }] as const;
  });
  return {
    block: { width: from.width, data: concatenate(parts.map(({ block }) => block)) },
    sites: Object.fromEntries(sites),
  };
}

/** For each token, its row among an expert's tokens; −1 where it was not routed there. `assigned` is [experts, tokens]. */
function rowsOf(assigned: Float32Array, expert: number, tokens: number): Int32Array {
  let row = 0;
  return Int32Array.from({ length: tokens }, (_, token) => (assigned[expert * tokens + token] === 1 ? row++ : -1));
}

function concatenate(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
