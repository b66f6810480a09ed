// By what candidates are judged: compress, and quantise where it looks for shares of the stream, choose by KL to the dense model
// on validation text; the others by perplexity, as before.

import { join } from 'node:path';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { compress, prune, quantise } from '../../src/api/index.js';
import { makeFamily } from '../families.js';
import { limit } from '../scale.js';
import { LENGTH, makeFolder, makeTexts, type Texts, useOwnCache } from './make.js';

vi.setConfig({ testTimeout: limit(240_000) });

let folder: string;
let texts: Texts;
let checkpoint: string;

beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  texts = await makeTexts(folder, 12);
  checkpoint = await makeFamily(join(folder, 'model'), 'llama', { seed: 4 });
});

const common = () => {
  const { calibration, validation } = texts;
  return {
    ...{ checkpoint, calibration, validation, sequenceLength: LENGTH, calibrationSamples: 12 },
    ...{ threads: 1, greedyTokens: 0 },
  };
};

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

describe('KL to the dense model', () => {
  test('compress chooses the trial that is nearest to dense, and its record says by what', async () => {
    const { manifest } = await compress({ ...common(), bits: 4, maxTrials: 3, out: join(folder, 'mixed') });
    expect(manifest.judge).toBe('divergence');
    const all = manifest.trials.map(({ divergence }) => divergence!);
    const least = all.reduce((a, b) => (mean(b) < mean(a) ? b : a));
    // Without test text a finished model is compared with the dense one on validation text: by the same numbers.
    expect(manifest.chosen.fidelity!.divergence).toEqual(least);
    expect(manifest.search!.method).toContain('KL to the dense model');
  });

  test('quantise chooses shares by it', async () => {
    const { manifest } = await quantise({ ...common(), bits: 2, target: 'stream', out: join(folder, 'stream') });
    expect(manifest.judge).toBe('divergence');
  });

  test('where nothing is chosen, and in prune, nothing is said of it', async () => {
    const own = await quantise({ ...common(), bits: 3, out: join(folder, 'own') });
    const targetShares = { alpha: 0.5, gamma: 0.5 };
    const given = await quantise({ ...common(), bits: 3, target: 'stream', targetShares, out: join(folder, 'given') });
    const pruned = await prune({ ...common(), sparsity: 0.5, maxTrials: 2, out: join(folder, 'pruned') });
    for (const { manifest } of [own, given, pruned]) {
      expect(manifest.judge).toBeUndefined();
      expect(manifest.trials.every(({ divergence }) => divergence === undefined)).toBe(true);
    }
  });
});
