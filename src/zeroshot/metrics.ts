// From log-probabilities to metrics, as lm-evaluation-harness computes them. For n values with standard deviation s (n −
// 1), a mean has the standard error s / √n; the exponential of a mean has that error times itself (the harness resamples
// instead, with the same limit). Parts of a task are pooled by their sizes.

import { InternalError } from '../base/index.js';
import type { Estimate } from '../records/index.js';
import type { Likelihood } from './loglikelihood.js';
import { lengthPython } from './python.js';
import { choicesOf } from './requests.js';
import type { Metric, Question, Task } from './tasks/task.js';

type Scores = Readonly<Partial<Record<Metric, number>>>;

/** What one item contributes to each metric: 1 or 0 for accuracies, its log-probability for perplexity. */
export function scoreItem(task: Task, question: Question, likelihoods: readonly Likelihood[]): Scores {
  if (question.form === 'answers') return scoreAnswers(question, likelihoods);
  const sums = likelihoods.map(({ logProbability }) => logProbability);
  const rightIs = (values: readonly number[]): number =>
    question.form === 'word' ? Number(likelihoods[0]!.greedy) : Number(indexOfLargest(values) === question.gold);
  const value = (metric: Metric): number => {
    switch (metric) {
      case 'acc':
        return rightIs(sums);
      case 'acc_norm': {
        const choices = choicesOf(question);
        return rightIs(sums.map((sum, i) => sum / lengthPython(choices[i]!)));
      }
      case 'perplexity':
        return sums[0]!;
      case 'probability':
      case 'truth_ratio':
        throw new InternalError('E_INTERNAL_METRIC', `${task.name}: ${metric} is of answers.`);
      default:
        return metric satisfies never;
    }
  };
  return Object.fromEntries(task.metrics.map((metric) => [metric, value(metric)]));
}

/**
 * TOFU (arXiv 2401.06121, §2.2.1), with p̂(a) = p(a | q)^(1 / tokens of a):
 *   acc          the paraphrase, or the answer without one, has a larger p̂ than every wrong answer
 *   probability  p̂(answer); of a question without a paraphrase p(answer) / Σ p(choice), as of the real authors and the world facts
 *   truth_ratio  mean p̂(wrong answer) / p̂(paraphrase, or answer without one): 0 where the model is sure of the truth, 1 where
 *                it cannot tell
 */
function scoreAnswers(
  { paraphrase }: Extract<Question, { form: 'answers' }>,
  likelihoods: readonly Likelihood[],
): Scores {
  const normalised = likelihoods.map(({ logProbability, tokens }) => logProbability / tokens);
  const right = paraphrase === undefined ? 0 : 1;
  const wrong = normalised.slice(right + 1);
  const sums = likelihoods.map(({ logProbability }) => logProbability);
  const share = 1 / sums.reduce((sum, one) => sum + Math.exp(one - sums[0]!), 0);
  return {
    acc: Number(wrong.every((one) => one < normalised[right]!)),
    probability: paraphrase === undefined ? share : Math.exp(normalised[0]!),
    truth_ratio: wrong.reduce((sum, one) => sum + Math.exp(one - normalised[right]!), 0) / wrong.length,
  };
}

/** A metric from the contributions of the items. */
export function aggregate(metric: Metric, values: readonly number[]): Estimate {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const stderr = values.length < 2 ? null : Math.sqrt(squares / (values.length - 1) / values.length);
  if (metric !== 'perplexity') return { value: mean, stderr };
  const perplexity = Math.exp(-mean);
  return { value: perplexity, stderr: stderr === null ? null : perplexity * stderr };
}

/** The mean over all items of several parts, with the pooled standard error. */
export function pool(parts: readonly { readonly estimate: Estimate; readonly items: number }[]): Estimate {
  const items = parts.reduce((sum, part) => sum + part.items, 0);
  const value = parts.reduce((sum, part) => sum + part.estimate.value * part.items, 0) / items;
  let variance = 0;
  for (const { estimate, items: n } of parts) {
    if (estimate.stderr === null) return { value, stderr: null };
    variance += (n - 1) * n * estimate.stderr ** 2;
  }
  return { value, stderr: Math.sqrt(variance / (items - parts.length) / items) };
}

/** The mean of independent estimates, all with the same weight. */
export function average(estimates: readonly Estimate[]): Estimate {
  const n = estimates.length;
  const value = estimates.reduce((sum, one) => sum + one.value, 0) / n;
  if (estimates.some(({ stderr }) => stderr === null)) return { value, stderr: null };
  return { value, stderr: Math.sqrt(estimates.reduce((sum, { stderr }) => sum + stderr! ** 2, 0)) / n };
}

/** The first of equal ones. */
function indexOfLargest(values: readonly number[]): number {
  let best = 0;
  for (const [i, value] of values.entries()) if (value > values[best]!) best = i;
  return best;
}
