// Greedy writing on the device: each step ends with its likeliest tokens as the next step's input, so the steps behind it are
// submitted before anybody knows them. Only tokens and their logits come down, eight bytes each.

import { type Gpu, type GpuBuffer, READ_BACK } from '../../gpu/portable.js';
import type { DecodeSession, Limits, StepRows } from '../backend.js';
import type { Choice } from '../decoder.js';
import type { Submitter } from './encoder.js';
import type { Placement } from './placement.js';

/** Steps that are submitted and not read: one runs, and encoding the others hides behind it. */
const AHEAD = 3;

/** `put` writes a step's rows; `submitter` runs a step and then finds its likeliest tokens. */
export async function createWriter(
  gpu: Gpu,
  { picked }: Limits,
  { likeliest }: Placement,
  submitter: Submitter,
  put: (rows: StepRows) => void,
): Promise<NonNullable<DecodeSession['write']>> {
  const buffers: GpuBuffer[] = [];
  for (let i = 0; i < AHEAD; i++) buffers.push(await gpu.allocate(8 * picked, READ_BACK, 'likeliest tokens'));

  return async function* write(rows, count) {
    const counts = { tokens: rows.tokens.length, picked: rows.picks.length };
    const bytes = 8 * rows.picks.length;
    await submitter.prepare(counts);
    put(rows);
    const step = async (to: GpuBuffer): Promise<readonly Choice[]> => {
      const submitted = submitter.submit(counts, { from: 4 * likeliest.best, to, bytes });
      const [read] = await Promise.all([gpu.read(to, bytes), submitted]);
      const [tokens, logits] = [new Uint32Array(read), new Float32Array(read)];
      return rows.picks.map((_, i) => ({ token: tokens[2 * i]!, logit: logits[2 * i + 1]! }));
    };
    const under: Promise<readonly Choice[]>[] = [];
    try {
      for (let begun = 0, done = 0; done < count; done++) {
        for (; begun < count && under.length < AHEAD; begun++) {
          const one = step(buffers[begun % AHEAD]!);
          // A step that fails is told when its turn comes, or not at all.
          one.catch(() => undefined);
          under.push(one);
        }
        yield await under.shift()!;
      }
    } finally {
      // Their buffers are free, and the device idle, before anything else runs.
      await Promise.allSettled(under);
    }
  };
}
