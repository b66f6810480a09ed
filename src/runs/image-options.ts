// The options of models that read images, and what they do not have of the options of those that read text.

import { OptionError, UnsupportedError } from '../base/index.js';
import type { Model, TrunkName } from '../model/index.js';
import { conflict, oneOf, optionCode, refuseMissing } from './checks.js';
import { DEFAULTS } from './defaults.js';

export type ImageOptions = {
  /** Images to calibrate on, for a model that reads images; the same as `calibration`. */
  readonly images?: string;
  /** How images get their labels: `folder`, `name`, or a file. Defaults to what the set has. */
  readonly labels?: string;
  /** Whether the EXIF orientation of an image is applied: `ignore` (as ImageFolder does) or `apply`. Defaults to `ignore`. */
  readonly orientation?: string;
  /** Which trunk of a checkpoint with several: `vision`, `language` or `text`; of prune also `all`. Defaults to the main one. */
  readonly scope?: string;
  /** File with the names of classes, one a line, that a model of images and texts is scored against. */
  readonly classes?: string;
  /** File with the texts that these names are put into at `{}`, one a line. Defaults to “a photo of a {}.” */
  readonly templates?: string;
};

/** Whether each trunk keeps a budget of its own, or all together keep one. */
export const TOWER_BUDGETS = ['each', 'joint'] as const;

/** The sparsity of each trunk. */
export type TowerSparsity = { readonly vision: number; readonly language: number };

const SCOPES = ['vision', 'language', 'text'] as const satisfies readonly TrunkName[];

export type ImageSettings = {
  readonly labels: string | undefined;
  /** Undefined: ignored. */
  readonly orientation: 'ignore' | 'apply' | undefined;
  readonly scope: TrunkName | undefined;
  readonly classes: string | undefined;
  readonly templates: string | undefined;
};

/** @throws OptionError E_OPTION_ORIENTATION, E_OPTION_SCOPE, E_OPTION_CLASSES */
export function normaliseImages({ labels, orientation, scope, classes, templates }: ImageOptions): ImageSettings {
  if (scope === 'all') {
    throw new OptionError(
      'E_OPTION_SCOPE',
      '--scope all: only prune takes both trunks. Run twice: with --scope vision, then with --scope language on the checkpoint that it wrote.',
      { option: 'scope', got: scope },
    );
  }
  if (templates !== undefined && classes === undefined)
    refuseMissing('classes', 'a file of names with --templates, which they are put into');
  return {
    labels,
    orientation: orientation === undefined ? undefined : oneOf('orientation', orientation, ['ignore', 'apply']),
    scope: scope === undefined ? undefined : oneOf('scope', scope, SCOPES),
    classes,
    templates,
  };
}

/** Takes `images` for the calibration set. @throws OptionError E_OPTION_CONFLICT where both are given */
export function withCalibrationImages<O extends ImageOptions & { readonly calibration?: string }>(options: O): O {
  if (options.images === undefined) return options;
  if (options.calibration !== undefined) conflict('images', 'calibration', 'both name what is measured');
  return { ...options, calibration: options.images };
}

type Given = ImageSettings & {
  readonly command?: string;
  readonly tasks?: unknown;
  readonly hessian?: string;
  readonly gradient?: string;
  readonly sequenceLength?: number | undefined;
  readonly windowStart?: unknown;
  readonly validation?: string | undefined;
  readonly test?: string | undefined;
  readonly target?: { readonly kind: string };
};

/** Whether a checkpoint has a trunk that answers questions about images. */
export const answersQuestions = ({ trunks }: Model): boolean => trunks.includes('language');

