// The options of models that read images, and what they do not have of the options of those that read text.

import { OptionError } from '../base/index.js';
import type { Model } from '../model/index.js';
import { conflict, oneOf, optionCode } from './checks.js';
import { DEFAULTS } from './defaults.js';

export type ImageOptions = {
  /** Images to calibrate on, for a model that reads images; the same as `calibration`. */
  readonly images?: string;
  /** How images get their labels: `folder`, `name`, or a file. Defaults to what the set has. */
  readonly labels?: string;
  /** Whether the EXIF orientation of an image is applied: `ignore` (as ImageFolder does) or `apply`. Defaults to `ignore`. */
  readonly orientation?: string;
};

export type ImageSettings = {
  readonly labels: string | undefined;
  /** Undefined: ignored. */
  readonly orientation: 'ignore' | 'apply' | undefined;
};

/** @throws OptionError E_OPTION_ORIENTATION */
export const normaliseImages = ({ labels, orientation }: ImageOptions): ImageSettings => ({
  labels,
  orientation: orientation === undefined ? undefined : oneOf('orientation', orientation, ['ignore', 'apply']),
});

/** Takes `images` for the calibration set. @throws OptionError E_OPTION_CONFLICT where both are given */
export function withCalibrationImages<O extends ImageOptions & { readonly calibration?: string }>(options: O): O {
  if (options.images === undefined) return options;
  if (options.calibration !== undefined) conflict('images', 'calibration', 'both name what is measured');
  return { ...options, calibration: options.images };
}

type Given = ImageSettings & {
  readonly tasks?: unknown;
  readonly hessian?: string;
  readonly gradient?: string;
  readonly sequenceLength?: number | undefined;
  readonly windowStart?: unknown;
};

/** @throws OptionError E_OPTION_… for an option of texts with a model of images, or the other way round */
export function checkImages(settings: Given, { config }: Model): void {
  const refuseOption = (option: string, reads: string): never => {
    throw new OptionError(
      optionCode(option),
      `--${option}: a ${config.family} model reads ${reads}, for which this option means nothing. Leave it out.`,
      { option, family: config.family },
    );
  };
  if (!config.image) {
    if (settings.labels !== undefined) refuseOption('labels', 'text');
    if (settings.orientation !== undefined) refuseOption('orientation', 'text');
    return;
  }
  if (settings.tasks !== undefined) refuseOption('tasks', 'images');
  if (settings.hessian !== undefined && settings.hessian !== DEFAULTS.hessian) refuseOption('hessian', 'images');
  if (settings.gradient !== undefined && settings.gradient !== DEFAULTS.gradient) refuseOption('gradient', 'images');
  if (settings.sequenceLength !== undefined) refuseOption('sequence-length', 'images');
  if (settings.windowStart !== undefined) refuseOption('window-start', 'images');
}

/** The number of calibration samples, which is another for images than for texts where none was given. */
export const withSampleCount = <S extends { readonly calibrationSamples: number | undefined }>(
  settings: S,
  { config }: Model,
): S =>
  settings.calibrationSamples !== undefined
    ? settings
    : { ...settings, calibrationSamples: config.image ? DEFAULTS.calibrationImages : DEFAULTS.calibrationSamples };
