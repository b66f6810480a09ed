// Whether a checkpoint's activations are to be quantised too, from the layerwise.json beside it.

import { join } from 'node:path';
import { LayerwiseError, readDocument, UnsupportedError } from '../base/index.js';
import { type ActivationsRecord, parseActivationsRecord, saysActivations } from '../records/index.js';

/** The record of a checkpoint with quantised activations; undefined for others. @throws ResourceError, OptionError E_OPTION_RECORD */
export async function activationsOf(dir: string): Promise<ActivationsRecord | undefined> {
  const path = join(dir, 'layerwise.json');
  try {
    const text = await readDocument(path);
    return saysActivations(text) ? parseActivationsRecord(text, path) : undefined;
  } catch (error) {
    if (error instanceof LayerwiseError && error.code === 'E_RESOURCE_NOT_FOUND') return undefined;
    throw error;
  }
}

/**
 * For what would read such a checkpoint as one with rounded weights alone.
 * @throws UnsupportedError E_UNSUPPORTED_ACTIVATIONS
 */
export async function refuseActivations(dir: string): Promise<void> {
  const record = await activationsOf(dir);
  if (!record) return;
  const { weights, activations } = record.bits;
  throw new UnsupportedError(
    'E_UNSUPPORTED_ACTIVATIONS',
    `${dir}: its layerwise.json says that activations are quantised to ${activations} bits, which only evaluate and inspect obey. Use the original checkpoint; or remove layerwise.json to use the weights, rounded to ${weights} bits, as they are.`,
    { path: dir, bits: record.bits },
  );
}