/** @throws OptionError E_OPTION_… for an option of texts with a model of images, or the other way round */
export function checkImages(settings: Given, model: Model): void {
  const { config } = model;
  const asks = answersQuestions(model);
  const refuseOption = (option: string, reads: string): never => {
    throw new OptionError(
      optionCode(option),
      `--${option}: a ${config.family} model reads ${reads}, for which this option means nothing. Leave it out.`,
      { option, family: config.family },
    );
  };
  const isText = config.embeds !== undefined && config.image === undefined;
  if (isText) checkTextTrunk(settings, model, refuseOption);
  checkClasses(settings, model);
  if (isText) return;
  if (!config.image) {
    if (settings.labels !== undefined) refuseOption('labels', 'text');
    if (settings.orientation !== undefined && !asks) refuseOption('orientation', 'text');
    return;
  }
  if (asks && settings.labels !== undefined) refuseOption('labels', 'questions about images');
  if (settings.tasks !== undefined) refuseOption('tasks', 'images');
  if (settings.hessian !== undefined && settings.hessian !== DEFAULTS.hessian) refuseOption('hessian', 'images');
  if (settings.gradient !== undefined && settings.gradient !== DEFAULTS.gradient) refuseOption('gradient', 'images');
  if (settings.sequenceLength !== undefined) refuseOption('sequence-length', 'images');
  if (settings.windowStart !== undefined) refuseOption('window-start', 'images');
  if (settings.target?.kind === 'stream' && config.image.stages.length > 0) {
    throw new OptionError(
      'E_OPTION_TARGET',
      `--target stream: the residual of a ${config.family} model changes its shape between stages, and following it through that is not implemented. Use --target own.`,
      { option: 'target', family: config.family },
    );
  }
}

/** What a text trunk is pruned and quantised with. @throws UnsupportedError E_UNSUPPORTED_SCOPE; OptionError E_OPTION_… */
function checkTextTrunk(settings: Given, { config }: Model, refuse: (option: string, reads: string) => never): void {
  const { command, labels, tasks, hessian, gradient, sequenceLength, windowStart } = settings;
  if (command !== 'prune' && command !== 'quantise') {
    throw new UnsupportedError(
      'E_UNSUPPORTED_SCOPE',
      `--scope text: this command is not implemented for the text trunk of a ${config.family} model; prune, compare and quantise are. Use --scope vision.`,
      { scope: 'text', family: config.family },
    );
  }
  const given = {
    labels,
    tasks,
    hessian: hessian === DEFAULTS.hessian ? undefined : hessian,
    gradient: gradient === DEFAULTS.gradient ? undefined : gradient,
    'sequence-length': sequenceLength,
    'window-start': windowStart,
  };
  for (const [option, value] of Object.entries(given)) if (value !== undefined) refuse(option, 'captions of images');
}

/** @throws OptionError E_OPTION_CLASSES */
function checkClasses({ classes, validation, test }: Given, { config }: Model): void {
  const named = config.embeds !== undefined && config.image !== undefined;
  if (classes !== undefined && !named) {
    throw new OptionError(
      'E_OPTION_CLASSES',
      config.embeds
        ? '--classes: a text trunk is measured on captions and their images, for which this option means nothing. Leave it out.'
        : `--classes: a ${config.family} model has no text trunk that reads names of classes, for which this option means nothing. Leave it out.`,
      { option: 'classes', family: config.family },
    );
  }
  if (named && classes === undefined && (validation !== undefined || test !== undefined))
    refuseMissing('classes', 'a file with the names of the classes, one a line, which this model is scored against');
}

/** The number of calibration samples, which is another for images than for texts where none was given. */
export const withSampleCount = <S extends { readonly calibrationSamples: number | undefined }>(
  settings: S,
  model: Model,
): S =>
  settings.calibrationSamples !== undefined ? settings : { ...settings, calibrationSamples: usualSamples(model) };

/** How many samples calibrate where nothing is said: images cost less than texts, or questions about images. */
export const usualSamples = (model: Model): number =>
  model.config.image && !answersQuestions(model) ? DEFAULTS.calibrationImages : DEFAULTS.calibrationSamples;

/** For what is implemented for the main trunk of a checkpoint alone. @throws OptionError E_OPTION_SCOPE, E_OPTION_CLASSES */
export function requireMainTrunk(
  { scope, classes }: Partial<Pick<ImageSettings, 'scope' | 'classes'>>,
  { trunk, config }: Model,
): void {
  const refuse = (option: string): never => {
    throw new OptionError(
      optionCode(option),
      `--${option}: this is implemented for ${trunk ? `the ${trunk} trunk, as it is opened,` : `a ${config.family} model`} alone. Leave the option out.`,
      { option, trunk, family: config.family },
    );
  };
  if (scope !== undefined && scope !== trunk) refuse('scope');
  if (classes !== undefined) refuse('classes');
}
