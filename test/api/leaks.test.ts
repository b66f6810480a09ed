// What a run leaves behind where one of its steps fails: nothing open, no scratch file, no run under way, no rejection that
// nobody sees; the error is that of the step. Every kind of step of every kind of run fails, the first of its kind and a later
// one, and the last steps of the run; from some of them on the engine is gone for good.

import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { compare, drop, evaluate, profile, prune } from '../../src/api/index.js';
import type { OnProgress } from '../../src/base/index.js';
import type { Engine } from '../../src/engine/index.js';
import type { PruneOptions } from '../../src/runs/index.js';
import { limit } from '../scale.js';
import { items } from '../zeroshot/golden.js';
import { expectFault, type Fault, ledger, seen, step } from './ledger.js';
import { differences, LENGTH, makeFolder, makeTexts, makeTiny, readTree, useOwnCache } from './make.js';

vi.mock('../../src/engine/index.js', async (original) => {
  const real = await original<typeof import('../../src/engine/index.js')>();
  const { watchEngine } = await import('./ledger.js');
  let shared: Promise<Engine> | undefined;
  return {
    ...real,
    createOrtEngine: async () => {
      shared ??= real.createOrtEngine({ device: 'cpu', workers: 2, threads: 1 });
      return watchEngine(await shared);
    },
    closeShared: async () => await (await shared)?.close(),
  };
});
vi.mock('../../src/stream/activations.js', async (original) => {
  const real = await original<typeof import('../../src/stream/activations.js')>();
  const { chunksOfTwo, watchActivations } = await import('./ledger.js');
  return { ...real, chunksOf: chunksOfTwo, createActivations: watchActivations(real.createActivations) };
});

/** Three chunks of them. */
const WINDOWS = 5;

let folder: string;
let scratch: string;
let common: Omit<PruneOptions, 'out' | 'sparsity' | 'validation' | 'test'>;
let texts: { readonly validation: string; readonly test: string };
const unseen: unknown[] = [];
const keep = (reason: unknown): void => void unseen.push(reason);
const before = process.env.TMPDIR;

beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  scratch = join(folder, 'tmp');
  await mkdir(scratch);
  process.env.TMPDIR = scratch;
  const { calibration, validation, test } = await makeTexts(folder, WINDOWS);
  texts = { validation, test };
  const checkpoint = await makeTiny(join(folder, 'model'), { blocks: 2, seed: 5 });
  common = { checkpoint, calibration, calibrationSamples: WINDOWS, sequenceLength: LENGTH, maxTrials: 1, threads: 1 };
  process.on('unhandledRejection', keep);
});
afterAll(async () => {
  process.off('unhandledRejection', keep);
  if (before === undefined) delete process.env.TMPDIR;
  else process.env.TMPDIR = before;
  const engine = (await import('../../src/engine/index.js')) as unknown as { closeShared(): Promise<void> };
  await engine.closeShared();
});

type Run = (out: string, onProgress: OnProgress, resume: boolean) => Promise<unknown>;

/** Runs, and whether one that was interrupted can be resumed. */
const RUNS: readonly (readonly [name: string, resumes: boolean, run: Run])[] = [
  [
    'prune: a searched β, masks',
    true,
    (out, onProgress, resume) =>
      prune({ ...common, ...texts, sparsity: 0.6, criterion: 'wanda', out, onProgress, resume }),
  ],
  [
    'prune: a searched grid, a solver, sensitivities, tasks',
    true,
    (out, onProgress, resume) =>
      prune({
        ...{ ...common, ...texts, sparsity: 0.6, allocation: 'layerwise', criterion: 'sparsegpt', out },
        ...{ data: items, tasks: ['piqa'], limit: 3, onProgress, resume },
      }),
  ],
  [
    'prune: a solver whose Gram matrices know the loss, exact gradients',
    true,
    (out, onProgress, resume) =>
      prune({
        ...{ ...common, ...texts, sparsity: 0.6, allocation: 'ecoflap', criterion: 'sparsegpt', out },
        ...{ hessian: 'loss', gradient: 'exact', onProgress, resume },
      }),
  ],
  [
    'prune: by alignment, a solver',
    true,
    (out, onProgress, resume) =>
      prune({ ...common, sparsity: 0.9, allocation: 'neuronal', criterion: 'sparsegpt', out, onProgress, resume }),
  ],
  [
    'compare',
    true,
    (out, onProgress, resume) =>
      compare({ ...common, ...texts, sparsities: [0.6], allocations: ['owl'], out, onProgress, resume }),
  ],
  [
    'drop by influence',
    true,
    (out, onProgress, resume) => drop({ ...common, ...texts, blocks: 1, method: 'shortgpt', out, onProgress, resume }),
  ],
  [
    'drop by perplexity',
    true,
    (out, onProgress, resume) =>
      drop({ ...common, ...texts, blocks: 1, method: 'perplexity', out, onProgress, resume }),
  ],
  [
    'evaluate: a text and a task',
    false,
    (_, onProgress) =>
      evaluate({
        ...{ checkpoint: common.checkpoint, text: texts.test, data: items, tasks: ['piqa'], limit: 3 },
        ...{ sequenceLength: LENGTH, threads: 1, onProgress },
      }),
  ],
  [
    'profile',
    false,
    (out, onProgress) =>
      profile({
        ...common,
        calibration: common.calibration!,
        measures: ['outliers', 'alpha', 'redundancy', 'gradient'],
        ...{ out, onProgress },
      }),
  ],
];

