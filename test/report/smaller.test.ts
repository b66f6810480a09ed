// The pages of cut, experts and drop: which trial is the chosen one, how far the model is from the dense one, and the text that
// parts first.

import { expect, test } from 'vitest';
import { type CutRecord, type DropRecord, type ExpertsRecord, parseCutRecord } from '../../src/records/index.js';
import { renderCut, renderExperts, renderRemoval } from '../../src/report/index.js';
import { evaluation, makeManifest } from './manifest.js';

const trialOf = (beta: number, perplexity: number, errors: number[]): CutRecord['trials'][number] => ({
  ...{ beta, hyperparameters: { beta }, rates: [0.2, 0.2], exact: true },
  validation: evaluation(perplexity),
  interval: [0.9, 1.1],
  errors,
});

const record: CutRecord = {
  format: 'layerwise-cut',
  version: 1,
  tool: { version: '0.1.0', device: 'cpu' },
  command: 'layerwise cut model --parameters 0.8',
  source: { name: 'model', family: 'llama', blocks: 2, hashes: {} },
  seed: 0,
  texts: { calibration: makeManifest(2).texts.calibration!, validation: makeManifest(2).texts.validation, test: null },
  ...{ units: 'mlp', equal: false, multiple: 1, importance: 'obs', repair: 'least-squares', allocation: 'atp' },
  hyperparameters: { beta: 0.125 },
  parameters: { before: 100, target: 80, after: 80, step: 2 },
  widths: {
    before: [
      [4, 4, 32],
      [4, 4, 32],
    ],
    after: [
      [4, 4, 24],
      [4, 4, 16],
    ],
  },
  errors: [0.1, 0.3],
  dense: { validation: 10, test: null },
  uniform: { validation: 14, test: null },
  // The written checkpoint is scored without zeros, and rounds otherwise than the trial.
  cut: { validation: 12.001, test: null },
  trials: [trialOf(0, 14, [0.2, 0.3]), trialOf(0.125, 12, [0.1, 0.3])],
  fidelity: {
    ...{ text: 'validation', windows: 2, tokens: 30, divergence: [0.5, 0.7], tail: 2, agreement: [0.5, 0.75] },
    greedy: {
      ...{ prompt: 4, tokens: 8, same: [3, 8] },
      worst: { prompt: 'Once', same: ' upon', dense: ' a time', edited: ' an <hour>' },
    },
  },
  loads: ['as it is: layerwise alone'],
};

test('the fixture is a record', () => {
  expect(parseCutRecord(JSON.stringify(record), 'layerwise.json')).toEqual(record);
});

test('one trial is marked, whatever the written checkpoint scores', () => {
  const rows = renderCut(record).match(/<tr class="chosen">.*?<\/tr>/gs)!;
  expect(rows.filter((row) => row.includes('beta'))).toHaveLength(1);
  expect(rows.find((row) => row.includes('beta'))).toContain('beta = 0.125');
});

const { version, tool, command, source, seed, texts, dense, fidelity } = record;
const common = { version, tool, source, seed, texts, dense, parameters: { before: 100, after: 80 } };

const experts: ExpertsRecord = {
  format: 'layerwise-experts',
  ...common,
  ...{ command, method: 'reap', keep: 0.5, perLayer: 'equal' },
  blocks: [{ block: 0, kept: [1, 3], scores: [0, 1, 0, 1], tokens: [0, 4, 0, 4] }],
  experts: { before: 4, after: 2 },
  pruned: { validation: 12, test: null },
};

const drop: DropRecord = {
  format: 'layerwise-drop',
  ...common,
  ...{ method: 'shortgpt', removed: [1], scores: [1, 0.5], blocks: { before: 2, after: 1 } },
  dropped: { validation: 12, test: null },
};

test.each([
  ['cut', (far: Pick<CutRecord, 'fidelity'>) => renderCut({ ...record, fidelity: undefined, ...far })],
  ['experts', (far: Pick<CutRecord, 'fidelity'>) => renderExperts({ ...experts, ...far })],
  ['drop', (far: Pick<CutRecord, 'fidelity'>) => renderRemoval({ ...drop, ...far })],
])('%s: the distance to the dense model, and the text that parts first, where there is one', (_, render) => {
  const html = render({ fidelity });
  expect(html).toContain('<h2 id="fidelity-title">Distance to the dense model</h2>');
  expect(html).toContain('The text that parts first');
  expect(html).toContain('<code> an &lt;hour&gt;</code>');
  expect(render({})).not.toMatch(/Distance to the dense model|the distance below/);
});
