// --hessian loss and --gradient exact as a user meets them: what is recorded, what is refused before any work, that the default
// is as it was, and that an interrupted run ends with the bytes of one that was not, for any number of threads.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { compare, makePlan, profile, prune, quantise } from '../../src/api/index.js';
import { silent, withResources } from '../../src/base/index.js';
import { createOrtEngine } from '../../src/engine/index.js';
import { openModel } from '../../src/model/index.js';
import { findCriterion } from '../../src/operators/index.js';
import { blockPath, pruneSequentially, type StreamTarget } from '../../src/pipeline/index.js';
import { emptyImportance } from '../../src/profile/index.js';
import { comparisonSchema } from '../../src/records/index.js';
import { embedSamples, type Text } from '../../src/stream/index.js';
import { makeFamily } from '../families.js';
import { planOf } from '../pipeline/plans.js';
import { limit } from '../scale.js';
import { type Fault, startRun } from './child.js';
import { differences, LENGTH, makeFolder, makeTexts, makeTiny, readTree, type Texts, useOwnCache } from './make.js';

vi.setConfig({ testTimeout: limit(120_000) });

let folder: string;
let texts: Texts;
let checkpoint: string;
let count = 0;
const fresh = (): string => join(folder, `out-${count++}`);
const common = () => ({ checkpoint, sequenceLength: LENGTH, calibrationSamples: 24, threads: 1, greedyTokens: 0 });
const solved = { sparsity: 0.6, allocation: 'uniform', criterion: 'sparsegpt' } as const;

beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  texts = await makeTexts(folder, 24);
  checkpoint = await makeTiny(join(folder, 'model'), { seed: 2, blocks: 3, dtype: 'F16' });
});

const weightsIn = (dir: string): Promise<Buffer> => readFile(join(dir, 'model.safetensors'));
const codeOf = (code: string) => ({ code });

