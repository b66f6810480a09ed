// The table of sensitivities of a run: read from a file, or measured once and kept in the workspace. The damages do not depend
// on the budget; the costs do, so they are filled in here.

import { digestOf, OptionError, readDocument, withResources } from '../base/index.js';
import { linearUnits, type Model } from '../model/index.js';
import { findOperator } from '../operators/index.js';
import { measureTable, type UnitDamages } from '../pipeline/index.js';
import type { LinearUnit } from '../plan/index.js';
import { blockId, parseSensitivityTable, type SensitivityTable, type Treatment } from '../records/index.js';
import type { Measuring } from '../runs/index.js';
import { embedSamples, requireText, spreadEvenly, type Text } from '../stream/index.js';
import { plainCosts, unitsOf } from './costs.js';

/** Damage is measured on so many tokens, in windows of at most so many: whole models run behind every unit and treatment. */
export const TABLE_TOKENS = 1024;
const TABLE_WINDOW = 128;

/** The names of a unit's linears, joined. */
const idOf = (names: readonly string[]): string => names.join('+');

/** The linears of a unit of a table, by its id. */
export const linearsOfUnit = (id: string): readonly string[] => id.split('+');

/** A treatment of a unit, or none. */
export type Item = Treatment | null;

export type Damages = {
  readonly text: string;
  readonly treatments: readonly Treatment[];
  readonly units: readonly Pick<UnitDamages, 'block' | 'damages'>[];
  /** Of each block, left out; absent where that is not allowed. */
  readonly drops?: readonly number[];
};

/** What the damages are measured of. */
export type Measured = {
  readonly operator: string;
  readonly items: readonly Item[];
  readonly drops: boolean;
};

const treatmentsOf = (items: readonly Item[]): readonly Treatment[] => items.filter((item) => item !== null);

/** The damages of all units, measured as a step of the workspace. */
export async function measureDamages(
  model: Model,
  { operator, items, drops }: Measured,
  {
    engine,
    workspace,
    calibration,
    validation,
    onProgress,
  }: Pick<Measuring, 'engine' | 'calibration' | 'validation' | 'onProgress'> & {
    readonly workspace: Pick<Measuring['workspace'], 'step'>;
  },
): Promise<Damages> {
  const text = (calibration ?? validation)!;
  const treatments = treatmentsOf(items);
  const name = `table-${digestOf([operator, treatments, drops])}`;
  return await workspace.step(name, () =>
    withResources(async (own) => {
      const sample = await embedSamples(own, engine, model, shortWindows(requireText(text, 'The table of compress')));
      const input = { engine, model, operator: findOperator(operator), treatments, drops, calibration, onProgress };
      const found = await measureTable(input, sample);
      return { text: digestOf(sample.content.windows.map((window) => [...window])), treatments, ...found };
    }),
  );
}

/** The beginnings of windows spread over a text. */
function shortWindows({ content: { windows, length } }: Text): Text['content'] {
  const short = Math.min(length, TABLE_WINDOW);
  const count = Math.max(1, Math.floor(TABLE_TOKENS / short));
  return { length: short, windows: spreadEvenly(count, windows.length).map((i) => windows[i]!.slice(0, short)) };
}

/** What each item of each unit costs. */
export type CostOf = (linears: readonly LinearUnit[], item: Item) => number;

/** The damages with what each item costs. A block that may be left out is a unit `blocks.<number>` of its own. */
export function tableOf(
  model: Model,
  hashes: Readonly<Record<string, string>>,
  { text, treatments, units, drops = [] }: Damages,
  items: readonly Item[],
  { of, costOf }: { readonly of: SensitivityTable['cost']; readonly costOf: CostOf },
): SensitivityTable {
  const groups = unitsOf(linearUnits(model));
  const indices = items.map((item) =>
    item === null ? -1 : treatments.findIndex((one) => digestOf(one) === digestOf(item)),
  );
  const entries = units.map(({ block, damages }, u) => {
    const members = groups[u]!;
    const priced = items.map((treatment, i) => ({
      treatment,
      cost: costOf(members, treatment),
      damage: damages[indices[i]!] ?? 0,
    }));
    return [idOf(members.map(({ id }) => id)), { block, items: priced }] as const;
  });
  const blocks = drops.map(
    (damage, block) => [blockId(block), { block, items: [{ treatment: { drop: true }, cost: 0, damage }] }] as const,
  );
  return {
    format: 'layerwise-sensitivities',
    version: 1,
    model: digestOf(hashes),
    blocks: model.config.blocks,
    texts: { measured: text },
    damage: 'kl',
    cost: of,
    units: Object.fromEntries([...entries, ...blocks]),
  };
}

/** The table with bits as costs, or weights kept where there are no bits: what `profile` writes. Any budget puts its own. */
export const plainTable = (
  model: Model,
  hashes: Readonly<Record<string, string>>,
  damages: Damages,
  items: readonly Item[],
): SensitivityTable => tableOf(model, hashes, damages, items, plainCosts(items));

/** Damages from a table that `profile` or an earlier run wrote. @throws OptionError E_OPTION_SENSITIVITIES if it is of another model */
export async function readDamages(
  path: string,
  model: Model,
  hashes: Readonly<Record<string, string>>,
  { items, drops: wantsDrops }: Pick<Measured, 'items' | 'drops'>,
): Promise<Damages> {
  const table = parseSensitivityTable(await readDocument(path), path);
  const refuse = (expected: string, got: string): never => {
    throw new OptionError(
      'E_OPTION_SENSITIVITIES',
      `--sensitivities: ${path}: expected ${expected}, got ${got}. Leave the option out to measure it.`,
      { option: 'sensitivities', file: path, expected, got },
    );
  };
  if (table.model !== digestOf(hashes)) refuse('a table of this checkpoint', 'one of another');
  const treatments = treatmentsOf(items);
  const damageOf = (id: string, treatment: Treatment): number => {
    const unit = table.units[id];
    if (!unit) return refuse(`the unit ${id}`, 'none');
    const item = unit.items.find((one) => digestOf(one.treatment) === digestOf(treatment));
    return item ? item.damage : refuse(`${id} with ${JSON.stringify(treatment)}`, 'no such item');
  };
  const units = unitsOf(linearUnits(model)).map((members) => {
    const id = idOf(members.map((unit) => unit.id));
    return { block: members[0]!.block, damages: treatments.map((treatment) => damageOf(id, treatment)) };
  });
  const drops = model.linears.map((_, block) => (wantsDrops ? damageOf(blockId(block), { drop: true }) : 0));
  return { text: table.texts.measured, treatments, units, ...(wantsDrops ? { drops } : {}) };
}
