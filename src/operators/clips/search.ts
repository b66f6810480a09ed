// Two searches of the clips of a block's layers. `loss(clips)` is the squared error, at the output of the last of these layers,
// when the first clips.length layers have them. Greedy: each layer takes what is best at its own output, and later ones have to
// live with it; that can be worse than no clips at all. Joint: every combination, judged at the block's output. Of equal losses
// the first wins, in the order of the grid, the first layer slowest. So joint ≤ greedy at the block's output, always.

import { settleAll } from '../../base/index.js';

export type ClipLoss = (clips: readonly number[]) => Promise<number>;

export type ClipChoice = { readonly clips: readonly number[]; readonly loss: number };

/** The paper's grid, for 6 and 8 bits, and a wider one for fewer, where a narrow one hardly moves a level. */
export const clipGrid = (bits: number): readonly number[] =>
  bits > 4 ? [1, 0.995, 0.99, 0.985, 0.98] : [1, 0.9, 0.8, 0.7, 0.6, 0.5];

/** `atOnce` losses are asked for side by side; the result does not depend on it. */
export async function greedyClips(
  layers: number,
  grid: readonly number[],
  loss: ClipLoss,
  atOnce = 1,
): Promise<ClipChoice> {
  let chosen: ClipChoice = { clips: [], loss: Number.POSITIVE_INFINITY };
  for (let layer = 0; layer < layers; layer++) {
    const { clips } = chosen;
    chosen = await leastOf(
      grid.map((clip) => [...clips, clip]),
      loss,
      atOnce,
    );
  }
  return chosen;
}

/** `atOnce` as in `greedyClips`. */
export const jointClips = (layers: number, grid: readonly number[], loss: ClipLoss, atOnce = 1): Promise<ClipChoice> =>
  leastOf([...combinations(layers, grid)], loss, atOnce);

/** Every choice of a clip for each layer, the last layer fastest. */
function* combinations(layers: number, grid: readonly number[]): Generator<readonly number[]> {
  if (layers === 0) yield [];
  else for (const rest of combinations(layers - 1, grid)) for (const clip of grid) yield [...rest, clip];
}

async function leastOf(choices: readonly (readonly number[])[], loss: ClipLoss, atOnce: number): Promise<ClipChoice> {
  let least: ClipChoice | undefined;
  for (let first = 0; first < choices.length; first += atOnce) {
    const some = choices.slice(first, first + atOnce);
    const losses = await settleAll(some.map(loss));
    for (const [i, found] of losses.entries())
      if (!least || found < least.loss) least = { clips: some[i]!, loss: found };
  }
  return least!;
}
