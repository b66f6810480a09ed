// The records of what `push` uploads: layerwise.json beside a checkpoint, read by the format that it names.

import { type CutRecord, parseCutRecord } from './cut.js';
import { type DropRecord, parseDropRecord } from './drop.js';
import { type ExpertsRecord, parseExpertsRecord } from './experts.js';
import { type GrowRecord, parseGrowRecord } from './grow.js';
import { type Manifest, parseManifest } from './manifest.js';
import { parseUnlearnRecord, type UnlearnRecord } from './unlearn.js';

export type PushedRecord = Manifest | CutRecord | DropRecord | ExpertsRecord | GrowRecord | UnlearnRecord;

const PARSERS: { readonly [F in PushedRecord['format']]: (text: string, path: string) => PushedRecord } = {
  'layerwise-run': parseManifest,
  'layerwise-cut': parseCutRecord,
  'layerwise-drop': parseDropRecord,
  'layerwise-experts': parseExpertsRecord,
  'layerwise-grow': parseGrowRecord,
  'layerwise-unlearn': parseUnlearnRecord,
};

/**
 * Reads a record by the format that it names; what names none of these is read, and refused, as the record of a run.
 * @throws OptionError E_OPTION_MANIFEST, E_OPTION_RECORD
 */
export function parsePushedRecord(text: string, path: string): PushedRecord {
  const format = formatOf(text);
  const parse = Object.hasOwn(PARSERS, format) ? PARSERS[format as PushedRecord['format']] : parseManifest;
  return parse(text, path);
}

function formatOf(text: string): string {
  try {
    return String((JSON.parse(text) as { format?: unknown } | null)?.format);
  } catch {
    return '';
  }
}
