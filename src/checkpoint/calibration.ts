// The calibration text that a checkpoint was made with, from the layerwise.json beside it.

import { join } from 'node:path';
import { LayerwiseError, readDocument } from '../base/index.js';
import { type ManifestText, readCalibration } from '../records/index.js';

/** Undefined where there is no record, or it names no calibration text. @throws ResourceError where it cannot be read */
export async function calibrationOf(dir: string): Promise<ManifestText | undefined> {
  try {
    return readCalibration(await readDocument(join(dir, 'layerwise.json')));
  } catch (error) {
    if (error instanceof LayerwiseError && error.code === 'E_RESOURCE_NOT_FOUND') return undefined;
    throw error;
  }
}
