// Chooses the treatments of a compressed model: a Lagrange multiplier over the table of sensitivities, bent by two numbers that
// are found on validation text, together with how far weights follow the dense stream. Plans of one width that fit the budget
// are candidates too, so the result is never worse than they are on validation text.

import { OptionError } from '../base/index.js';
import { linearUnits, type Model } from '../model/index.js';
import { allocateMixed, costRange, fitBudget, type LinearUnit, mostZeros, zeroRate } from '../plan/index.js';
import { blockId, type Plan, type SensitivityTable, type Treatment } from '../records/index.js';
import {
  type Candidate,
  type Choice,
  type ChoosingContext,
  chooseShares,
  createLedger,
  type Entry,
  factsOf,
  lossOf,
  type Measuring,
  noteTrial,
  type PruneSettings,
} from '../runs/index.js';
import { createSearcher, walkDescent } from '../search/index.js';
import { type Costing, unitsOf } from './costs.js';
import type { CompressSettings } from './settings.js';
import { type Damages, type Item, linearsOfUnit, measureDamages, tableOf } from './table.js';

/** Where the search for the two numbers begins, and where it may go. */
const AXES = { gain: [0, 0.5, 1, 1.5], line: [-1, -0.5, 0, 0.5, 1] } as const;
const STARTS = [
  { gain: 1, line: 0 },
  { gain: 0.5, line: 0 },
];

/** A choice, and the table that it was made from. */
export type MixedChoice = Choice & { readonly table: SensitivityTable };

/** Chooses within the budget of `cost`, from damages that were `read`, or else measures them. */
export async function chooseMixed(
  settings: PruneSettings & CompressSettings,
  { cost, read }: { readonly cost: Costing; readonly read: Damages | undefined },
  model: Model,
  { executor, requestOf, scoring }: ChoosingContext,
  measuring: Measuring,
): Promise<MixedChoice> {
  const { onProgress, items, drops, criterion } = settings;
  const asked = { operator: criterion.name, items, drops };
  const damages = read ?? (await measureDamages(model, asked, measuring));
  const table = tableOf(model, measuring.hashes, damages, items, cost);
  const plans = createPlans(settings, model, table, cost);
  const ledger = createLedger({ executor, requestOf, facts: factsOf(model), scoring, onProgress });
  if (!scoring) {
    const base = plans.at(plans.predicted, {});
    const follow = await chooseShares(settings, base, undefined, ledger, undefined);
    const entry = await ledger.run({ ...base, ...(follow ? { target: follow } : {}) });
    return { ...entry, uniform: undefined, isUniform: false, entries: [], judged: [], method: undefined, table };
  }
  // The search is over plans with all blocks, where they fit.
  const base = plans.at(plans.fewest, STARTS[0]!);
  const follow = await chooseShares(settings, base, plans.even, ledger, scoring);
  const following = (candidate: Candidate): Candidate => (follow ? { ...candidate, target: follow } : candidate);
  const uniform = plans.even && (await ledger.run(following(plans.even)));
  if (uniform) noteTrial(uniform, onProgress);
  const spent = ledger.entries.length;
  const maxTrials = Math.max(2, settings.maxTrials - Math.max(0, spent - 2));
  const kept = uniform ? [uniform.digest] : [];
  let best = await ledger.search(
    createSearcher(() => walkDescent({ axes: AXES, starts: STARTS, maxTrials })),
    (values) => following(plans.at(plans.fewest, values)),
    kept,
  );
  if (plans.predicted > plans.fewest) {
    const { gain = 1, line = 0 } = best.candidate.values;
    const shorter = await ledger.run(following(plans.at(plans.predicted, { gain, line })));
    noteTrial(shorter, onProgress);
    best = better(best, shorter);
  }
  best = better(best, uniform);
  return {
    ...best,
    uniform: uniform ?? ledger.entries[0],
    isUniform: uniform !== undefined && best.digest === uniform.digest,
    entries: ledger.entries,
    judged: [],
    method: `${METHOD}${drops ? DROP_METHOD : ''} The test text plays no part.`,
    table,
  };
}

const METHOD =
  'A table of sensitivities (mean token KL of each unit under each treatment, alone) and a Lagrange multiplier choose the treatments within the budget. Two numbers bend the table: the share of the measured differences between units (gain) and a line over depth. They and the shares of the dense stream are found by exact trials on all validation windows, judged by KL to the dense model; the dearest plan with one treatment for all within the budget is a candidate too.';
const DROP_METHOD =
  ' Blocks are left out in the order of their own KL, as many as make the sum of the table least; that plan is one more candidate, and so is none left out.';

const better = (a: Entry, b: Entry | undefined): Entry => (b && lossOf(b) < lossOf(a) ? b : a);

