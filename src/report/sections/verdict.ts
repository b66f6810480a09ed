// The result of the run in plain words, computed from the losses in the record; empty where nothing was scored.

import { escapeHtml, formatCompared, formatPercent, type Html } from '../../page/index.js';
import type { Manifest } from '../../records/index.js';
import { describeValues, formatNumber, type LossWords, wordsOfLoss } from '../../words/index.js';
import { type Comparison, compare, decisiveText, isUniform, policyName, scored } from '../reading.js';

const WORDS = {
  better: 'better than uniform',
  worse: 'worse than uniform',
} as const;

export function verdictParagraph(manifest: Manifest): Html {
  const which = decisiveText(manifest);
  if (!which) return '';
  const chosen = manifest.chosen[which]!;
  const words = wordsOfLoss(chosen);
  const same = isUniform(manifest);
  const comparison = same ? undefined : compare(manifest.chosen, manifest.uniform, which);
  const sentences = [
    `${subject(manifest, same)} gives ${which} ${words.name} <b>${words.format(chosen)}</b>${
      comparison ? against(comparison, words, words.format(manifest.uniform![which]!)) : ''
    }.`,
  ];
  if (same && manifest.search) sentences.push('The search found <b>nothing better than uniform</b>.');
  const dense = manifest.dense[which];
  const zeros = formatPercent(manifest.sparsity.realised);
  const { bits } = manifest;
  const stored = bits ? `a weight now takes ${formatNumber(bits.stored)} bits with its scale, and ` : '';
  const made = `${stored}${zeros} of the prunable weights are now zero.`;
  sentences.push(
    scored(dense) ? `The dense model has ${words.format(dense)}; ${made}` : `${made[0]!.toUpperCase()}${made.slice(1)}`,
  );
  return `<p class="verdict ${comparison?.verdict ?? 'plain'}">${sentences.join(' ')}</p>`;
}

function subject(manifest: Manifest, same: boolean): Html {
  if (same) return manifest.bits ? 'Quantising all linears alike' : 'Uniform sparsity';
  const name = manifest.plan.from ? escapeHtml(policyName(manifest)) : 'The given plan';
  const values = describeValues(manifest.plan.from?.values ?? {});
  return values === '' ? name : `${name} with ${escapeHtml(values)}`;
}

function against({ ratio, interval, verdict }: Comparison, { compared }: LossWords, uniform: string): Html {
  const start = ` against ${uniform} for uniform`;
  if (!interval || !verdict) {
    return `${start} (${compared} ${formatCompared(compared, [ratio])[0]}; one window is too few for an interval)`;
  }
  const [middle, low, high] = formatCompared(compared, [ratio, ...interval]);
  const none = compared === 'ratio' ? '1' : '0';
  const said =
    verdict === 'tie'
      ? `a tie with uniform: the interval contains ${none}, so the difference is inside the noise`
      : WORDS[verdict];
  return `${start} (${compared} ${middle}, 95 % interval [${low}, ${high}]): <b>${said}</b>`;
}
