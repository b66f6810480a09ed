// A trial as a request in JSON and an outcome with losses. The executor needs only the model and the texts that the request
// names by digest, so it may be another process. The plan of a request is in whole weights: two plans that round to the same
// counts are the same trial.

import { digestOf } from '../base/index.js';
import type { StreamTarget } from '../pipeline/index.js';
import type { Plan } from '../records/index.js';

export type Digest = string;

export type TrialRequest = {
  /** Digest of the checkpoint's hashes. */
  readonly model: Digest;
  /** In whole weights (plan/realise.ts). */
  readonly plan: Plan;
  /** The operator's name. */
  readonly operator: string;
  /** Digests of the records of the texts; absent without the text. */
  readonly calibration?: Digest;
  readonly validation?: Digest;
  /** How far the treated linears follow the dense stream; absent where each keeps its own output. */
  readonly target?: StreamTarget;
  /** How tokens of the calibration text count in Gram matrices, where not all count alike. */
  readonly hessian?: 'loss';
  /** `dense`: statistics are taken behind the dense blocks. Absent: behind the treated ones. */
  readonly prefix?: 'dense';
  readonly seed: number;
  /** `both`: the outcome also has losses on calibration windows. `divergence`: KL to the dense model. Absent: neither. */
  readonly judge?: 'both' | 'divergence';
  /** `surrogate`: the operator's stand-in with dense statistics, on a sample of the windows. */
  readonly fidelity: 'exact' | 'surrogate';
  /**
   * Of a surrogate: each linear is treated by the operator itself, from the inputs of the dense model, and taken from a
   * database (pipeline/level-store.ts).
   */
  readonly stitched?: true;
  /** Of a surrogate: its windows, if they are fewer than usual. */
  readonly windows?: number;
  /** `likelihood`: nats per token of each validation window. `misalignment`: NeuronAl's, on calibration windows. */
  readonly loss: 'likelihood' | 'misalignment';
};

export type TrialOutcome = {
  readonly request: Digest;
  /** Engine and device. Losses of different engines are not comparable. */
  readonly engine: string;
  readonly losses: readonly number[];
  /** Nats per token of a sample of the calibration windows, where the request's judge is `both`. */
  readonly calibrationLosses?: readonly number[];
  /** KL(dense ‖ treated) of each validation window, where the request's judge is `divergence`. */
  readonly divergences?: readonly number[];
  /** Relative error of each block's output; empty for a surrogate. */
  readonly errors: readonly number[];
  readonly seconds: number;
};

/** The trial's name in progress messages, and a signal that nobody needs its outcome any more; not part of the trial. */
export type RunHints = { readonly label: string; readonly signal?: AbortSignal | undefined };

/** Runs trials, at most `slots` at once. */
export interface Executor {
  readonly slots: number;
  run(request: TrialRequest, hints: RunHints): Promise<TrialOutcome>;
}

export const requestDigest = (request: TrialRequest): Digest => digestOf(request);
