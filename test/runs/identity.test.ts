// What makes a run the same run: everything that its result depends on, and nothing else.

import { expect, test } from 'vitest';
import { digestOf } from '../../src/base/index.js';
import { identityOf } from '../../src/runs/identity.js';
import { normalisePrune, type PruneOptions } from '../../src/runs/settings.js';

const base: PruneOptions = {
  checkpoint: 'model',
  out: 'out',
  sparsity: 0.5,
  calibration: 'calibration.txt',
  validation: 'validation.txt',
};
const none = { calibration: undefined, validation: undefined, test: undefined };
const identity = (options: Partial<PruneOptions>, hashes = { 'model.safetensors': 'a' }, tasks?: unknown): string =>
  digestOf(identityOf('prune', normalisePrune({ ...base, ...options }), hashes, none, tasks));

test.each<[string, Partial<PruneOptions>]>([
  ['sparsity', { sparsity: 0.6 }],
  ['policy', { allocation: 'uniform' }],
  ['given number', { beta: 0.01 }],
  ['counting', { budget: 'published' }],
  ['criterion', { criterion: 'sparsegpt' }],
  ['pattern', { pattern: 'n:16' }],
  ['way to gradients', { allocation: 'ecoflap', gradient: 'exact' }],
  ['measure of the Gram matrix', { criterion: 'sparsegpt', hessian: 'loss' }],
  ['seed', { seed: 1 }],
  ['trials', { maxTrials: 3 }],
  ['judge', { judge: 'both' }],
  ['device', { device: 'webgpu' }],
])('another %s is another run', (_what, options) => expect(identity(options)).not.toBe(identity({})));

test.each<[string, Partial<PruneOptions>]>([
  ['output', { out: 'elsewhere' }],
  ['number of threads', { threads: 7 }],
  ['listener', { onProgress: () => {} }],
  ['resumption', { resume: true }],
  ['upload', { push: 'me/model' }],
  ['place of the checkpoint, whose hashes count', { checkpoint: 'elsewhere' }],
  ['name of a text, whose record counts', { calibration: 'elsewhere.txt' }],
])('another %s is the same run', (_what, options) => expect(identity(options)).toBe(identity({})));

test('files, tasks and the order of numbers', () => {
  expect(identity({}, { 'model.safetensors': 'b' })).not.toBe(identity({}));
  expect(identity({}, undefined, { suite: 'atp' })).not.toBe(identity({}));
  const given = { allocation: 'layerwise' } as const;
  expect(identity({ ...given, hyperparameters: { line: 0.2, gain: 0.5 } })).toBe(
    identity({ ...given, hyperparameters: { gain: 0.5, line: 0.2 } }),
  );
});
