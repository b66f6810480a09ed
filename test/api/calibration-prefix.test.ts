// --calibration-prefix dense: every block is treated as if it alone were, on the inputs that the dense model gives it. The judge is
// a run for each block by itself.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { compare, makePlan, prune } from '../../src/api/index.js';
import type { ProgressEvent } from '../../src/base/index.js';
import { openCheckpoint, readTensor } from '../../src/checkpoint/index.js';
import { openModel, weightName } from '../../src/model/index.js';
import { blockId, comparisonSchema, type Plan } from '../../src/records/index.js';
import type { PruneOptions } from '../../src/runs/index.js';
import { limit } from '../scale.js';
import { differences, LENGTH, makeFolder, makeTexts, makeTiny, readTree, type Texts, useOwnCache } from './make.js';

vi.setConfig({ testTimeout: limit(60_000) });

const BLOCKS = 3;
let folder: string;
let checkpoint: string;
let texts: Texts;
let count = 0;

beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  texts = await makeTexts(folder, 8);
  checkpoint = await makeTiny(join(folder, 'model'), { seed: 5, blocks: BLOCKS });
});

const given = (asked: Partial<PruneOptions>): PruneOptions => ({
  ...{ checkpoint, sequenceLength: LENGTH, calibrationSamples: 6, threads: 1, greedyTokens: 0 },
  ...{ calibration: texts.calibration, out: join(folder, `out-${count++}`) },
  ...asked,
});
const uniform = { sparsity: 0.5, allocation: 'uniform' } as const;
const dense = { calibrationPrefix: 'dense' } as const;

/** Half of one block, and nothing of the others. */
const only = (at: number): Plan => {
  const rates = Array.from({ length: BLOCKS }, (_, one) => [blockId(one), { zeros: { rate: one === at ? 0.5 : 0 } }]);
  return { format: 'layerwise-plan', version: 2, units: Object.fromEntries(rates) };
};

/** The bytes of a block's linears. */
async function block(dir: string, at: number): Promise<readonly Uint8Array[]> {
  const [model, written] = [await openModel(dir), await openCheckpoint(dir)];
  return await Promise.all(model.linears[at]!.map((linear) => readTensor(written, weightName(linear))));
}

describe.each(['wanda', 'sparsegpt', 'dsnot'])('%s', (criterion) => {
  test('every block is as if it alone were pruned, and later ones are not as behind pruned blocks', async () => {
    const { out, manifest } = await prune(given({ ...uniform, ...dense, criterion }));
    const behindPruned = await prune(given({ ...uniform, criterion }));
    expect(manifest.calibrationPrefix).toBe('dense');
    expect(manifest.command).toContain('--calibration-prefix dense');
    expect(behindPruned.manifest).not.toHaveProperty('calibrationPrefix');
    expect(behindPruned.manifest.command).not.toContain('prefix');
    for (let at = 0; at < BLOCKS; at++) {
      const alone = await prune(given({ plan: only(at), criterion }));
      const found = await block(out, at);
      expect(found).toEqual(await block(alone.out, at));
      if (at === 0) expect(found).toEqual(await block(behindPruned.out, at));
      else expect(found).not.toEqual(await block(behindPruned.out, at));
    }
  });
});

test('a run that was interrupted goes on to the same bytes, and not behind pruned blocks', async () => {
  const whole = await prune(given({ ...uniform, ...dense }));
  const asked = given({ ...uniform, ...dense });
  let steps = 0;
  const onProgress = (event: ProgressEvent): void => {
    if (event.kind === 'advance' && event.detail?.startsWith('block 2') && ++steps === 1) throw new Error('pulled');
  };
  await expect(prune({ ...asked, onProgress })).rejects.toThrow('pulled');
  const { calibrationPrefix: _, ...other } = asked;
  await expect(prune({ ...other, resume: true })).rejects.toMatchObject({ code: 'E_OPTION_RESUME' });
  await prune({ ...asked, resume: true });
  expect(differences(await readTree(asked.out), await readTree(whole.out))).toEqual([]);
});

test('a search tries what it would write, plan takes it too, and compare says it', async () => {
  const searched = { sparsity: 0.5, validation: texts.validation, ...dense, maxTrials: 2 };
  const { out, manifest } = await prune(given(searched));
  const again = await prune(given({ plan: manifest.plan, ...dense }));
  expect(differences(await weights(out), await weights(again.out))).toEqual([]);
  const { out: _, ...options } = given(searched);
  expect(await makePlan({ ...options, sparsity: 0.5 })).toEqual(manifest.plan);
  const { sparsity: __, ...rest } = given(searched);
  const compared = await compare({
    ...{ ...rest, sparsities: [0.5], allocations: ['uniform', 'atp'], validation: texts.validation },
  });
  const record = comparisonSchema.parse(JSON.parse(await readFile(join(compared.out, 'compare.json'), 'utf8')));
  expect(record.calibrationPrefix).toBe('dense');
  const row = record.rows.find(({ allocation }) => allocation === 'atp')!;
  expect(row.validation).toEqual(manifest.chosen.validation);
});

test('what has no such statistics is refused, by name', async () => {
  const refused = (asked: Partial<PruneOptions>, code: string) =>
    expect(prune(given({ ...uniform, ...dense, ...asked }))).rejects.toMatchObject({ code });
  await refused({ calibrationPrefix: 'both' }, 'E_OPTION_CALIBRATION_PREFIX');
  await refused({ criterion: 'magnitude' }, 'E_OPTION_CONFLICT');
  await refused({ criterion: 'sparsegpt', target: 'stream' }, 'E_OPTION_CONFLICT');
  await refused({ allocation: 'neuronal' }, 'E_OPTION_CONFLICT');
});

const weights = async (dir: string): Promise<Record<string, string>> => {
  const { 'model.safetensors': file } = await readTree(dir);
  return { file: file! };
};
