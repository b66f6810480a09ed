// Early stopping: the state with the lowest validation loss is kept, and training ends when the loss has not fallen for some
// scorings in a row. A loss that is no number, or that has grown far beyond where it began, is divergence.

import { NumericError } from '../base/index.js';

export type Scored = { readonly step: number; readonly loss: number };

export type Watch = {
  /** The scorings so far, the start (step 0) first. */
  readonly scores: readonly Scored[];
  readonly best: Scored;
  /** Enters a score; returns whether it is the best so far, and whether to stop. @throws NumericError E_NUMERIC_DIVERGED */
  enter(score: Scored): { readonly improved: boolean; readonly stop: boolean };
};

/** Scorings in a row without a lower loss after which training ends. */
export const PATIENCE = 4;
/** What is watched: its name, and the loss that is divergence, from the one at the start. */
export type Watched = { readonly what: string; readonly diverges: (start: number) => number };

/** Watches a validation loss. `entered` are the scores of an interrupted run, the start first. */
export function createWatch(entered: readonly Scored[], rate: number, watched: Watched): Watch {
  const scores: Scored[] = [];
  let best = entered[0]!;
  const enter = (score: Scored): { readonly improved: boolean; readonly stop: boolean } => {
    requireNoDivergence(score, scores[0] ?? score, rate, watched, best);
    scores.push(score);
    const improved = score.loss < best.loss || scores.length === 1;
    if (improved) best = score;
    const since = scores.length - 1 - scores.indexOf(best);
    return { improved, stop: since >= PATIENCE };
  };
  for (const score of entered) enter(score);
  return {
    scores,
    get best() {
      return best;
    },
    enter,
  };
}

/** @throws NumericError E_NUMERIC_DIVERGED */
function requireNoDivergence(
  now: Scored,
  first: Scored,
  rate: number,
  { what, diverges }: Watched,
  best: Scored,
): void {
  if (now === first || now.loss <= diverges(first.loss)) return;
  throw new NumericError(
    'E_NUMERIC_DIVERGED',
    `${what}: the loss is ${now.loss} at step ${now.step}, and was ${first.loss} at the start; the learning rate ${rate} is too high for this model. The best state so far, ${best.loss} at step ${best.step}, is kept: repeat the command with --resume to write it as the output, or remove the folder and use a lower --rate.`,
    { what, step: now.step, loss: now.loss, first: first.loss, rate, best: best.loss, bestStep: best.step },
  );
}
