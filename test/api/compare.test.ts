// A comparison of policies on a small checkpoint: one dense pass, the same rows whether it was interrupted or not.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type CompareOptions, compare } from '../../src/api/index.js';
import type { ProgressEvent } from '../../src/base/index.js';
import { comparisonSchema, pairedInterval } from '../../src/records/index.js';
import { LENGTH, makeFolder, makeTexts, makeTiny, readTree, type Texts, useOwnCache } from './make.js';

let folder: string;
let texts: Texts;
let checkpoint: string;
beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  texts = await makeTexts(folder, 12);
  checkpoint = await makeTiny(join(folder, 'model'), { seed: 5 });
});

const asked = (name: string, change: Partial<CompareOptions> = {}): CompareOptions => ({
  checkpoint,
  sparsities: [0.5, 0.7],
  allocations: ['atp', 'owl', 'layerwise'],
  ...texts,
  calibrationSamples: 12,
  sequenceLength: LENGTH,
  maxTrials: 2,
  threads: 2,
  out: join(folder, name),
  ...change,
});

describe('compare', () => {
  test('one dense pass; a row for every policy and target; intervals that can be computed again', async () => {
    const stages: string[] = [];
    const onProgress = (event: ProgressEvent): void => void (event.kind === 'stage' && stages.push(event.stage));
    const { comparison, out, rowSeconds } = await compare(asked('whole', { onProgress }));
    expect(stages.filter((stage) => stage === 'dense')).toHaveLength(1);
    const { rows } = comparison;
    expect(rows.map(({ allocation, sparsity }) => `${allocation} ${sparsity.target}`)).toEqual(
      [0.5, 0.7].flatMap((S) => ['uniform', 'atp', 'owl', 'layerwise'].map((name) => `${name} ${S}`)),
    );
    expect(rowSeconds).toHaveLength(rows.length);
    for (const [i, row] of rows.entries()) {
      expect(row.sparsity.realised).toBeCloseTo(row.sparsity.target, 3);
      expect(row.errors).toHaveLength(4);
      const uniform = rows[i < 4 ? 0 : 4]!;
      const interval = row === uniform ? null : pairedInterval(row.test!.nll, uniform.test!.nll);
      expect(row.versusUniform).toEqual(interval);
    }
    // Validation chose, and uniform was a candidate: no searched policy is worse than uniform on it.
    for (const row of rows.filter(({ allocation }) => ['atp', 'layerwise'].includes(allocation))) {
      const uniform = rows.find((one) => one.allocation === 'uniform' && one.sparsity.target === row.sparsity.target)!;
      expect(row.validation.perplexity).toBeLessThanOrEqual(uniform.validation.perplexity);
      expect(row.trials).toBeLessThanOrEqual(2);
    }
    const record = comparisonSchema.parse(JSON.parse(await readFile(join(out, 'compare.json'), 'utf8')));
    expect(record).toEqual(comparison);
    const page = await readFile(join(out, 'compare.html'), 'utf8');
    expect(page).toContain('At 70');
    expect(page).not.toMatch(/NaN|undefined|<script/);
  });

  test('a policy’s row does not depend on the policies before it, also where one text serves all samples', async () => {
    const { calibration: _, ...others } = texts;
    const rowOf = async (name: string, allocations: readonly string[]) => {
      const { calibration: __, ...rest } = asked(name, { sparsities: [0.5], criterion: 'magnitude', allocations });
      const { comparison } = await compare({ ...rest, ...others });
      return comparison.rows.find(({ allocation }) => allocation === 'layerwise');
    };
    const alone = await rowOf('alone', ['layerwise']);
    expect(alone!.equivalents).toBeGreaterThan(0);
    expect(await rowOf('behind', ['neuronal', 'layerwise'])).toEqual({ ...alone, versusAtp: null });
  });

  test('interrupted anywhere and resumed, it ends with the same bytes', async () => {
    class Interruption extends Error {}
    let left = 12;
    const stopping = asked('resumed', {
      onProgress: (event) => {
        if (event.kind === 'stage' && left-- === 0) throw new Interruption();
      },
    });
    await expect(compare(stopping)).rejects.toBeInstanceOf(Interruption);
    await expect(compare(asked('resumed'))).rejects.toMatchObject({ code: 'E_OPTION_OUT_PARTIAL' });
    await compare(asked('resumed', { resume: true }));
    expect(await readTree(join(folder, 'resumed'))).toEqual(await readTree(join(folder, 'whole')));
  });

  test('a criterion that needs no text goes with policies that do', async () => {
    const some = { allocations: ['owl', 'ecoflap'], sparsities: [0.5], criterion: 'magnitude' };
    const { comparison } = await compare(asked('magnitude', { ...some, calibrationSamples: 4 }));
    expect(comparison.texts.calibration).not.toBeNull();
    const rates = comparison.rows.map((row) => new Set(row.rates).size);
    expect(rates[0]).toBe(1);
    for (const different of rates.slice(1)) expect(different).toBeGreaterThan(1);
  });

  test.each([
    ['no target', { sparsities: [] }, 'E_OPTION_SPARSITY'],
    ['a target of 1', { sparsities: [0.5, 1] }, 'E_OPTION_SPARSITY'],
    ['an unknown policy', { allocations: ['atp', 'owll'] }, 'E_OPTION_ALLOCATION'],
  ])('%s is refused before anything is read', async (_, change, code) => {
    await expect(compare(asked('refused', change))).rejects.toMatchObject({ code });
  });
});
