// A trial as a letter: JSON in, losses out. Whoever runs it needs the model and the texts that it names by digest and
// nothing else of the run, so it may be another process. What two plans come to in whole weights is the plan of the letter:
// two that round alike are one trial.

import { digestOf } from '../base/index.js';
import type { Plan } from '../records/index.js';

export type Digest = string;

export type TrialRequest = {
  /** Of the checkpoint's hashes. */
  readonly model: Digest;
  /** In whole weights (plan/realise.ts). */
  readonly plan: Plan;
  /** By name. */
  readonly operator: string;
  /** Of the texts' records; absent where there is no such text. */
  readonly calibration?: Digest;
  readonly validation?: Digest;
  readonly seed: number;
  /** `surrogate`: the stand-in of the operator on dense statistics, and a sample of the windows. */
  readonly fidelity: 'exact' | 'surrogate';
  /** `likelihood`: of each validation window, in nats per token. `misalignment`: NeuronAl's, on calibration windows. */
  readonly loss: 'likelihood' | 'misalignment';
};

export type TrialOutcome = {
  readonly request: Digest;
  /** Engine and device: losses of two engines are not compared. */
  readonly engine: string;
  readonly losses: readonly number[];
  /** Relative error of each block's output; empty for a surrogate. */
  readonly errors: readonly number[];
  readonly seconds: number;
};

/** How progress names a trial; no part of it. */
export type RunHints = { readonly label: string };

/** Runs trials, as many at once as it has slots. */
export interface Executor {
  readonly slots: number;
  run(request: TrialRequest, hints: RunHints): Promise<TrialOutcome>;
}

export const requestDigest = (request: TrialRequest): Digest => digestOf(request);
