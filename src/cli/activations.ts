// quantise --method qvlm: its options out of those of quantise, and what it prints.

import { join } from 'node:path';
import type { ActivationsOptions, ActivationsResult } from '../api/index.js';
import { type ActivationsRecord, pairedInterval } from '../records/index.js';
import { refuseValue } from '../runs/index.js';
import { formatPerplexity } from '../words/index.js';
import { formatSeconds, formatTable } from './format.js';
import { OPTIONS, type OptionName, type Values } from './options.js';
import { QVLM } from './quantise-options.js';

/** Options of qvlm alone, and options of the other methods that it has no use for. */
export const ACTIVATIONS_ONLY = ['activationBits', 'activationRange', 'dependency', 'threshold'] as const;
const WITHOUT = [
  ...[
    'bitsAllocation',
    'bitsBeta',
    'maxTrials',
    'group',
    'bitsPlan',
    'zerosPattern',
    'target',
    'targetShares',
    'hessian',
  ],
  ...['tasks', 'suite', 'data', 'limit', 'fewshot', 'specialTokens', 'greedyTokens'],
  ...['workQueue', 'store', 'workers'],
] as OptionName[];

/** @throws OptionError E_OPTION_… for an option of `names` that was given */
export function refuseGiven(values: Values, names: readonly OptionName[], expected: string): void {
  for (const name of names) {
    const value = values[name];
    if (value !== undefined) refuseValue(OPTIONS[name].flag.slice(2), expected, value);
  }
}

/** @throws OptionError E_OPTION_… for options that qvlm does not have */
export function activationsOptions(checkpoint: string, values: Values): ActivationsOptions {
  refuseGiven(values, WITHOUT, `another method than ${QVLM} beside it`);
  const { bits, activationBits, activationRange, dependency, threshold, out, ...rest } = values;
  const { calibration, validation, test, calibrationSamples, calibrationOrder } = rest;
  const { sequenceLength, windowStart, seed, device, threads, resume } = rest;
  const given = {
    ...{ bits, activationBits, activationRange, dependency, threshold, calibration, validation, test },
    ...{ calibrationSamples, calibrationOrder, sequenceLength, windowStart, seed, device, threads, resume },
  };
  const asked = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return { checkpoint, out: out!, ...asked } as ActivationsOptions;
}

const NAMES = ['dense', 'weights', 'minmax', 'greedy', 'joint', 'chosen'] as const;

/** The interval of perplexity over that without clips, on the text that counts. */
function ratioOf({ scores }: ActivationsRecord, name: (typeof NAMES)[number]): [number, number] {
  const text = scores.minmax.test ? 'test' : 'validation';
  return pairedInterval(scores[name][text]!.nll, scores.minmax[text]!.nll);
}

export function activationsJson({ record, out, seconds, peakMemoryBytes }: ActivationsResult): unknown {
  const { bits, range, dependency, threshold, stretches, base, together, scores } = record;
  const rows = NAMES.map((name) => {
    const { validation, test } = scores[name];
    const perplexity = { validation: validation.perplexity, test: test?.perplexity ?? null };
    return [name, { ...perplexity, timesMinmax: ratioOf(record, name) }] as const;
  });
  const kept = stretches.filter((one) => one.kept).length;
  return {
    ...{ method: QVLM, bits, range, dependency, threshold, base, together },
    stretches: { all: stretches.length, kept },
    clips: record.layers.map(({ block, name, clip }) => ({ block, name, clip })),
    scores: Object.fromEntries(rows),
    ...{ seconds, peakMemoryBytes, out },
  };
}

export function activationsText({ record, out, seconds }: ActivationsResult): string {
  const { bits, stretches, base, together, scores, layers } = record;
  const words = { ...{ dense: 'dense', weights: 'weights alone', minmax: 'no clips' }, greedy: 'greedy clips' };
  const labels = { ...words, joint: 'joint clips', chosen: 'chosen' };
  const rows = NAMES.map((name) => {
    const [low, high] = ratioOf(record, name);
    const { validation, test } = scores[name];
    const ratio = name === 'minmax' ? '' : `${low.toFixed(4)} – ${high.toFixed(4)}`;
    return [labels[name], formatPerplexity(validation.perplexity), formatPerplexity(test?.perplexity), ratio];
  });
  const kept = stretches.filter((one) => one.kept).length;
  return [
    formatTable([['perplexity', 'validation', 'test', 'times no clips, 95 %'], ...rows]),
    '',
    `W${bits.weights}A${bits.activations}: ${layers.length} layers in ${stretches.length} blocks; ${together ? 'all joint clips stay' : `the joint clips of ${kept} of them stay, over ${labels[base]} for the others`}. ${formatSeconds(seconds)}.`,
    'Activations are quantised by evaluate alone, which reads the clips in layerwise.json; other programs see rounded weights.',
    `checkpoint  ${out}`,
    `report      ${join(out, 'report.html')}`,
  ].join('\n');
}
