// Reads a record for the page: the name of the chosen plan, whether it is uniform, and how it compares with uniform on a
// text. Every comparison is computed from the losses in the record.

import {
  type Evaluation,
  type Manifest,
  pairedInterval,
  type ResultRow,
  type Trial,
  verdictOf,
} from '../records/index.js';
import { describeValues } from '../words/index.js';

export type Which = 'validation' | 'test';

export type Comparison = {
  readonly ratio: number;
  /** Paired 95 % interval of the ratio; absent where there is only one window. */
  readonly interval?: readonly [number, number];
  readonly verdict?: 'better' | 'tie' | 'worse';
};

const SPELT: Readonly<Record<string, string>> = { atp: 'ATP', owl: 'OWL', layerwise: 'Layerwise' };

/** `ATP`, `uniform`, `given plan`. */
export function policyName({ plan }: Manifest): string {
  if (!plan.from) return 'given plan';
  return SPELT[plan.from.policy] ?? plan.from.policy;
}

/** The policy with its numbers: `ATP (β = 0.006061)`. */
export function describePlan(manifest: Manifest): string {
  const values = describeValues(manifest.plan.from?.values ?? {});
  return values === '' ? policyName(manifest) : `${policyName(manifest)} (${values})`;
}

/** Whether the chosen plan and uniform are the same result, so that there is nothing to compare. */
export function isUniform({ plan, uniform, chosen }: Manifest): boolean {
  if (plan.from?.policy === 'uniform') return true;
  const same = (a: readonly number[] | undefined, b: readonly number[] | undefined): boolean =>
    (a?.length ?? 0) === (b?.length ?? 0) && (a ?? []).every((value, i) => value === b![i]);
  const evaluated = [chosen.validation?.nll, chosen.test?.nll, chosen.errors].some((one) => one && one.length > 0);
  return (
    uniform !== null &&
    evaluated &&
    same(chosen.validation?.nll, uniform.validation?.nll) &&
    same(chosen.test?.nll, uniform.test?.nll) &&
    same(chosen.errors, uniform.errors)
  );
}

/** Compares a row with uniform, paired; undefined where the two were not scored on the same windows. */
export function compare(row: ResultRow, uniform: ResultRow | null, which: Which): Comparison | undefined {
  const [a, b] = [row[which], uniform?.[which]];
  if (!a || !b || a.nll.length === 0 || a.nll.length !== b.nll.length) return undefined;
  const ratio = a.perplexity / b.perplexity;
  if (a.nll.length < 2) return { ratio };
  const interval = pairedInterval(a.nll, b.nll);
  return { ratio, interval, verdict: verdictOf(interval) };
}

/** The text that decides: test if the chosen plan was scored on one, else validation, else none. */
export const decisiveText = ({ chosen }: Manifest): Which | undefined =>
  scored(chosen.test) ? 'test' : scored(chosen.validation) ? 'validation' : undefined;

export const scored = (evaluation: Evaluation | null | undefined): evaluation is Evaluation =>
  evaluation !== null && evaluation !== undefined && evaluation.windows > 0;

/** The exact trial that was chosen. */
export const chosenTrial = ({ trials, chosen }: Manifest): Trial | undefined =>
  trials.find((trial) => trial.exact && trial.validation.perplexity === chosen.validation?.perplexity);
