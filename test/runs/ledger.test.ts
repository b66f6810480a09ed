// A search over an executor: what is entered, in which order, what is kept on disk and what is chosen do not depend on how
// many trials run side by side, nor on which of them ends first. Every request is a letter: JSON and nothing else.

import { describe, expect, test } from 'vitest';
import { createRng } from '../../src/base/index.js';
import { allocate, findPolicy, realisePlan, type Values } from '../../src/plan/index.js';
import type { Candidate } from '../../src/runs/candidate.js';
import type { LocalExecutor } from '../../src/runs/executor.js';
import { requestDigest, type TrialOutcome, type TrialRequest } from '../../src/runs/trial.js';
import { createLedger } from '../../src/runs/trial-ledger.js';
import { createSearcher, walkGrid, walkInterval } from '../../src/search/index.js';
import { groupedFacts, randomMeasured } from '../plan/measured.js';

const facts = groupedFacts(16, 8, [24, 24, 24, 24, 24, 24]);
const measured = randomMeasured(facts, 7);
const WINDOWS = 40;

/** Losses that are the plan's alone, whenever and wherever it is tried. */
function lossesOf(request: TrialRequest): number[] {
  const rates = facts.linears.map(({ id }) => request.plan.units[id]!.zeros!.rate);
  const seed = rates.reduce((sum, rate, i) => (Math.imul(sum, 31) + Math.round(rate * 1e9) * (i + 1)) >>> 0, 7);
  const rng = createRng(seed + (request.fidelity === 'exact' ? 1 : 2));
  const count = request.fidelity === 'exact' ? WINDOWS : 32;
  return Array.from({ length: count }, () => 3 + rng.uniform());
}

/** An executor that ends its trials out of order, and remembers what it ran and discarded. */
function makeExecutor(slots: number, failing?: string) {
  const ran: string[] = [];
  const discarded: string[] = [];
  let [running, most] = [0, 0];
  const executor: LocalExecutor = {
    slots,
    run: async (request) => {
      const letter = JSON.parse(JSON.stringify(request)) as TrialRequest;
      const digest = requestDigest(request);
      expect(requestDigest(letter)).toBe(digest);
      ran.push(digest);
      most = Math.max(most, ++running);
      const turns = Number.parseInt(digest.slice(0, 2), 16) % 7;
      for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
      running--;
      if (digest === failing) throw new Error('a trial failed');
      const outcome: TrialOutcome = {
        request: digest,
        engine: 'none',
        losses: lossesOf(letter),
        errors: [],
        seconds: 0,
      };
      return outcome;
    },
    scoreCalibration: async () => [],
    errorsAlone: async () => [],
    levels: { open: () => {}, discard: async () => {} },
    blocks: { dirOf: (trial) => trial, restore: async () => {}, discard: async (trial) => void discarded.push(trial) },
  };
  return { executor, ran, discarded, most: () => most };
}

const requestOf = ({ plan }: Pick<Candidate, 'plan'>, fidelity: TrialRequest['fidelity']): TrialRequest => ({
  model: 'a model',
  plan: realisePlan(plan, facts.linears, { counting: 'exact', pattern: 'row', of: undefined }),
  operator: 'wanda',
  seed: 0,
  fidelity,
  loss: 'likelihood',
});

const POLICIES = {
  atp: () => walkInterval({ name: 'beta', low: 0, high: 0.1, startsUniform: true, maxTrials: 4, surrogate: true }),
  layerwise: () =>
    walkGrid({
      axes: { line: [0, 0.2, 0.4], gain: [0, 0.5, 1] },
      always: ({ gain }) => gain === 0,
      startsUniform: true,
      maxTrials: 5,
    }),
} as const;

async function search(name: keyof typeof POLICIES, slots: number, failing?: string) {
  const { executor, ran, discarded, most } = makeExecutor(slots, failing);
  const policy = findPolicy(name);
  const candidateAt = (values: Values): Candidate => ({
    plan: allocate(policy, { target: 0.6, facts, counting: 'exact', measured, values }),
    values,
  });
  const ledger = createLedger({ executor, requestOf, facts, scoring: { rows: 16 }, onProgress: () => {} });
  const first = name === 'atp' ? { beta: 0 } : { line: 0, gain: 0 };
  await ledger.run(candidateAt(first));
  const best = await ledger.search(createSearcher(POLICIES[name]), candidateAt);
  return { best, entries: ledger.entries, ran, discarded, most: most() };
}

describe.each(['atp', 'layerwise'] as const)('%s', (name) => {
  test('enters and chooses the same for 1, 2, 3, 4 and 7 slots', async () => {
    const alone = await search(name, 1);
    expect(alone.most).toBe(1);
    expect(alone.entries.filter(({ trial }) => trial.exact).length).toBeGreaterThan(2);
    for (const slots of [2, 3, 4, 7]) {
      const together = await search(name, slots);
      expect(together.most, `${slots} slots`).toBeGreaterThan(1);
      expect(together.most).toBeLessThanOrEqual(slots);
      // What was tried in vain leaves nothing on disk.
      const entered = together.entries.map(({ request }) => requestDigest(request));
      for (const trial of together.ran) if (!entered.includes(trial)) expect(together.discarded).toContain(trial);
      expect(together.entries).toEqual(alone.entries);
      expect(together.best).toEqual(alone.best);
      // No trial is run twice, whoever wanted it first.
      expect(new Set(together.ran).size).toBe(together.ran.length);
    }
  });

  test('keeps the blocks of the baseline and of the best, and discards the others’', async () => {
    const { best, entries, discarded } = await search(name, 1);
    const exact = entries.filter(({ trial }) => trial.exact).map(({ request }) => requestDigest(request));
    const kept = exact.filter((digest) => !discarded.includes(digest));
    expect(new Set(kept)).toEqual(new Set([exact[0], requestDigest(best.request)]));
  });

  test('a trial that fails ends the search with its error, and leaves no rejection behind', async () => {
    const { entries } = await search(name, 1);
    const last = requestDigest(entries.at(-1)!.request);
    await expect(search(name, 4, last)).rejects.toThrow('a trial failed');
  });
});

test('two plans that round alike are one trial, and order of keys does not make a request another', () => {
  const plan = (rate: number): Candidate['plan'] => ({
    format: 'layerwise-plan',
    version: 2,
    units: Object.fromEntries(facts.linears.map(({ block }) => [`blocks.${block}`, { zeros: { rate } }])),
  });
  expect(requestDigest(requestOf({ plan: plan(0.5) }, 'exact'))).toBe(
    requestDigest(requestOf({ plan: plan(0.5 + 1e-9) }, 'exact')),
  );
  expect(requestDigest(requestOf({ plan: plan(0.5) }, 'exact'))).not.toBe(
    requestDigest(requestOf({ plan: plan(0.6) }, 'exact')),
  );
  expect(requestDigest(requestOf({ plan: plan(0.5) }, 'exact'))).not.toBe(
    requestDigest(requestOf({ plan: plan(0.5) }, 'surrogate')),
  );
  const request = requestOf({ plan: plan(0.5) }, 'exact');
  const turned = Object.fromEntries(Object.entries(request).reverse()) as unknown as TrialRequest;
  expect(requestDigest(turned)).toBe(requestDigest(request));
});
