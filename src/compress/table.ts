// The table of sensitivities of a run: read from a file, or measured once and kept in the workspace. The damages do not depend
// on the budget; the costs do, so they are filled in here.

import { digestOf, OptionError, readDocument, withResources } from '../base/index.js';
import { linearUnits, type Model } from '../model/index.js';
import { findOperator } from '../operators/index.js';
import { measureTable, type UnitDamages } from '../pipeline/index.js';
import { parseSensitivityTable, type SensitivityTable, type Treatment } from '../records/index.js';
import type { Measuring } from '../runs/index.js';
import { embedText, spreadEvenly, type Text } from '../stream/index.js';
import { type Costing, unitsOf } from './costs.js';

/** Damage is measured on so many tokens, in windows of at most so many: whole models run behind every unit and treatment. */
export const TABLE_TOKENS = 1024;
const TABLE_WINDOW = 128;

/** The names of a unit's linears, joined. */
const idOf = (names: readonly string[]): string => names.join('+');

/** The linears of a unit of a table, by its id. */
export const linearsOfUnit = (id: string): readonly string[] => id.split('+');

export type Damages = {
  readonly text: string;
  readonly treatments: readonly Treatment[];
  readonly units: readonly Pick<UnitDamages, 'block' | 'damages'>[];
};

/** The damages of all units, measured as a step of the workspace. */
export async function measureDamages(
  model: Model,
  operator: string,
  treatments: readonly Treatment[],
  { engine, workspace, calibration, validation, onProgress }: Measuring,
): Promise<Damages> {
  const text = (calibration ?? validation)!;
  const name = `table-${digestOf([operator, treatments])}`;
  return await workspace.step(name, () =>
    withResources(async (own) => {
      const sample = await embedText(own, model, { windows: shortWindows(text) });
      const input = { engine, model, operator: findOperator(operator), treatments, calibration, onProgress };
      const units = await measureTable(input, sample);
      return { text: digestOf(sample.windows.windows.map((window) => [...window])), treatments, units };
    }),
  );
}

/** The beginnings of windows spread over a text. */
function shortWindows({ windows: { windows, length } }: Text): Text['windows'] {
  const short = Math.min(length, TABLE_WINDOW);
  const count = Math.max(1, Math.floor(TABLE_TOKENS / short));
  return { length: short, windows: spreadEvenly(count, windows.length).map((i) => windows[i]!.slice(0, short)) };
}

/** The damages with what each treatment costs. */
export function tableOf(
  model: Model,
  hashes: Readonly<Record<string, string>>,
  { text, treatments, units }: Damages,
  { of, costOf }: Costing,
): SensitivityTable {
  const linears = linearUnits(model);
  const groups = unitsOf(linears);
  const entries = units.map(({ block, damages }, u) => {
    const members = groups[u]!;
    const items = treatments.map((treatment, i) => ({
      treatment,
      cost: costOf(members, treatment),
      damage: damages[i]!,
    }));
    return [idOf(members.map(({ id }) => id)), { block, items }] as const;
  });
  return {
    format: 'layerwise-sensitivities',
    version: 1,
    model: digestOf(hashes),
    blocks: model.config.blocks,
    texts: { measured: text },
    damage: 'kl',
    cost: of,
    units: Object.fromEntries(entries),
  };
}

/** Damages from a table that an earlier run wrote. @throws OptionError E_OPTION_SENSITIVITIES if it is of another model */
export async function readDamages(
  path: string,
  model: Model,
  hashes: Readonly<Record<string, string>>,
  treatments: readonly Treatment[],
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
  const units = unitsOf(linearUnits(model)).map((members) => {
    const id = idOf(members.map((unit) => unit.id));
    const unit = table.units[id];
    if (!unit) return refuse(`the unit ${id}`, 'none');
    const damages = treatments.map((treatment) => {
      const item = unit.items.find((one) => digestOf(one.treatment) === digestOf(treatment));
      return item ? item.damage : refuse(`${id} with ${JSON.stringify(treatment)}`, 'no such item');
    });
    return { block: members[0]!.block, damages };
  });
  return { text: table.texts.measured, treatments, units };
}
