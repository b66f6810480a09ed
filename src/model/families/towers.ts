// Checkpoints of several trunks: each is a chain of blocks with a config of its own inside config.json and names of its own. A trunk is
// opened as a model; what one trunk makes for another is said where it is used.

import { UnsupportedError } from '../../base/portable.js';
import { malformed, unsupported } from '../refuse.js';
import { clipText, clipVision } from './clip.js';
import type { FamilySpec } from './family.js';
import { idefics3, smolvlm } from './idefics3.js';
import { FAMILIES } from './index.js';
import { llava } from './llava.js';
import { siglipText, siglipVision } from './siglip.js';
import type { TowersSpec, TrunkName, TrunkSpec } from './towers-spec.js';

/** What transformers' classes have for keys that the config of a trunk often leaves out. */
const CLASS_DEFAULTS: Readonly<Record<string, FamilySpec['defaults']>> = {
  llama: {
    ...{ hidden_size: 4096, intermediate_size: 11_008, num_hidden_layers: 32, num_attention_heads: 32 },
    vocab_size: 32_000,
  },
  mistral: {
    ...{ hidden_size: 4096, intermediate_size: 14_336, num_hidden_layers: 32, num_attention_heads: 32 },
    ...{ num_key_value_heads: 8, vocab_size: 32_000, max_position_embeddings: 131_072, sliding_window: 4096 },
  },
  qwen2: {
    ...{ hidden_size: 4096, intermediate_size: 22_016, num_hidden_layers: 32, num_attention_heads: 32 },
    ...{ num_key_value_heads: 32, vocab_size: 151_936, max_position_embeddings: 32_768 },
  },
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

const ALL: readonly TowersSpec[] = [
  pairOf('clip', clipVision, clipText),
  pairOf('siglip', siglipVision, siglipText),
  ...[llava, idefics3, smolvlm],
];

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
  refuseOriginal(config);
  const towers = TOWERS.get(String(config.model_type));
  const all = trunksOf(config);
  if (trunk !== undefined && !all.includes(trunk)) {
    const has = all.length === 0 ? 'one trunk' : all.join(', ');
    const message = `config.json has model_type ${JSON.stringify(config.model_type)}, which has ${has}; there is no trunk ${trunk}.`;
    throw new UnsupportedError('E_UNSUPPORTED_TRUNK', message, { trunk, trunks: all });
  }
  if (!towers) return undefined;
  const { within, family, bases, head, features } = towers.trunks[trunk ?? towers.main]!;
  const own = 'byType' in family ? byType(config, within, family) : family;
  const named = { ...own, within, names: { ...own.names, bases, head: head ?? own.names.head } };
  if (!features || !own.image) return named;
  return { ...named, head: 'none', image: { ...own.image, features: readLayers(config, features) } };
}

/** The layers that are read; one, or several whose rows are put together. */
function readLayers(config: Json, { key, fallback }: NonNullable<TrunkSpec['features']>): readonly number[] {
  const value = (key !== undefined ? config[key] : undefined) ?? fallback;
  const layers: readonly unknown[] = Array.isArray(value) ? value : [value];
  const whole = layers.length > 0 && layers.every(Number.isInteger);
  return whole ? (layers as number[]) : malformed(key!, 'a whole number, or several', value);
}

/** The format of LLaVA's authors, which transformers converts before it can read it. */
function refuseOriginal(config: Json): void {
  const got = config.mm_projector_type ?? config.mm_vision_tower;
  if (got == null) return;
  const key = config.mm_projector_type == null ? 'mm_vision_tower' : 'mm_projector_type';
  unsupported(
    key,
    got,
    'none: this is the format of the LLaVA repository. Take a checkpoint converted for transformers (llava-hf)',
  );
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
  if (!family) return unsupported(`${within}.model_type`, type, known.join(', '));
  return { ...family, defaults: { ...CLASS_DEFAULTS[family.modelType], ...family.defaults } };
}