describe('--hessian loss', () => {
  test('is recorded, with the command that repeats it; the default leaves no trace', async () => {
    const plain = await prune({ ...common(), ...texts, ...solved, out: fresh() });
    const same = await prune({ ...common(), ...texts, ...solved, hessian: 'output', out: fresh() });
    const loss = await prune({ ...common(), ...texts, ...solved, hessian: 'loss', out: fresh() });
    expect(differences(await readTree(same.out), await readTree(plain.out))).toEqual([]);
    expect(plain.manifest).not.toHaveProperty('hessian');
    expect(plain.manifest.command).not.toMatch(/hessian/);
    expect(loss.manifest.hessian).toBe('loss');
    expect(loss.manifest.command).toMatch(/--hessian loss/);
    expect((await weightsIn(loss.out)).equals(await weightsIn(plain.out))).toBe(false);
  });

  test.each([
    ['admm', {}],
    ['wanda with --refit', { criterion: 'wanda', refit: true }],
    ['dsnot-sparsegpt', { criterion: 'dsnot-sparsegpt' }],
    ['following the stream', { target: 'stream', targetShares: { alpha: 0.5, gamma: 0.5 } }],
    ['a policy by alignment', { allocation: 'neuronal', sparsity: 0.9 }],
    ['a policy by sensitivity', { allocation: 'layerwise', hyperparameters: { line: 0.1, gain: 0.5 } }],
  ] as const)('%s', async (name, options) => {
    const criterion = name === 'admm' ? 'admm' : solved.criterion;
    const asked = { ...common(), ...texts, ...solved, criterion, ...options };
    const plain = await prune({ ...asked, out: fresh() });
    const loss = await prune({ ...asked, hessian: 'loss', out: fresh() });
    expect((await weightsIn(loss.out)).equals(await weightsIn(plain.out))).toBe(false);
  });

  test('quantise: gptq', async () => {
    const asked = { ...common(), ...texts, bits: 3, group: 32 } as const;
    const plain = await quantise({ ...asked, out: fresh() });
    const loss = await quantise({ ...asked, hessian: 'loss', out: fresh() });
    expect(loss.manifest.hessian).toBe('loss');
    expect(loss.manifest.command).toMatch(/--hessian loss/);
    expect((await weightsIn(loss.out)).equals(await weightsIn(plain.out))).toBe(false);
  });

  test('compare: every row', async () => {
    const asked = { ...common(), ...texts, sparsities: [0.6], allocations: ['uniform'], criterion: 'sparsegpt' };
    const { comparison, out } = await compare({ ...asked, hessian: 'loss', out: fresh() });
    const alone = await prune({ ...common(), ...texts, ...solved, hessian: 'loss', out: fresh() });
    expect(comparison.rows[0]!.validation).toEqual(alone.manifest.chosen.validation);
    const record = comparisonSchema.parse(JSON.parse(await readFile(join(out, 'compare.json'), 'utf8')));
    expect(record.hessian).toBe('loss');
  });

  test('is refused where there is no Gram matrix, and for experts', async () => {
    const asked = { ...common(), ...texts, ...solved, hessian: 'loss', out: fresh() };
    await expect(prune({ ...asked, criterion: 'wanda' })).rejects.toMatchObject(codeOf('E_OPTION_HESSIAN'));
    await expect(prune({ ...asked, hessian: 'fisher' })).rejects.toMatchObject(codeOf('E_OPTION_HESSIAN'));
    const rounded = quantise({ ...common(), ...texts, bits: 3, method: 'rtn', hessian: 'loss', out: fresh() });
    await expect(rounded).rejects.toMatchObject(codeOf('E_OPTION_HESSIAN'));
    const mixture = await makeFamily(join(folder, 'mixtral'), 'mixtral');
    const refused = prune({ ...asked, checkpoint: mixture });
    await expect(refused).rejects.toMatchObject(codeOf('E_UNSUPPORTED_HESSIAN'));
  });

  test('killed after any step it ends with the same bytes, which threads do not change', async () => {
    const asked = { ...common(), ...texts, ...solved, hessian: 'loss' };
    const whole = await prune({ ...asked, out: fresh() });
    const expected = await readTree(whole.out);
    const parallel = await prune({ ...asked, threads: 2, out: fresh() });
    expect(differences(await readTree(parallel.out), expected)).toEqual([]);
    const faults: readonly Fault[] = [
      { as: 'kill', op: 'rename', end: 'importance.bin', nth: 1 },
      { as: 'kill', op: 'renamed', end: 'importance.bin', nth: 1 },
      { as: 'kill', op: 'renamed', end: 'block-00001.safetensors', nth: 1 },
    ];
    for (const [event, fault] of faults.entries()) {
      const out = join(folder, `killed-${event}`, 'out');
      await mkdir(join(out, '..'));
      const killed = await startRun({ ...asked, out, resume: false }, `${out}.log`, fault).done;
      expect(killed.code).toBeUndefined();
      const again = await startRun({ ...asked, out, resume: true }, `${out}.log`).done;
      expect(again).toMatchObject({ code: 'done' });
      expect(differences(await readTree(out), expected), `after fault ${event}`).toEqual([]);
    }
  });

  test('what an interrupted run had measured is read again, and measured again where it is damaged', async () => {
    const asked = { ...common(), ...texts, ...solved, hessian: 'loss' };
    const expected = await readTree((await prune({ ...asked, out: fresh() })).out);
    for (const damage of [false, true]) {
      const out = fresh();
      const stages: string[] = [];
      const stopped = prune({
        ...{ ...asked, out },
        onProgress: (event) => {
          if (event.kind === 'stage' && event.stage.startsWith('trial')) throw new Error('stopped');
        },
      });
      await expect(stopped).rejects.toThrow('stopped');
      const kept = join(`${out}.partial`, 'importance.bin');
      const bytes = await readFile(kept);
      if (damage) await writeFile(kept, bytes.subarray(0, bytes.length - 4));
      await prune({
        ...{ ...asked, out, resume: true },
        onProgress: (event) => void (event.kind === 'stage' && stages.push(event.stage)),
      });
      expect(stages.some((stage) => stage.startsWith('gradients'))).toBe(damage);
      expect(differences(await readTree(out), expected)).toEqual([]);
    }
  });
});