const onProgress: OnProgress = ({ kind }) => step(`progress ${kind}`);

/** What is ours: ONNX Runtime's library keeps files of its own in the temporary folder, for as long as the process lives. */
const ours = (path: string): boolean => basename(path).startsWith('layerwise-') || !path.startsWith(scratch);

/** Descriptors of files below the folder of this test. */
function openFiles(): string[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(folder) && ours(path) ? [path] : [];
    } catch {
      return []; // the one that lists the folder
    }
  });
}

/** Files of a workspace that are nobody's result. */
function leftovers(out: string): string[] {
  const partial = `${out}.partial`;
  const there = existsSync(partial) ? readdirSync(partial, { recursive: true }).map(String) : [];
  return there.filter((path) => /\.tmp$|^lock$|(surrogate|alignment)-[^/]*(\/|$)/.test(path) && !/^steps\//.test(path));
}

async function runWith(fault: Fault | undefined, run: () => Promise<unknown>): Promise<unknown> {
  expectFault(fault);
  unseen.length = 0;
  const error = await run().then(
    () => undefined,
    (error: unknown) => error,
  );
  const { engines, sessions, runs, activations, wrong } = ledger;
  expect({ engines, sessions, runs, activations, wrong }).toEqual({
    ...{ engines: 0, sessions: 0, runs: 0, activations: 0, wrong: [] },
  });
  expect(openFiles()).toEqual([]);
  expect(readdirSync(scratch).filter((name) => ours(join(scratch, name)))).toEqual([]);
  await new Promise((resolve) => setImmediate(resolve));
  expect(unseen).toEqual([]);
  return error;
}

/** Numbers of the first step of each kind, of a later one, and of the last steps; blocks are of one kind. */
function sampleSteps(steps: readonly string[]): number[] {
  const kinds = new Map<string, number[]>();
  for (const [i, name] of steps.entries()) {
    const kind = name.replaceAll(/\d+/g, '#');
    kinds.set(kind, [...(kinds.get(kind) ?? []), i + 1]);
  }
  // Which later one differs from kind to kind, so that together they are spread over the run. One of every third kind.
  const later = [...kinds.values()].flatMap((all, i) =>
    i % 3 === 0 ? all[Math.floor(all.length * ((i * 0.618) % 1))]! : [],
  );
  const last = [steps.length - 1, steps.length];
  return [...new Set([...[...kinds.values()].map(([first]) => first!), ...later, ...last])].sort((a, b) => a - b);
}

test('scratch files of this test lie where it looks', () => expect(tmpdir()).toBe(scratch));

describe.each(RUNS)('%s', (name, resumes, run) => {
  const at = (part: string): string => join(folder, `${name.replaceAll(/\W+/g, '-')}-${part}`);
  let steps: readonly string[];
  let whole: Record<string, string>;

  test('that succeeds leaves nothing open', async () => {
    expect(await runWith(undefined, () => run(at('whole'), onProgress, false))).toBeUndefined();
    steps = seen().steps;
    expect(steps.length).toBeGreaterThan(20);
    if (resumes) whole = await readTree(at('whole'));
  });

  test('that fails anywhere leaves nothing open', { timeout: limit(180_000) }, async () => {
    const sample = sampleSteps(steps);
    for (const [i, number] of sample.entries()) {
      const out = at('failed');
      for (const mode of i % 5 === 0 ? (['once', 'from then on'] as const) : (['once'] as const)) {
        const error = await runWith({ step: number, mode }, () => run(out, onProgress, false));
        expect(seen().thrown, `step ${number} of ${steps.length}`).toBeInstanceOf(Error);
        expect(error, `${mode}: ${steps[number - 1]}`).toBe(seen().thrown);
        expect(leftovers(out), steps[number - 1]).toEqual([]);
        await rm(`${out}.partial`, { recursive: true, force: true });
        await rm(out, { recursive: true, force: true });
      }
    }
  });

  test.runIf(resumes)('that failed can be resumed, to the same bytes', async () => {
    const out = at('resumed');
    const step = Math.floor(steps.length * 0.7);
    expect(await runWith({ step, mode: 'once' }, () => run(out, onProgress, false))).toBeInstanceOf(Error);
    expect(await runWith(undefined, () => run(out, onProgress, true))).toBeUndefined();
    expect(differences(await readTree(out), whole)).toEqual([]);
  });
});
