// What config.json says about a head that makes one vector of a sample (CLIP, SigLIP); embed-head.ts has its graph.

import type { EmbedSpec } from './families/embed-spec.js';
import type { FamilySpec } from './families/family.js';
import { malformed } from './refuse.js';

/** The vectors that samples are compared with. */
export type Classes = {
  /** [C, P], each row of length 1. */
  readonly vectors: Float32Array;
  readonly labels: readonly string[];
  readonly factor: number;
  readonly shift: number;
};

export type EmbedConfig = {
  readonly spec: EmbedSpec;
  /** P, the width of a vector. */
  readonly width: number;
  /** The token that ends a text; or `largest`, its token of the largest number, as files of CLIP's first years have it. */
  readonly end: number | 'largest' | undefined;
  readonly classes: Classes | undefined;
};

type Json = Readonly<Record<string, unknown>>;

/** What old files of CLIP say where they mean the token of the largest number. */
const LEGACY_END = 2;
/** The default of transformers. */
const END = 49_407;

/** What makes vectors; undefined where the family has an LM head, a classifier or no head. */
export function readEmbeds(config: Json, family: FamilySpec, hidden: number): EmbedConfig | undefined {
  const { head } = family;
  if (head === undefined || head === 'none' || config.vision_use_head === false) return undefined;
  const { projection, row } = head;
  const width = projection === undefined ? hidden : (config[projection.key] ?? projection.fallback ?? hidden);
  if (typeof width !== 'number' || !Number.isInteger(width) || width < 1 || width > 2 ** 20)
    return malformed(projection!.key, 'a whole number', width);
  const end = row === 'end' ? (config.eos_token_id ?? END) : undefined;
  if (end !== undefined && (typeof end !== 'number' || !Number.isInteger(end) || end < 0))
    return malformed('eos_token_id', 'the number of a token', end);
  return { spec: head, width, end: end === LEGACY_END ? 'largest' : end, classes: undefined };
}
