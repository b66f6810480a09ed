// Which chunks of the training text each step reads: every pass over the text in another seeded order. A step takes the next
// `perStep` chunks; a pass that does not divide evenly goes on in the next one.

import { shuffled } from '../base/index.js';

/** The chunks of step `step`, counted from 0; it depends on nothing that came before, so a resumed run needs no state. */
export function chunksOfStep(step: number, perStep: number, chunks: number, seed: number): readonly number[] {
  const passes = new Map<number, readonly number[]>();
  return Array.from({ length: perStep }, (_, i) => {
    const at = step * perStep + i;
    const pass = Math.floor(at / chunks);
    const order = passes.get(pass) ?? shuffled(chunks, seed + pass);
    passes.set(pass, order);
    return order[at % chunks]!;
  });
}