test('where every token counts 1, the blocks are those of the output’s Gram matrices, byte for byte', async () => {
  const model = await openModel(checkpoint);
  const engine = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
  await withResources(async (own) => {
    const windows = Array.from({ length: 20 }, (_, w) => Int32Array.from({ length: LENGTH }, (_, t) => (w * t) % 250));
    const text = await embedSamples(own, engine, model, { length: LENGTH, windows });
    const importance = await emptyImportance(own, model, text);
    for (const store of importance.flatMap((sites) => Object.values(sites))) {
      for (const [chunk, some] of store.chunks.entries()) {
        await store.write(chunk, new Float32Array(some * LENGTH).fill(1));
      }
    }
    const files = async (calibration: Text, target: StreamTarget | undefined): Promise<Buffer[]> => {
      const dir = fresh();
      const operator = findCriterion('dsnot-sparsegpt');
      const plan = planOf(model, () => 0.6, { kind: 'row' });
      const input = {
        engine,
        model,
        operator,
        plan,
        calibration,
        validation: undefined,
        trace: undefined,
        target,
        dir,
      };
      await pruneSequentially({ ...input, onProgress: silent });
      return await Promise.all(model.linears.map((_, block) => readFile(blockPath(dir, block))));
    };
    for (const target of [undefined, { alpha: 0.5, gamma: 0.5 }]) {
      expect(await files({ ...text, importance }, target)).toEqual(await files(text, target));
    }
  });
  await engine.close();
});

describe('--gradient exact', () => {
  const asked = () => ({ ...common(), ...texts, sparsity: 0.6, allocation: 'ecoflap', criterion: 'magnitude' });

  test('is recorded, from prune, plan, compare and profile; estimates leave no trace', async () => {
    const estimated = await prune({ ...asked(), out: fresh() });
    expect(estimated.manifest).not.toHaveProperty('gradient');
    expect(estimated.manifest.plan.from).not.toHaveProperty('gradient');
    const exact = await prune({ ...asked(), gradient: 'exact', out: fresh() });
    expect(exact.manifest.gradient).toBe('exact');
    expect(exact.manifest.command).toMatch(/--gradient exact/);
    expect(exact.manifest.plan.units).not.toEqual(estimated.manifest.plan.units);
    const { calibration } = texts;
    const measures = ['gradient'];
    const measured = await profile({ ...common(), calibration, measures, gradient: 'exact' });
    expect(measured.profile.gradient).toBe('exact');
    const planned = { checkpoint, sparsity: 0.6, allocation: 'ecoflap', criterion: 'magnitude' };
    const made = await makePlan({ ...planned, profile: measured.profile });
    expect(made.from).toMatchObject({ policy: 'ecoflap', gradient: 'exact' });
    expect(made.units).toEqual(exact.manifest.plan.units);
    const contradicting = makePlan({ ...planned, profile: measured.profile, gradient: 'estimated' });
    await expect(contradicting).rejects.toMatchObject(codeOf('E_OPTION_PROFILE'));
    const { comparison } = await compare({
      ...{ ...common(), ...texts, sparsities: [0.6], allocations: ['uniform', 'ecoflap'], criterion: 'magnitude' },
      ...{ gradient: 'exact', out: fresh() },
    });
    expect(comparison.gradient).toBe('exact');
    expect(comparison.rows[1]!.validation).toEqual(exact.manifest.chosen.validation);
  });

  test('is refused where no gradient is measured', async () => {
    const refused = codeOf('E_OPTION_CONFLICT');
    await expect(prune({ ...asked(), allocation: 'uniform', gradient: 'exact', out: fresh() })).rejects.toMatchObject(
      refused,
    );
    await expect(makePlan({ checkpoint, sparsity: 0.6, beta: 0.01, gradient: 'exact' })).rejects.toMatchObject(refused);
    await expect(
      compare({ ...common(), ...texts, sparsities: [0.6], allocations: ['atp'], gradient: 'exact', out: fresh() }),
    ).rejects.toMatchObject(refused);
    const { calibration } = texts;
    await expect(profile({ ...common(), calibration, gradient: 'exact' })).rejects.toMatchObject(refused);
    await expect(prune({ ...asked(), gradient: 'guessed', out: fresh() })).rejects.toMatchObject(
      codeOf('E_OPTION_GRADIENT'),
    );
  });
});
