// The training loop, the same for every loss: a step's gradient, its norm clipped, AdamW; from time to time the validation
// loss, after which the state is kept. At the end the parameters are those of the best validation loss. A run that was killed
// goes on after the last scoring; one that diverged ends with its error, and when repeated, with its best state.

import { InternalError, NumericError, type OnProgress } from '../base/index.js';
import { createMoments, type Moments, stepAdamW } from './adamw.js';
import { clipFactor, normOf } from './clip.js';
import type { Parameter, Variable } from './parameter.js';
import { rateAt } from './schedule.js';
import { readState, removeState, writeState } from './state.js';
import { createWatch, type Scored, type Watched } from './watch.js';

/** The mean loss of a step's tokens, and the gradient of each parameter's tensor. */
export type Gradient = { readonly loss: number; readonly gradients: ReadonlyMap<string, Float32Array> };

export type Problem = Watched & {
  readonly parameters: readonly Parameter[];
  /** The gradient of step `step`, from 0. */
  gradient(step: number): Promise<Gradient>;
  /** The loss on validation text. */
  validate(): Promise<number>;
};

export type LoopSettings = {
  readonly steps: number;
  readonly rate: number;
  /** Scorings during the run, besides the start. */
  readonly scorings: number;
  readonly decay: number;
  /** Where states go: files that begin with this path. */
  readonly path: string;
  readonly onProgress: OnProgress;
};

/** How a training went. */
export type Curve = {
  /** Steps planned, and taken. */
  readonly steps: number;
  readonly taken: number;
  /** The mean training loss between scorings. */
  readonly training: readonly Scored[];
  /** The validation losses, the start (step 0) first. */
  readonly validation: readonly Scored[];
  readonly best: Scored;
  readonly ended: 'done' | 'early' | 'diverged';
};

/** The file of a finished training, with the best values. */
const doneAt = (path: string): string => `${path}.done`;

const valuesOf = (parameters: readonly Parameter[]) =>
  new Map(parameters.flatMap(({ variables }) => variables).map(({ name, values }) => [name, values]));

/** Gives `parameters` what a finished training left; `path` as in its settings. */
export async function restoreTrained(path: string, parameters: readonly Parameter[]): Promise<void> {
  if ((await readState(doneAt(path), valuesOf(parameters))) !== undefined) return;
  throw new InternalError('E_INTERNAL_STATE', `No finished training under ${path}; please report this.`, { path });
}

type Kept = {
  readonly step: number;
  readonly training: readonly Scored[];
  readonly validation: readonly Scored[];
};

/** Trains the parameters of `problem` in place. @throws NumericError E_NUMERIC_DIVERGED */
export async function train(problem: Problem, settings: LoopSettings): Promise<Curve> {
  const { steps, rate, path, onProgress } = settings;
  const variables = problem.parameters.flatMap((parameter) => parameter.variables);
  const values = valuesOf(problem.parameters);
  const finished = (await readState(doneAt(path), values)) as Curve | undefined;
  if (finished) {
    onProgress({ kind: 'advance', by: steps });
    return finished;
  }
  const moments = new Map(variables.map((variable) => [variable.name, createMoments(variable.values.length)]));
  const state = stateOf(values, moments);
  const kept = (await readState(`${path}.state`, state)) as Kept | undefined;
  const finish = async (ended: Curve['ended'], now: Kept): Promise<Curve> => {
    await readState(`${path}.best`, values);
    const best = now.validation.reduce((least, one) => (one.loss < least.loss ? one : least));
    const { training, validation, step } = now;
    const curve: Curve = { steps, taken: step, training, validation, best, ended };
    await writeState(doneAt(path), values, curve);
    for (const end of ['best', 'state', 'diverged']) await removeState(`${path}.${end}`);
    return curve;
  };
  const diverged = (await readState(`${path}.diverged`, new Map())) as Kept | undefined;
  if (diverged) return await finish('diverged', diverged);

  const every = Math.max(1, Math.ceil(steps / settings.scorings));
  const first = kept?.validation ?? [{ step: 0, loss: await problem.validate() }];
  if (!kept) {
    requireNumber(first[0]!.loss, problem.what);
    await writeState(`${path}.best`, values, first[0]);
  }
  const watch = createWatch(first, rate, problem);
  const training: Scored[] = [...(kept?.training ?? [])];
  const now = (step: number): Kept => ({ step, training, validation: watch.scores });
  try {
    if (kept) onProgress({ kind: 'advance', by: kept.step });
    let sum = 0;
    let counted = 0;
    for (let step = (kept?.step ?? 0) + 1; step <= steps; step++) {
      const { loss, gradients } = await problem.gradient(step - 1);
      const norm = apply(problem.parameters, gradients, moments, step, settings);
      if (!Number.isFinite(loss) || !Number.isFinite(norm)) watch.enter({ step, loss: Number.NaN });
      sum += loss;
      counted++;
      onProgress({ kind: 'advance', detail: `loss ${loss.toPrecision(4)}` });
      if (step % every !== 0 && step !== steps) continue;
      training.push({ step, loss: sum / counted });
      [sum, counted] = [0, 0];
      const { improved, stop } = watch.enter({ step, loss: await problem.validate() });
      if (improved) await writeState(`${path}.best`, values, { step });
      if (stop && step < steps) {
        onProgress({ kind: 'advance', by: steps - step });
        return await finish('early', now(step));
      }
      if (step < steps) await writeState(`${path}.state`, state, now(step));
    }
  } catch (error) {
    if (error instanceof NumericError) await writeState(`${path}.diverged`, new Map(), now(watch.scores.at(-1)!.step));
    throw error;
  }
  return await finish('done', now(steps));
}

/** Takes one step of AdamW and returns the norm of the gradient before clipping; without a step where that is no number. */
function apply(
  parameters: readonly Parameter[],
  gradients: Gradient['gradients'],
  moments: ReadonlyMap<string, Moments>,
  step: number,
  { rate, steps, decay }: LoopSettings,
): number {
  const all = parameters.flatMap((parameter): (readonly [Variable, Float32Array])[] => {
    const made = parameter.gradients(gradients.get(parameter.tensor)!);
    return parameter.variables.map((variable, i) => [variable, made[i]!]);
  });
  const norm = normOf(all.map(([, gradient]) => gradient));
  if (!Number.isFinite(norm)) return norm;
  const [scale, now] = [clipFactor(norm), rateAt(step, steps, rate)];
  for (const [{ name, values, decays, speed }, gradient] of all) {
    const how = { rate: now * speed, decay: decays ? decay : 0, step, scale };
    stepAdamW(values, gradient, moments.get(name)!, how);
  }
  return norm;
}

/** Everything that the next step depends on. */
function stateOf(values: ReadonlyMap<string, Float32Array>, moments: ReadonlyMap<string, Moments>) {
  const state = new Map(values);
  for (const [name, { m, v }] of moments) state.set(`${name} m`, m).set(`${name} v`, v);
  return state;
}

function requireNumber(loss: number, what: string): void {
  if (Number.isFinite(loss)) return;
  const message = `${what}: the validation loss of the checkpoint is ${loss} before any training. Check the checkpoint and the text.`;
  throw new NumericError('E_NUMERIC_LOSS', message, { what, loss });
}
