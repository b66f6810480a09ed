// What CONTRIBUTING.md promises, as a test: a policy with one number to find of a name that nothing knows, a criterion and a
// family, each one object in its registry and nothing else, go through prune from end to end.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { inspect, makePlan, prune } from '../../src/api/index.js';
import { parseCall, pruneOptions } from '../../src/cli/index.js';
import { FAMILIES, type FamilySpec } from '../../src/model/index.js';
import { CRITERIA, findCriterion, type MaskOperator, maskOperator } from '../../src/operators/index.js';
import { type AllocationPolicy, POLICIES } from '../../src/plan/index.js';
import { FAMILY_CONFIGS, makeFamily } from '../families.js';
import { LENGTH, makeFolder, makeTexts, type Texts, useOwnCache } from './make.js';

const magnitude = findCriterion('magnitude') as MaskOperator;

/** Uniform lies inside the range, between two points of the search's grid. */
const slope: AllocationPolicy = {
  name: 'slope',
  summary: 'a line over blocks that may fall',
  granularity: 'block',
  needs: [],
  hyperparameters: [{ name: 'slope', text: 'its slope', fallback: undefined, range: () => [-0.1, 0.1] }],
  allocate: ({ target, facts, values }) =>
    Array.from({ length: facts.blocks }, (_, i) => target + values.slope! * (i - (facts.blocks - 1) / 2)),
};

/** Whether the fake criterion was asked. */
let masked = 0;
const plain = maskOperator({
  name: 'plain',
  summary: 'magnitude under another name',
  needs: [],
  patterns: ['row'],
  mask: (...asked) => {
    masked++;
    return magnitude.mask(...asked);
  },
});

const family: FamilySpec = { ...FAMILIES.get('llama')!, modelType: 'alpaca' };

/** The registries are maps; what is added here is gone at the end of this file. */
const registered: readonly (readonly [ReadonlyMap<string, unknown>, string, unknown])[] = [
  [POLICIES, 'slope', slope],
  [CRITERIA, 'plain', plain],
  [FAMILIES, 'alpaca', family],
];
beforeAll(() => {
  for (const [registry, name, one] of registered) (registry as Map<string, unknown>).set(name, one);
});
afterAll(() => {
  for (const [registry, name] of registered) (registry as Map<string, unknown>).delete(name);
});

let folder: string;
let texts: Texts;
let checkpoint: string;
beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  texts = await makeTexts(folder, 8);
  checkpoint = await makeFamily(join(folder, 'model'), 'alpaca', { config: FAMILY_CONFIGS.llama!, blocks: 4 });
});

const common = () => ({
  checkpoint,
  sparsity: 0.5,
  allocation: 'slope',
  criterion: 'plain',
  validation: texts.validation,
  sequenceLength: LENGTH,
  threads: 2,
});

test('a policy, a criterion and a family of which nothing knows the names are searched, applied and recorded', async () => {
  const { manifest, out } = await prune({ ...common(), out: join(folder, 'pruned'), maxTrials: 3 });
  expect(masked).toBeGreaterThan(0);
  const { prunable, zeros, family } = await inspect(out);
  expect(family).toBe('alpaca');
  expect(Math.abs(zeros - prunable / 2)).toBeLessThanOrEqual(0.5);
  expect(manifest.criterion).toBe('plain');

  const [uniform, ...others] = manifest.trials;
  expect(uniform).toMatchObject({ beta: null, hyperparameters: {}, rates: [0.5, 0.5, 0.5, 0.5] });
  const exact = others.filter((trial) => trial.exact);
  expect(exact.length).toBeGreaterThan(1);
  expect(exact.length).toBeLessThanOrEqual(3);
  for (const { hyperparameters, rates } of others) {
    expect(Object.keys(hyperparameters)).toEqual(['slope']);
    expect(Math.abs(hyperparameters.slope!)).toBeLessThanOrEqual(0.1);
    expect(rates[1]! - rates[0]!).toBeCloseTo(hyperparameters.slope!, 9);
  }
  const best = exact.reduce((a, b) => (b.validation.perplexity < a.validation.perplexity ? b : a));
  expect(manifest.plan.from).toEqual({ policy: 'slope', values: best.hyperparameters });
  expect(manifest.search!.method).toContain('the legal range of slope');
  expect(await readFile(join(out, 'report.html'), 'utf8')).toContain(`slope (slope = `);

  // The command of the record makes the same bytes, and so does its plan's number when given.
  const words = manifest.command.replace('<dir>', join(folder, 'again')).split(' ').slice(1);
  const { argument, values } = await parseCall(words);
  const again = await prune(await pruneOptions(argument, values));
  const { command, ...same } = again.manifest;
  expect(same).toEqual((({ command: _, ...rest }) => rest)(manifest));
  const given = await prune({ ...common(), out: join(folder, 'given'), hyperparameters: best.hyperparameters });
  expect(given.manifest.sparsity).toEqual(manifest.sparsity);
  expect(given.manifest.command).toContain(`--hyperparameters slope=${best.hyperparameters.slope} `);
});

test('its number is checked by the bounds that it states', async () => {
  await expect(
    prune({ ...common(), out: join(folder, 'steep'), hyperparameters: { slope: 0.2 } }),
  ).rejects.toMatchObject({
    code: 'E_OPTION_HYPERPARAMETERS',
    facts: { option: 'hyperparameters', policy: 'slope', name: 'slope', got: 0.2, low: -0.1, high: 0.1 },
  });
  await expect(makePlan({ checkpoint, sparsity: 0.5, allocation: 'slope' })).rejects.toThrow(
    /slope in \[-0\.1, 0\.1\].*--hyperparameters slope=<number>/,
  );
  await expect(prune({ ...common(), out: join(folder, 'line'), beta: 0.01 })).rejects.toMatchObject({
    code: 'E_OPTION_HYPERPARAMETERS',
    facts: { policy: 'slope', name: 'beta', expected: ['slope'] },
  });
});
