// What a plan gains over uniform on validation text, which chose it, and on calibration text, which did not (or not alone): a
// plan that gains on one of them alone may fit that text's form, its line breaks, its case, its domain.

import type { OnProgress } from '../base/index.js';
import { summarise } from '../evaluate/index.js';
import { type Gains, gainOf, havePartedGains } from '../records/index.js';
import { scoringOf } from '../stream/index.js';
import { warnOfGains } from '../words/index.js';
import type { Choice } from './choose.js';
import type { LocalExecutor } from './executor.js';
import type { PreparedTexts } from './texts.js';

/**
 * The gains of a choice; undefined without a validation or calibration text, without uniform, and for uniform itself. Runs the
 * dense, the uniform and the chosen model over a sample of the calibration windows. A note says where the gains have parted.
 */
export async function gainsOf(
  executor: LocalExecutor,
  choice: Choice,
  { calibration, validation }: Pick<PreparedTexts, 'calibration' | 'validation'>,
  onProgress: OnProgress,
): Promise<Gains | undefined> {
  const { uniform } = choice;
  if (!calibration || !validation || !uniform || choice.isUniform) return undefined;
  const dense = await executor.scoreCalibration(undefined, 'dense');
  // Where both texts judge, the trials have these losses already.
  const before = uniform.trial.calibration?.nll ?? (await executor.scoreCalibration(uniform.request, 'uniform'));
  const after = choice.trial.calibration?.nll ?? (await executor.scoreCalibration(choice.request, 'chosen'));
  const onValidation = gainOf(choice.trial.validation.nll, uniform.trial.validation.nll);
  const onCalibration = gainOf(after, before);
  const scoring = scoringOf(calibration.content);
  const gains: Gains = {
    calibration: {
      dense: summarise(dense, scoring),
      uniform: summarise(before, scoring),
      chosen: summarise(after, scoring),
    },
    onValidation,
    onCalibration,
    parted: havePartedGains(onValidation, onCalibration),
  };
  if (gains.parted) onProgress({ kind: 'note', text: warnOfGains(gains) });
  return gains;
}