/** Refuses a share of zeros that no choice within the other budget has. @throws OptionError E_OPTION_ZEROS */
export function checkZeros({ compress, items }: CompressSettings, model: Model, { costOf, limit }: Costing): void {
  const { zeros } = compress;
  if (zeros === undefined) return;
  const groups = unitsOf(linearUnits(model));
  const units = groups.map((members, u) => {
    const priced = items.map((treatment) => ({ treatment, cost: costOf(members, treatment), damage: 0 }));
    return [String(u), { block: members[0]!.block, items: priced }] as const;
  });
  const weightsOf = (id: string): number => groups[Number(id)]!.reduce((sum, { weights }) => sum + weights, 0);
  const most = mostZeros({ units: Object.fromEntries(units) }, limit, weightsOf);
  if (most >= zeros - 1e-9) return;
  const largest = Math.floor(1000 * most) / 1000;
  throw new OptionError(
    'E_OPTION_ZEROS',
    `--zeros: expected at most ${largest}, the most that fits the other budget (zeros save bytes with 4 bits alone: 3.13 bits a weight with scales at 8 of 16, 2.63 at 10), got ${zeros}. Ask for fewer, or for a larger budget.`,
    { option: 'zeros', got: zeros, largest },
  );
}

type Plans = {
  /** The candidate without so many blocks. */
  at(dropped: number, bending: Readonly<Record<string, number>>): Candidate;
  /** The fewest blocks without which the budget can be met, and the number of least predicted damage. */
  readonly fewest: number;
  readonly predicted: number;
  /** The dearest plan with one treatment for all units that fits; undefined if none does. */
  readonly even: Candidate | undefined;
};

function createPlans(
  { compress, items }: PruneSettings & CompressSettings,
  model: Model,
  table: SensitivityTable,
  cost: Costing,
): Plans {
  const linears = linearUnits(model);
  const weights = new Map(linears.map(({ id, weights }) => [id, weights]));
  const weightsOf = (id: string): number => linearsOfUnit(id).reduce((sum, name) => sum + weights.get(name)!, 0);
  const zeros = compress.zeros === undefined ? undefined : { share: compress.zeros, weightsOf };
  const removals = Object.values(table.units).flatMap(({ block, items: [first] }) =>
    first?.treatment?.drop ? [{ block, damage: first.damage }] : [],
  );
  // Every model keeps a block.
  const order = [...removals].sort((a, b) => a.damage - b.damage || a.block - b.block).slice(0, -1);
  const without = (count: number): SensitivityTable => {
    const gone = new Set(order.slice(0, count).map(({ block }) => block));
    const left = Object.entries(table.units).filter(
      ([, { block, items: all }]) => !all[0]?.treatment?.drop && !gone.has(block),
    );
    return { ...table, units: Object.fromEntries(left) };
  };
  const fits = (count: number): boolean => costRange(without(count))[0] <= cost.limit;
  let fewest = 0;
  while (fewest < order.length && !fits(fewest)) fewest++;
  let [predicted, least] = [fewest, Number.POSITIVE_INFINITY];
  for (let count = fewest; count <= order.length; count++) {
    const { measured } = allocateMixed(without(count), cost.limit, {}, zeros);
    const damage = order.slice(0, count).reduce((sum, one) => sum + one.damage, measured);
    if (damage < least) [predicted, least] = [count, damage];
  }
  const at: Plans['at'] = (count, { gain = 1, line = 0 }) => {
    const { plan } = allocateMixed(without(count), cost.limit, { gain, line }, zeros);
    const blocks = order.slice(0, count).map(({ block }) => [blockId(block), { drop: true as const }] as const);
    const values = { gain, line, ...(count > 0 ? { dropped: count } : {}) };
    const whole = { ...onLinears(plan), from: { policy: 'mixed', values } };
    const all: Plan = { ...whole, units: { ...whole.units, ...Object.fromEntries(blocks) } };
    return { plan: compress.kind === 'zeros' ? withShare(all, linears, compress.value) : all, values };
  };
  return { at, fewest, predicted, even: evenPlan(linears, items, cost, compress) };
}

/** Rates moved by one number, so that their mean is the share that was asked for. */
function withShare(plan: Plan, linears: readonly LinearUnit[], share: number): Plan {
  const rates = fitBudget(
    linears.map((unit) => zeroRate(plan, unit)),
    linears.map(({ weights }) => weights),
    share,
  );
  const units = linears.map(({ id }, l) => [id, { zeros: { rate: rates[l]! } }] as const);
  return { ...plan, units: Object.fromEntries(units) };
}

/** The plan of a table's units as one of linears. */
function onLinears(plan: Plan): Plan {
  const units = Object.entries(plan.units).flatMap(([id, treatment]) =>
    linearsOfUnit(id).map((linear) => [linear, treatment] as const),
  );
  // Its budget is in the units of the table.
  const { budget: _, ...rest } = plan;
  return { ...rest, units: Object.fromEntries(units) };
}

function evenPlan(
  units: readonly LinearUnit[],
  items: readonly Item[],
  { costOf, limit }: Costing,
  { kind, value, zeros = 0 }: CompressSettings['compress'],
): Candidate | undefined {
  const planOf = (treatment: Treatment): Candidate => ({
    plan: {
      format: 'layerwise-plan',
      version: 2,
      units: Object.fromEntries(units.map(({ id }) => [id, treatment])),
      from: { policy: 'uniform', values: {} },
    },
    values: {},
  });
  if (kind === 'zeros') return planOf({ zeros: { rate: value } });
  const groups = unitsOf(units);
  const priced = items
    .filter((item) => item !== null && (item.zeros?.rate ?? 0) >= zeros)
    .map((item) => ({ item: item!, cost: groups.reduce((sum, group) => sum + costOf(group, item), 0) }))
    .filter(({ cost }) => cost <= limit)
    .sort((a, b) => b.cost - a.cost);
  return priced[0] && planOf(priced[0].item);
}
