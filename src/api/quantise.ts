// Quantises a checkpoint: from a checkpoint, bits and texts to a checkpoint whose weights lie on grids of few levels, with
// their scales in layerwise.scales, its layerwise.json and report.html.

import {
  checkProgression,
  chooseBits,
  normaliseQuantise,
  type QuantiseOptions,
  withUniformBits,
} from '../runs/index.js';
import { type EditResult, editCheckpoint } from './edit.js';

export type QuantiseResult = EditResult;

/**
 * Quantises a checkpoint. Everything is checked before a weight is read. The output directory appears whole or not at all.
 * `resume` continues an interrupted run.
 * @throws OptionError, CheckpointError, UnsupportedError, ResourceError, NumericError, each with a stable `code`
 */
export async function quantise(options: QuantiseOptions): Promise<QuantiseResult> {
  const settings = normaliseQuantise(options);
  if (!settings.progression) return await editCheckpoint(settings, { complete: withUniformBits });
  return await editCheckpoint(settings, {
    check: (model) => checkProgression(settings, model),
    choose: chooseBits,
  });
}
