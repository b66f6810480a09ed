// What is left to find once some numbers are given.

import { describe, expect, test } from 'vitest';
import {
  type AllocationPolicy,
  findPolicy,
  firstPoint,
  maxBeta,
  openHyperparameters,
  POLICIES,
  searchSpace,
} from '../../src/plan/index.js';
import { groupedFacts } from './measured.js';

const facts = groupedFacts(8, 4, [12, 12, 12]);

test('ATP has an interval of its own name and bounds, and nothing to find where β is given', () => {
  expect(searchSpace(findPolicy('atp'), {}, 0.7, facts)).toEqual({
    kind: 'interval',
    name: 'beta',
    low: 0,
    high: maxBeta(0.7, 3),
  });
  expect(searchSpace(findPolicy('atp'), { beta: 0.1 }, 0.7, facts)).toBeUndefined();
});

test('ATP is searched on both sides of uniform only where that is asked for; others have one side', () => {
  const both = searchSpace(findPolicy('atp'), {}, 0.7, facts, true)!;
  expect(both).toEqual({ ...searchSpace(findPolicy('atp'), {}, 0.7, facts), mirrored: true });
  expect(firstPoint(both)).toEqual({ beta: 0 });
  const layerwise = findPolicy('layerwise');
  expect(searchSpace(layerwise, {}, 0.7, facts, true)).toEqual(searchSpace(layerwise, {}, 0.7, facts));
});

test('a given number has its axis to itself', () => {
  const space = searchSpace(findPolicy('layerwise'), { line: 0.15 }, 0.7, facts);
  expect(space).toMatchObject({ kind: 'grid', axes: { line: [0.15], gain: [0, 0.25, 0.5, 0.75, 1] } });
  expect(firstPoint(space!)).toEqual({ line: 0.15, gain: 0 });
});

test('neuronal judges its published values', () => {
  const space = searchSpace(findPolicy('neuronal'), {}, 0.7, facts);
  expect(space?.kind === 'candidates' && space.points.length).toBe(14);
});

test.each([...POLICIES.values()])('$name leaves something to find exactly where a number has no value', (policy) => {
  expect(searchSpace(policy, {}, 0.5, facts) === undefined).toBe(
    policy.levels === undefined && policy.hyperparameters.every(({ fallback }) => fallback !== undefined),
  );
});

describe('policies as others may write them', () => {
  const made = (...names: readonly string[]): AllocationPolicy => ({
    ...findPolicy('atp'),
    name: 'made',
    hyperparameters: names.map((name) => ({ name, text: name, fallback: undefined, range: () => [1, 3] })),
  });

  test('a number with choices is searched among them', () => {
    const [one] = made('tree').hyperparameters;
    const policy = { ...made(), hyperparameters: [{ ...one!, choices: [1, 3] }] };
    expect(searchSpace(policy, {}, 0.5, facts)).toMatchObject({ kind: 'grid', axes: { tree: [1, 3] } });
  });

  test('several numbers need a grid with an axis for each', () => {
    const policy = made('a', 'b');
    expect(openHyperparameters(policy, { a: 2 }).map(({ name }) => name)).toEqual(['b']);
    expect(searchSpace(policy, { a: 2 }, 0.5, facts)).toMatchObject({ kind: 'interval', name: 'b', low: 1, high: 3 });
    expect(() => searchSpace(policy, {}, 0.5, facts)).toThrowError(/a and b need a grid/);
    const short = { ...policy, grid: { axes: { a: [1] }, always: () => false } };
    expect(() => searchSpace(short, {}, 0.5, facts)).toThrowError(/no axis for b/);
  });

  test('points that fall together under a given number are one', () => {
    const policy: AllocationPolicy = {
      ...made('a', 'b'),
      candidates: () => [
        { a: 1, b: 1 },
        { a: 2, b: 1 },
        { a: 2, b: 3 },
      ],
    };
    expect(searchSpace(policy, { a: 3 }, 0.5, facts)).toEqual({
      kind: 'candidates',
      points: [
        { a: 3, b: 1 },
        { a: 3, b: 3 },
      ],
    });
  });
});
