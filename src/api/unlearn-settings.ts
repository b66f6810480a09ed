// The options of unlearn, completed and checked before any file is read.

import {
  normaliseLength,
  normaliseRun,
  normaliseStart,
  normaliseTasks,
  oneOf,
  type RunOptions,
  type RunSettings,
  realNumber,
  refuseMissing,
  refuseValue,
  type TaskOptions,
  type TaskSettings,
  type WindowingOptions,
  wholeNumber,
} from '../runs/index.js';
import type { WindowStart } from '../text/index.js';
import { STEERED } from '../train/index.js';

export const UNLEARN_METHODS = ['adaptive-rmu', 'rmu'] as const;
export type UnlearnMethod = (typeof UNLEARN_METHODS)[number];

export type UnlearnOptions = RunOptions &
  TaskOptions &
  Pick<WindowingOptions, 'sequenceLength' | 'windowStart'> & {
    /** Directory of a Hugging Face checkpoint, a .gguf file, or its name on the Hub. */
    readonly checkpoint: string;
    /** Directory to write; must not exist. */
    readonly out: string;
    /** Text to suppress, and text to keep. Half of each is trained on, a quarter chooses, a quarter is scored at the end. */
    readonly forget: string;
    readonly retain: string;
    /** The block whose output is steered, at least 2. Searched at three depths if left out. */
    readonly layer?: number;
    /** `adaptive-rmu` or `rmu`. Defaults to `adaptive-rmu`. */
    readonly method?: string;
    /** adaptive-rmu: the length of the goal, in mean lengths of the residual there. Searched among 2, 3, 5 and 10 if left out. */
    readonly beta?: number;
    /** rmu: the length of the goal. Defaults to 6.5. */
    readonly coefficient?: number;
    /** The weight of the retain text. Defaults to 1200. */
    readonly alpha?: number;
    /** Training steps of each trial. Defaults to 500. */
    readonly steps?: number;
    /** The highest learning rate. Defaults to 0.0001. */
    readonly rate?: number;
    /** Tokens of each of the texts in a step, about. Defaults to 2,048. */
    readonly batch?: number;
    /** How much the loss on the retain text may rise in the search, nats per token. Defaults to 0.05. */
    readonly tolerance?: number;
    /** Draw the direction as the published code does, from U(0, 1). Defaults to false: a Gaussian, all directions alike. */
    readonly official?: boolean;
    /** Of the direction and of the order of windows. Defaults to 0. */
    readonly seed?: number;
    /** Continue a run that was interrupted. Defaults to false. */
    readonly resume?: boolean;
  };

export const UNLEARN_DEFAULTS = {
  method: 'adaptive-rmu',
  coefficient: 6.5,
  alpha: 1200,
  steps: 500,
  rate: 1e-4,
  batch: 2048,
  tolerance: 0.05,
} as const;

export type UnlearnSettings = RunSettings & {
  readonly checkpoint: string;
  readonly out: string;
  readonly forget: string;
  readonly retain: string;
  readonly layer: number | undefined;
  readonly method: UnlearnMethod;
  readonly beta: number | undefined;
  readonly coefficient: number;
  readonly alpha: number;
  readonly steps: number;
  readonly rate: number;
  readonly batch: number;
  readonly tolerance: number;
  readonly official: boolean;
  readonly sequenceLength: number | undefined;
  readonly windowStart: WindowStart | undefined;
  /** Tasks that the model is scored on before and after. */
  readonly tasks: TaskSettings | undefined;
  readonly seed: number;
  readonly resume: boolean;
};

/** @throws OptionError E_OPTION_… */
export function normaliseUnlearn(options: UnlearnOptions): UnlearnSettings {
  const { checkpoint, out, forget, retain, layer, beta } = options;
  if (forget === undefined) refuseMissing('forget', 'a text to suppress');
  if (retain === undefined) refuseMissing('retain', 'a text to keep');
  const method = oneOf('method', options.method ?? UNLEARN_DEFAULTS.method, UNLEARN_METHODS);
  const adaptive = method === 'adaptive-rmu';
  if (beta !== undefined && !adaptive) refuseValue('beta', '--method adaptive-rmu beside it', options.method);
  if (options.coefficient !== undefined && adaptive) refuseValue('coefficient', '--method rmu beside it', method);
  const above = (name: 'alpha' | 'rate' | 'coefficient' | 'tolerance', most: number): number => {
    const value = options[name] ?? UNLEARN_DEFAULTS[name];
    if (!(value > 0)) refuseValue(name, `a number above 0, at most ${most}`, value);
    return realNumber(name, value, 0, most);
  };
  if (beta !== undefined && !(beta > 0)) refuseValue('beta', 'a number above 0, at most 1000', beta);
  return {
    ...normaliseRun(options),
    ...{ checkpoint, out, forget, retain, method },
    layer: layer === undefined ? undefined : wholeNumber('layer', layer, STEERED - 1, 100_000),
    beta: beta === undefined ? undefined : realNumber('beta', beta, 0, 1000),
    coefficient: above('coefficient', 1e6),
    alpha: above('alpha', 1e9),
    steps: wholeNumber('steps', options.steps ?? UNLEARN_DEFAULTS.steps, 1, 1e9),
    rate: above('rate', 1),
    batch: wholeNumber('batch', options.batch ?? UNLEARN_DEFAULTS.batch, 1, 1e7),
    tolerance: above('tolerance', 100),
    official: options.official ?? false,
    sequenceLength: normaliseLength(options.sequenceLength),
    windowStart: normaliseStart(options.windowStart),
    tasks: normaliseTasks(options),
    seed: wholeNumber('seed', options.seed ?? 0, 0, 2 ** 32 - 1),
    resume: options.resume ?? false,
  };
}
