// Chooses the treatments of a compressed model: a Lagrange multiplier over the table of sensitivities, bent by two numbers that
// are found on validation text, together with how far weights follow the dense stream. Plans of one width that fit the budget
// are candidates too, so the result is never worse than they are on validation text.

import { linearUnits, type Model } from '../model/index.js';
import { allocateMixed, type LinearUnit } from '../plan/index.js';
import type { Plan, SensitivityTable, Treatment } from '../records/index.js';
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
import { type Damages, linearsOfUnit, measureDamages, tableOf } from './table.js';

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
  { executor, requestOf, length }: ChoosingContext,
  measuring: Measuring,
): Promise<MixedChoice> {
  const { onProgress, treatments } = settings;
  const units = linearUnits(model);
  const damages = read ?? (await measureDamages(model, settings.criterion.name, treatments, measuring));
  const table = tableOf(model, measuring.hashes, damages, cost);
  const candidateAt = (values: Readonly<Record<string, number>>): Candidate => {
    const { gain = 1, line = 0 } = values;
    const { plan } = allocateMixed(table, cost.limit, { gain, line });
    return { plan: onLinears(plan), values: { gain, line } };
  };
  const ledger = createLedger({ executor, requestOf, facts: factsOf(model), length, onProgress });
  if (length === 0) {
    const follow = await chooseShares(settings, candidateAt({}), undefined, ledger, 0);
    const entry = await ledger.run({ ...candidateAt({}), ...(follow ? { target: follow } : {}) });
    return { ...entry, uniform: undefined, isUniform: false, entries: [], judged: [], method: undefined, table };
  }
  const even = evenPlan(units, treatments, cost);
  const base = candidateAt(STARTS[0]!);
  const follow = await chooseShares(settings, base, even, ledger, length);
  const following = (candidate: Candidate): Candidate => (follow ? { ...candidate, target: follow } : candidate);
  const uniform = even && (await ledger.run(following(even)));
  if (uniform) noteTrial(uniform, onProgress);
  const spent = ledger.entries.length;
  const maxTrials = Math.max(2, settings.maxTrials - Math.max(0, spent - 2));
  const kept = uniform ? [uniform.digest] : [];
  const searched = await ledger.search(
    createSearcher(() => walkDescent({ axes: AXES, starts: STARTS, maxTrials })),
    (values) => following(candidateAt(values)),
    kept,
  );
  const best = better(searched, uniform);
  return {
    ...best,
    uniform: uniform ?? ledger.entries[0],
    isUniform: uniform !== undefined && best.digest === uniform.digest,
    entries: ledger.entries,
    judged: [],
    method: METHOD,
    table,
  };
}

const METHOD =
  'A table of sensitivities (mean token KL of each unit under each treatment, alone) and a Lagrange multiplier choose the treatments within the budget. Two numbers bend the table: the share of the measured differences between units (gain) and a line over depth. They and the shares of the dense stream are found by exact trials on all validation windows, judged by KL to the dense model; the widest plan of one width within the budget is a candidate too. The test text plays no part.';

const better = (a: Entry, b: Entry | undefined): Entry => (b && lossOf(b) < lossOf(a) ? b : a);

/** The plan of a table's units as one of linears. */
function onLinears(plan: Plan): Plan {
  const units = Object.entries(plan.units).flatMap(([id, treatment]) =>
    linearsOfUnit(id).map((linear) => [linear, treatment] as const),
  );
  // Its budget is in the units of the table.
  const { budget: _, ...rest } = plan;
  return { ...rest, units: Object.fromEntries(units) };
}

/** The dearest plan with one treatment for all units that fits; undefined if none does. */
function evenPlan(
  units: readonly LinearUnit[],
  treatments: readonly Treatment[],
  { costOf, limit }: Costing,
): Candidate | undefined {
  const groups = unitsOf(units);
  const priced = treatments
    .map((treatment) => ({ treatment, cost: groups.reduce((sum, group) => sum + costOf(group, treatment), 0) }))
    .filter(({ cost }) => cost <= limit)
    .sort((a, b) => b.cost - a.cost);
  const [first] = priced;
  if (!first) return undefined;
  const plan: Plan = {
    format: 'layerwise-plan',
    version: 2,
    units: Object.fromEntries(units.map(({ id }) => [id, first.treatment])),
    from: { policy: 'uniform', values: {} },
  };
  return { plan, values: {} };
}
