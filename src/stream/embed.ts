// The residual before block 0: each token's row of the embedding table, scaled, projected, and added to its position's row
// where the model has position rows. Tables are read once, in order, slab by slab; only the rows that are needed are kept.
// A projection (only OPT-350M has one) is a product in float64 on this thread: half a million multiplications for each
// distinct token.

import { handOver } from '../base/index.js';
import { readRows, readTensorFloat32 } from '../checkpoint/index.js';
import type { Model } from '../model/index.js';
import type { Windows } from '../text/index.js';
import { type Activations, chunksOf, createActivations } from './activations.js';
import { endsOf } from './texts.js';

/** Embeds `windows`. `depths` gives each token’s position in its sequence, where that is not its place in the window. */
export async function embedWindows(
  model: Model,
  windows: Windows,
  depths?: readonly Int32Array[],
): Promise<Activations> {
  const { length } = windows;
  const chunks = chunksOf(windows.windows.length, length);
  const ends = endsOf(model, windows);
  return await handOver(await createActivations(chunks, length, model.config.hidden), async (activations) => {
    await writeEmbeddings(model, windows, depths, activations);
    return Object.assign(activations, ends && { ends });
  });
}

async function writeEmbeddings(
  model: Model,
  windows: Windows,
  depths: readonly Int32Array[] | undefined,
  activations: Activations,
): Promise<void> {
  const { length } = windows;
  const { config, tensorNames } = model;
  const { hidden: D, embedding } = config;
  const needed = new Set<number>();
  for (const window of windows.windows) for (const token of window) needed.add(token);
  const rows = await readSomeRows(model, tensorNames.embedding, needed);
  if (embedding.scale !== 1) for (const row of rows.values()) scale(row, embedding.scale);
  if (tensorNames.projectIn) await project(model, tensorNames.projectIn, rows);
  const { positionOffset: offset } = embedding;
  const positions =
    offset === undefined
      ? undefined
      : await readSomeRows(model, tensorNames.positions!, new Set(Array.from({ length }, (_, t) => t + offset)));
  let at = 0;
  for (const [chunk, count] of activations.chunks.entries()) {
    const data = new Float32Array(count * length * D);
    for (let w = 0; w < count; w++, at++) {
      const window = windows.windows[at]!;
      for (let t = 0; t < length; t++) {
        const to = (w * length + t) * D;
        data.set(rows.get(window[t]!)!, to);
        if (!positions) continue;
        const position = positions.get((depths ? depths[at]![t]! : t) + offset!)!;
        for (let i = 0; i < D; i++) data[to + i]! += position[i]!;
      }
    }
    await activations.write(chunk, data);
  }
}

/** The rows of table `name` whose numbers are in `needed`. */
async function readSomeRows(
  { checkpoint }: Model,
  name: string,
  needed: ReadonlySet<number>,
): Promise<Map<number, Float32Array>> {
  const found = new Map<number, Float32Array>();
  await readRows(checkpoint, name, (first, rows, width) => {
    for (let row = 0; row * width < rows.length; row++) {
      if (needed.has(first + row)) found.set(first + row, rows.slice(row * width, (row + 1) * width));
    }
  });
  return found;
}

function scale(row: Float32Array, factor: number): void {
  for (let i = 0; i < row.length; i++) row[i]! *= factor;
}

/** Replaces each row x by P·x, P [D, width]. */
async function project({ checkpoint, config }: Model, name: string, rows: Map<number, Float32Array>): Promise<void> {
  const P = await readTensorFloat32(checkpoint, name);
  for (const [token, x] of rows) {
    const y = new Float32Array(config.hidden);
    for (let i = 0; i < y.length; i++) y[i] = dot(P, i * x.length, x);
    rows.set(token, y);
  }
}

/**
 * The dot product of x with the values of P from `at` on. Four independent sums, so that none waits for the one before it.
 */
function dot(P: Float32Array, at: number, x: Float32Array): number {
  let [a, b, c, d] = [0, 0, 0, 0];
  let j = 0;
  for (; j + 3 < x.length; j += 4) {
    a += P[at + j]! * x[j]!;
    b += P[at + j + 1]! * x[j + 1]!;
    c += P[at + j + 2]! * x[j + 2]!;
    d += P[at + j + 3]! * x[j + 3]!;
  }
  for (; j < x.length; j++) a += P[at + j]! * x[j]!;
  return a + b + (c + d);
}
