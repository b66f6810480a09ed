// A checkpoint's tensors and config.json after some experts are removed. Those that stay are renumbered, and the router keeps
// their rows. In config.json the number of experts changes: one number where all blocks have the same, and beside the largest
// `layer_experts` where they differ, which is Layerwise's own key (config.ts).

import { InternalError } from '../base/index.js';
import { ROUTER } from './blocks/parts.js';
import { findFamily, keyOf, type ModelConfig, readModelConfig } from './config.js';
import { amendConfig } from './config-text.js';
import { weightName } from './linear.js';
import type { Model } from './model.js';
import { blockTensors } from './tensor-names.js';

/** The experts that stay of each block, ascending; undefined where it has none. */
export type KeptExperts = readonly (readonly number[] | undefined)[];

/** Whether blocks have different numbers of experts (`layer_experts`), which no other program reads. */
export const unevenExperts = ({ mixtures }: Pick<ModelConfig, 'mixtures'>): boolean =>
  new Set(mixtures.flatMap((mixture) => mixture?.experts ?? [])).size > 1;

/** What becomes of a tensor: its new name, undefined where it goes, and the rows that stay of a router. */
export type ExpertRenaming = { readonly name: string | undefined; readonly rows?: readonly number[] };

/** What becomes of the tensors that a removal of experts changes, by name. Those not named stay as they are. */
export function renameExperts(model: Model, kept: KeptExperts): ReadonlyMap<string, ExpertRenaming> {
  const changed = new Map<string, ExpertRenaming>();
  for (const [block, stay] of kept.entries()) {
    if (!stay) continue;
    const router = blockTensors(model.config, model.tensorNames, block).find(({ role }) => role === `${ROUTER}.weight`);
    if (!router) throw new InternalError('E_INTERNAL_EXPERTS', `Block ${block} has no router; please report this.`);
    changed.set(router.name, { name: router.name, rows: stay });
    const linears = model.linears[block]!;
    for (const linear of linears) {
      if (linear.expert === undefined) continue;
      const at = stay.indexOf(linear.expert);
      const becomes = linears.find(({ expert, kind }) => expert === at && kind === linear.kind);
      changed.set(weightName(linear), { name: becomes && weightName(becomes) });
    }
  }
  return changed;
}

/** The text of config.json with other numbers of experts. */
export function mendExperts(text: string, kept: KeptExperts): string {
  const config = JSON.parse(text) as Readonly<Record<string, unknown>>;
  const numbers = kept.map((stay) => stay?.length ?? 0);
  const own = numbers.filter((number) => number > 0);
  const most = Math.max(...own);
  // A file may have the family's key, the other name, or both; what it has is rewritten.
  const keys = [keyOf(findFamily(config), COUNT), COUNT].filter((key) => config[key] != null);
  const counts = Object.fromEntries(
    (keys.length > 0 ? keys : [keyOf(findFamily(config), COUNT)]).map((key) => [key, most]),
  );
  const differ = own.some((number) => number !== most);
  const made = amendConfig(text, {
    values: { ...counts, ...(differ ? { layer_experts: numbers } : {}) },
    remove: differ ? [] : ['layer_experts'],
  });
  const { mixtures } = readModelConfig(JSON.parse(made));
  if (mixtures.every((mixture, block) => (mixture?.experts ?? 0) === numbers[block])) return made;
  throw new InternalError('E_INTERNAL_EXPERTS', 'config.json says other numbers of experts; please report this.');
}

const COUNT = 'num_local_experts';
