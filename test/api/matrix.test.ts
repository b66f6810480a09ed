// Every allocation policy goes with every criterion and every pattern that the criterion has, pair by pair (test/matrix.ts):
// each cell prunes both blocks of a tiny checkpoint, and as many weights go, in such places, as the rates and the pattern ask
// for. Policies are given random measures (that real ones are collected is policies.test.ts's), so that a cell takes
// milliseconds.

import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createOrtEngine, type Engine } from '../../src/engine/index.js';
import { createGemm, type EngineGemm } from '../../src/linalg/index.js';
import { type Linear, linearUnits, type Model, openModel, unitOf } from '../../src/model/index.js';
import { CRITERIA, type Operator, parsePattern } from '../../src/operators/index.js';
import { measureEvidence, treatBlock } from '../../src/pipeline/index.js';
import {
  type AllocationPolicy,
  allocate,
  countOf,
  findPolicy,
  type LinearUnit,
  POLICIES,
  realisePlan,
  zeroRate,
} from '../../src/plan/index.js';
import type { Plan } from '../../src/records/index.js';
import { factsOf } from '../../src/runs/facts.js';
import { embedWindows, type Text } from '../../src/stream/index.js';
import { toFloat32 } from '../../src/tensor/index.js';
import { loadTokenizer, makeWindows } from '../../src/text/index.js';
import { cellsToTest } from '../matrix.js';
import { randomMeasured } from '../plan/measured.js';
import { LENGTH, makeFolder, makeTiny, stutter } from './make.js';

const TARGET = 0.6;
let engine: Engine;
let gemm: EngineGemm;
let model: Model;
let calibration: Text;
beforeAll(async () => {
  engine = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
  gemm = await createGemm(engine);
  model = await openModel(await makeTiny(join(await makeFolder(), 'model'), { blocks: 2, seed: 6 }));
  const tokens = (await loadTokenizer(model.checkpoint.dir)).encode(stutter(3, 2000));
  const windows = makeWindows(tokens, { length: LENGTH, order: 'sequential', count: 8, seed: 0 });
  calibration = { content: windows, embedded: await embedWindows(model, windows) };
});
afterAll(() => engine.close());

const ALL = [...CRITERIA.values()].flatMap((criterion) =>
  criterion.patterns
    .flatMap((kind) => (kind === 'n:m' ? ['n:4', 'n:16', '2:4'] : [kind]))
    .flatMap((pattern) =>
      // One N for all is what uniform asks for.
      (pattern === '2:4' ? [findPolicy('uniform')] : [...POLICIES.values()]).map((policy) => ({
        criterion,
        pattern,
        policy,
      })),
    ),
);
const CASES = cellsToTest(ALL, ({ criterion, pattern, policy }) => [criterion.name, pattern, policy.name]).map(
  (cell) => [cell.criterion.name, cell.pattern, cell.policy.name, cell] as const,
);

test('every criterion has N:M, and rows or panels beside it', () => {
  for (const { name, patterns } of CRITERIA.values()) {
    expect(patterns, name).toContain('n:m');
    expect(patterns.length, name).toBeGreaterThan(1);
  }
});

test.each(CASES)('%s, %s, %s', async (_, name, _policy, { criterion, policy }) => {
  const plan = planOf(policy, name);
  const countIn = (unit: LinearUnit): number => countOf(zeroRate(plan, unit), unit.weights);
  const all = linearUnits(model).reduce((sum, unit) => sum + countIn(unit), 0);
  const target = name === '2:4' ? 0.5 : TARGET;
  // In groups the total is met to half of one linear's step, else to half a weight.
  const most = name.startsWith('n:') ? largestStep(Number(name.slice(2))) / 2 : 0.5;
  expect(Math.abs(all - target * model.prunable)).toBeLessThanOrEqual(most + 1e-6);
  for (const [block, linears] of model.linears.entries()) {
    const pruned = await prune(criterion, plan, block);
    for (const linear of linears) {
      const weights = await pruned(linear);
      const gone = weights.flatMap((weight, i) => (weight === 0 ? [i] : []));
      expect(gone.length, linear.name).toBe(countIn(unitOf(linear)));
      expectPlaces(weights, linear, name);
    }
  }
});

/** The policy's plan in whole weights. */
function planOf(policy: AllocationPolicy, pattern: string): Plan {
  const facts = factsOf(model);
  const target = pattern === '2:4' ? 0.5 : TARGET;
  const values = Object.fromEntries(
    policy.hyperparameters
      .filter(({ fallback }) => fallback === undefined)
      .map(({ name, range }) => [name, 0.4 * range(target, facts)[1]]),
  );
  const measured = randomMeasured(facts, 9);
  const plan = allocate(policy, { target, facts, counting: 'exact', values, measured });
  const parsed = parsePattern(pattern);
  const of = parsed.kind === 'n:m' ? parsed.of : undefined;
  return realisePlan(plan, facts.linears, { counting: 'exact', pattern, of });
}

const largestStep = (of: number): number =>
  Math.max(...model.linears.flat().map(({ rows, columns }) => (rows * columns) / of));

/** What each criterion needs to know of a block, measured once: it does not depend on the rates. */
const measured = new Map<string, Awaited<ReturnType<typeof measureEvidence>>>();
async function evidenceFor(operator: Operator, block: number) {
  const key = `${operator.name}-${block}`;
  const known =
    measured.get(key) ?? (await measureEvidence(engine, model, operator, block, calibration.embedded, calibration));
  measured.set(key, known);
  return structuredClone(known); // an operator may overwrite Gram matrices
}

/** Prunes a block; gives the weights of its linears. */
async function prune(operator: Operator, plan: Plan, block: number) {
  const { edits } = await treatBlock({ model, operator, plan }, block, await evidenceFor(operator, block), gemm);
  return async ({ name }: Linear): Promise<number[]> => {
    const edit = edits.get(`${name}.weight`);
    if (!edit || 'remove' in edit) throw new Error(`${name} was not pruned`);
    return [...toFloat32(await edit.read(), 'F32')];
  };
}

/** Rows lose alike to one weight, and groups exactly alike. */
function expectPlaces(weights: readonly number[], { rows, columns }: Linear, pattern: string): void {
  const width = pattern.includes(':') ? Number(pattern.split(':')[1]) : columns;
  if (pattern === 'matrix' || pattern === 'columns') return;
  const found = new Set<number>();
  for (let at = 0; at < rows * columns; at += width) {
    found.add(weights.slice(at, at + width).filter((weight) => weight === 0).length);
  }
  expect(Math.max(...found) - Math.min(...found)).toBeLessThanOrEqual(pattern === 'row' ? 1 : 0);
}
