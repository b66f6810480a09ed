// Checkpoints of several trunks: each is a chain of blocks with a config of its own inside config.json and names of its own. A trunk is
// opened as a model; what one trunk makes for another is said where it is used.

import { UnsupportedError } from '../../base/portable.js';
import { unsupported } from '../refuse.js';
import { clipText, clipVision } from './clip.js';
import type { FamilySpec } from './family.js';
import { FAMILIES } from './index.js';
import { siglipText, siglipVision } from './siglip.js';

export type TrunkName = 'vision' | 'text' | 'language';

export type TrunkSpec = {
  /** The object in config.json that describes it. */
  readonly within: string;
  /** Its family: one of its own, or whichever `model_type` inside the object says. */
  readonly family: FamilySpec | { readonly byType: readonly string[]; readonly fallback: string };
  /** Possible base names, and the names of its head, where they are not the family's. */
  readonly bases: readonly string[];
  readonly head?: readonly string[];
};

export type TowersSpec = {
  readonly modelType: string;
  /** In the order of the data. */
  readonly trunks: Readonly<Partial<Record<TrunkName, TrunkSpec>>>;
  /** The one that commands mean where nothing is said. */
  readonly main: TrunkName;
};

/** Two trunks side by side, whose vectors are compared. */
const pairOf = (modelType: string, vision: FamilySpec, text: FamilySpec): TowersSpec => ({
  modelType,
  trunks: {
    vision: { within: 'vision_config', family: vision, bases: ['vision_model.'] },
    text: { within: 'text_config', family: text, bases: ['text_model.'] },
  },
  main: 'vision',
});

const ALL: readonly TowersSpec[] = [pairOf('clip', clipVision, clipText), pairOf('siglip', siglipVision, siglipText)];

/** Every kind of checkpoint with several trunks, by `model_type`. */
export const TOWERS: ReadonlyMap<string, TowersSpec> = new Map(ALL.map((one) => [one.modelType, one]));

type Json = Readonly<Record<string, unknown>>;

/** The trunks of a config.json, in the order of the data; none where it describes one model. */
export const trunksOf = (config: Json): readonly TrunkName[] =>
  Object.keys(TOWERS.get(String(config.model_type))?.trunks ?? {}) as TrunkName[];

/**
 * The family of a trunk, with the names that it has in this checkpoint; undefined where config.json describes one model.
 * @throws UnsupportedError E_UNSUPPORTED_TRUNK, E_UNSUPPORTED_CONFIG
 */
export function trunkFamily(config: Json, trunk: TrunkName | undefined): FamilySpec | undefined {
  const towers = TOWERS.get(String(config.model_type));
  const all = trunksOf(config);
  if (trunk !== undefined && !all.includes(trunk)) {
    const has = all.length === 0 ? 'one trunk' : all.join(', ');
    const message = `config.json has model_type ${JSON.stringify(config.model_type)}, which has ${has}; there is no trunk ${trunk}.`;
    throw new UnsupportedError('E_UNSUPPORTED_TRUNK', message, { trunk, trunks: all });
  }
  if (!towers) return undefined;
  const { within, family, bases, head } = towers.trunks[trunk ?? towers.main]!;
  const own = 'byType' in family ? byType(config, within, family) : family;
  return { ...own, within, names: { ...own.names, bases, head: head ?? own.names.head } };
}

function byType(
  config: Json,
  within: string,
  { byType: known, fallback }: { readonly byType: readonly string[]; readonly fallback: string },
): FamilySpec {
  const part = config[within];
  const stated = typeof part === 'object' && part !== null ? (part as Json).model_type : undefined;
  const type = stated ?? fallback;
  const family = known.includes(String(type)) ? FAMILIES.get(String(type)) : undefined;
  return family ?? unsupported(`${within}.model_type`, type, known.join(', '));
}
