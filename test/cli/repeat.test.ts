// The command in a record repeats the run: split by a shell and read by the command line, it comes to the same settings,
// for every policy and whichever of its numbers and of the other options were given.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { compressOptions, parseCall, pruneOptions, quantiseOptions } from '../../src/cli/index.js';
import { ALLOWED, type CompressOptions, normaliseCompress } from '../../src/compress/index.js';
import { CRITERIA, QUANTISERS } from '../../src/operators/index.js';
import { type AllocationPolicy, POLICIES } from '../../src/plan/index.js';
import { validatePlan } from '../../src/records/index.js';
import type { PruneOptions, QuantiseOptions } from '../../src/runs/index.js';
import { commandOf, normalisePrune, normaliseQuantise, type PruneSettings } from '../../src/runs/index.js';
import { runs } from '../scale.js';

const folder = mkdtempSync(join(tmpdir(), 'layerwise-repeat-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const planPath = join(folder, 'plan.json');

/** What the result depends on. */
function essence(settings: PruneSettings) {
  const { out: _, threads: __, onProgress: ___, resume: ____, push: _____, ...rest } = settings;
  return rest;
}

async function repeat(settings: PruneSettings): Promise<PruneSettings> {
  const command = commandOf(settings)
    .replace('<dir>', 'out')
    .replace('<model>.gguf', 'out.gguf')
    .replace('<plan.json>', planPath);
  const words = execFileSync('sh', ['-c', `printf '%s\\0' ${command}`], { encoding: 'utf8' })
    .split('\0')
    .slice(0, -1);
  expect(words.slice(0, 2)).toEqual(['layerwise', settings.command]);
  const { spec, argument, values } = await parseCall(words.slice(1));
  expect(spec.name).toBe(settings.command);
  if (settings.command === 'quantise') return normaliseQuantise(await quantiseOptions(argument, values));
  if (settings.command === 'compress') return normaliseCompress(compressOptions(argument!, values));
  return normalisePrune(await pruneOptions(argument, values));
}

const path = fc.constantFrom(
  'c4',
  'a.txt',
  'two words.txt',
  'it’s "quoted".txt',
  "it's.txt",
  '$HOME/`x`.txt',
  '-dash.txt',
);
const number = fc.oneof(
  fc.constantFrom(0, 1e-7, 1 / 3, 5, 1e21),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
);

/** Options that need no thought about each other. */
const common = fc.record(
  {
    calibrationSamples: fc.integer({ min: 1, max: 300 }),
    calibrationOrder: fc.constantFrom('random', 'sequential'),
    sequenceLength: fc.integer({ min: 2, max: 4096 }),
    windowStart: fc.constantFrom('none', 'bos'),
    seed: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    maxTrials: fc.integer({ min: 1, max: 12 }),
    greedyTokens: fc.integer({ min: 0, max: 200 }),
    budget: fc.constantFrom('exact', 'published'),
    judge: fc.constantFrom('validation', 'both'),
    device: fc.constantFrom('cpu', 'webgpu'),
    test: path,
  },
  { requiredKeys: [] },
);

/** Of models that read images. */
const ofImages = fc.record(
  {
    labels: path,
    orientation: fc.constantFrom('ignore', 'apply'),
    scope: fc.constantFrom('vision', 'language'),
    classes: path,
  },
  { requiredKeys: [] },
);

const tasks = fc.oneof(
  fc.constant({}),
  fc.record(
    {
      data: path,
      tasks: fc.constantFrom(['piqa'], ['boolq', 'rte']),
      limit: fc.integer({ min: 1, max: 99 }),
      fewshot: fc.integer({ min: 0, max: 5 }),
      specialTokens: fc.constantFrom('tokenizer', 'none'),
    },
    { requiredKeys: ['data', 'tasks'] },
  ),
  fc.record({ data: path, suite: fc.constantFrom('atp', 'wanda') }),
);

/** A criterion with a pattern that it has. */
const pruning = fc.constantFrom(...CRITERIA.values()).chain(({ name, patterns, needs }) =>
  fc.record(
    {
      criterion: fc.constant(name),
      hessian: fc.constantFrom('output', needs.includes('gram') ? 'loss' : 'output'),
      calibrationPrefix: fc.constantFrom('pruned', needs.length > 0 ? 'dense' : 'pruned'),
      pattern: fc.constantFrom(...patterns.map((kind) => (kind === 'n:m' ? 'n:8' : kind))),
    },
    { requiredKeys: ['criterion'] },
  ),
);

/** Any of the policy's numbers; β in either way of giving it. */
const numbers = ({ hyperparameters }: AllocationPolicy) =>
  fc
    .tuple(
      fc.record(Object.fromEntries(hyperparameters.map(({ name }) => [name, number])), { requiredKeys: [] }),
      fc.boolean(),
    )
    .map(([record, short]) => {
      const given = record as Record<string, number>;
      const { beta, ...others } = given;
      return short && beta !== undefined ? { beta, hyperparameters: others } : { hyperparameters: given };
    });

describe.each([...POLICIES.values()])('$name', (policy) => {
  test('its command is read as the settings it was made from', async () => {
    const kinds = policy.needs.includes('gradient') ? (['estimated', 'exact'] as const) : (['estimated'] as const);
    const gradients = fc.record({ gradient: fc.constantFrom(...kinds) }, { requiredKeys: [] });
    const options = fc
      .tuple(
        common,
        tasks,
        pruning,
        gradients,
        numbers(policy),
        fc.double({ min: 0.01, max: 0.99, noNaN: true }),
        path,
        path,
        ofImages,
      )
      .map(
        ([some, scored, how, slopes, given, sparsity, calibration, validation, pictures]): PruneOptions => ({
          ...pictures,
          checkpoint: 'some where/model',
          out: 'out',
          allocation: policy.name,
          sparsity,
          calibration,
          validation,
          ...some,
          ...scored,
          ...how,
          // What is judged by the pruned blocks' inputs is judged behind pruned blocks.
          ...(policy.candidates ? { calibrationPrefix: 'pruned' } : {}),
          ...slopes,
          ...given,
        }),
      );
    await fc.assert(
      fc.asyncProperty(options, async (asked) => {
        const settings = normalisePrune(asked);
        expect(essence(await repeat(settings))).toEqual(essence(settings));
      }),
      { numRuns: runs(25) },
    );
  });
});

test('so are those of a plan, of a fixed N:M, and of a run with every default', async () => {
  const plan = validatePlan({ format: 'layerwise-plan', version: 1, blocks: [0.5, 0.25] }, 'plan');
  writeFileSync(planPath, JSON.stringify(plan));
  const base = { checkpoint: 'org/name@main', out: 'out', calibration: 'c4', validation: 'wikitext2' };
  const asked: readonly PruneOptions[] = [
    { ...base, plan },
    { ...base, plan, budget: 'published', calibrationSamples: 3 },
    { ...base, sparsity: 0.5, allocation: 'uniform', pattern: '2:4' },
    { ...base, sparsity: 0.5 },
    {
      checkpoint: 'x',
      out: 'out',
      sparsity: 0.5,
      allocation: 'uniform',
      criterion: 'magnitude',
      calibrationSamples: 9,
    },
  ];
  for (const one of asked) {
    const settings = normalisePrune(one);
    expect(essence(await repeat(settings))).toEqual(essence(settings));
  }
});

test('so are those of quantise, whatever was given', async () => {
  const plan = validatePlan({ units: { 'blocks.0': { bits: { bits: 3, group: 64 }, zeros: { rate: 0.5 } } } }, 'plan');
  writeFileSync(planPath, JSON.stringify(plan));
  const how = fc.oneof(
    fc.record(
      { bits: fc.constantFrom(2, 3, 4), group: fc.constantFrom(32, 64, 128, 'row' as const) },
      { requiredKeys: ['bits'] },
    ),
    fc.constant({ bits: 8 }),
    fc.constant({ plan }),
    fc.constant({ plan, pattern: '2:4', method: 'gptq' }),
  );
  const options = fc.tuple(common, tasks, how, fc.constantFrom(...QUANTISERS.keys()), path, path, ofImages).map(
    ([
      { maxTrials: _, budget: __, ...some },
      scored,
      given,
      method,
      calibration,
      validation,
      pictures,
    ]): QuantiseOptions => ({
      ...{ checkpoint: 'org/name@main', out: 'out', calibration, validation, ...pictures },
      ...some,
      ...scored,
      ...{ method, hessian: method === 'gptq' ? 'loss' : 'output', ...given },
    }),
  );
  await fc.assert(
    fc.asyncProperty(options, async (asked) => {
      const settings = normaliseQuantise(asked);
      expect(essence(await repeat(settings))).toEqual(essence(settings));
    }),
    { numRuns: runs(25) },
  );
});

test('so are those of compress, whatever was given', async () => {
  const budget = fc.oneof(
    fc.record({ bits: fc.double({ min: 2, max: 16, noNaN: true }) }),
    fc.record({ size: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }) }),
    fc.record({
      tokensPerSecond: fc.double({ min: 1e-6, max: 1e6, noNaN: true }),
      threads: fc.integer({ min: 1, max: 64 }),
    }),
  );
  const how = fc.record(
    {
      allow: fc.constantFrom(['bits'], ['bits', 'zeros'], ['bits', 'drop'], [...ALLOWED]),
      head: fc.constantFrom('int8', 'int4', 'f32'),
      target: fc.constantFrom('own', 'stream'),
    },
    { requiredKeys: [] },
  );
  const options = fc.tuple(common, tasks, budget, how, path, path).map(
    ([{ budget: _, judge: __, ...some }, scored, given, some2, calibration, validation]): CompressOptions => ({
      ...{ checkpoint: 'org/name@main', out: 'out', calibration, validation },
      ...some,
      ...scored,
      ...given,
      ...some2,
    }),
  );
  const zeros = fc.double({ min: 0.001, max: 0.9, noNaN: true });
  const forms = fc.constantFrom<'none' | 'alone' | 'beside' | 'gguf'>('none', 'alone', 'beside', 'gguf');
  const formed = fc.tuple(options, zeros, forms).map(([asked, share, form]): CompressOptions => {
    const { allow: _, bits, size, tokensPerSecond, ...rest } = asked;
    if (form === 'alone') return { ...rest, zeros: share };
    if (form === 'beside') return { ...rest, bits: 3, zeros: share };
    return form === 'gguf' ? { ...rest, bits: 5, out: 'out.gguf' } : asked;
  });
  await fc.assert(
    fc.asyncProperty(formed, async (asked) => {
      const settings = normaliseCompress(asked);
      expect(essence(await repeat(settings))).toEqual(essence(settings));
    }),
    { numRuns: runs(25) },
  );
});
