// Reads the rotation of queries and keys from config.json, in both notations: `rope_theta` + `rope_scaling` (transformers
// 4) and `rope_parameters` (transformers 5).

import type { FamilySpec } from './families/family.js';
import { malformed, unsupported } from './refuse.js';
import type { Rope, RopeScaling } from './rope.js';

type Settings = Readonly<Record<string, unknown>>;

/** The keys of config.json about rotation, under LLaMA’s names. */
export type RawRope = {
  readonly rope_theta?: number | null | undefined;
  readonly rope_scaling?: Settings | null | undefined;
  readonly rope_parameters?: Settings | null | undefined;
  readonly max_position_embeddings: number;
  readonly original_max_position_embeddings?: number | null | undefined;
};

export function readRope(raw: RawRope, config: Settings, headDim: number, family: FamilySpec): Rope {
  const given = family.localRope ? withinLocal(raw, 'full_attention') : raw.rope_parameters;
  const settings: Settings = { ...raw.rope_scaling, ...given };
  const theta = settings.rope_theta ?? raw.rope_theta;
  if (typeof theta !== 'number' || !(theta > 0)) return malformed('rope_theta', 'a positive number', theta);
  const dims = rotatedDims(settings, config, headDim, family);
  return { theta, dims, scaling: readScaling(settings, raw, dims) };
}

/** The rotation of blocks with a window. The old notation never scales it. */
export function readLocalRope(raw: RawRope, config: Settings, headDim: number, family: FamilySpec): Rope {
  const { key, fallback } = family.localRope!;
  const settings = withinLocal(raw, 'sliding_attention') ?? {};
  const theta = settings.rope_theta ?? config[key] ?? fallback;
  if (typeof theta !== 'number' || !(theta > 0)) return malformed(key, 'a positive number', theta);
  const dims = rotatedDims(settings, config, headDim, family);
  return { theta, dims, scaling: readScaling(settings, raw, dims) };
}

/** Settings that are separate for each type of block. */
function withinLocal({ rope_parameters: all }: RawRope, type: string): Settings | undefined {
  const settings = all?.[type];
  return typeof settings === 'object' && settings !== null ? (settings as Settings) : undefined;
}

/** How many values of a head are rotated. */
function rotatedDims(settings: Settings, config: Settings, headDim: number, family: FamilySpec): number {
  const { keys, fallback } = family.partialRotary ?? { keys: ['partial_rotary_factor'], fallback: 1 };
  const key = keys.find((name) => (settings[name] ?? config[name]) != null) ?? keys[0]!;
  const share = settings[key] ?? config[key] ?? fallback;
  if (typeof share !== 'number' || !(share > 0 && share <= 1)) return malformed(key, 'a number in (0, 1]', share);
  if (!family.partialRotary && share !== 1) return unsupported(key, share, '1');
  const dims = Math.trunc(headDim * share);
  if (dims % 2 !== 0 || dims === 0) malformed('head_dim', 'an even number of rotated values', dims);
  return dims;
}

function readScaling(settings: Settings, raw: RawRope, dims: number): RopeScaling | undefined {
  const kind = settings.rope_type ?? settings.type ?? 'default';
  const number = (key: string, value = settings[key]): number => {
    if (typeof value !== 'number' || !(value > 0)) malformed(`rope_scaling.${key}`, 'a positive number', value);
    return value as number;
  };
  const factors = (key: string): readonly number[] => {
    const list = settings[key];
    const fits = Array.isArray(list) && list.length === dims / 2 && list.every((value) => Number(value) > 0);
    return fits ? list.map(Number) : malformed(`rope_scaling.${key}`, `${dims / 2} positive numbers`, list);
  };
  switch (kind) {
    case 'default':
      return undefined;
    case 'linear':
      return { kind: 'linear', factor: number('factor') };
    case 'llama3':
      return {
        kind: 'llama3',
        factor: number('factor'),
        lowFrequencyFactor: number('low_freq_factor'),
        highFrequencyFactor: number('high_freq_factor'),
        originalMaxPositions: number('original_max_position_embeddings'),
      };
    case 'longrope':
    case 'su': {
      const original = number(
        'original_max_position_embeddings',
        settings.original_max_position_embeddings ?? raw.original_max_position_embeddings,
      );
      const stretch = settings.factor == null ? raw.max_position_embeddings / original : number('factor');
      const attention = stretch <= 1 ? 1 : Math.sqrt(1 + Math.log(stretch) / Math.log(original));
      return {
        kind: 'longrope',
        short: factors('short_factor'),
        long: factors('long_factor'),
        originalMaxPositions: original,
        attention: settings.attention_factor == null ? attention : number('attention_factor'),
      };
    }
    default:
      return unsupported('rope_scaling.rope_type', kind, 'default, linear, llama3, longrope');
  }
}
