// The options of quantising activations (`quantise --method qvlm`), completed and checked before any file is read.

import { CLIP_BITS } from '../operators/index.js';
import {
  type ImageSettings,
  normaliseRun,
  normaliseWindowing,
  oneOf,
  type RunOptions,
  type RunSettings,
  realNumber,
  refuseMissing,
  refuseValue,
  type WindowingOptions,
} from '../runs/index.js';
import type { WindowStart } from '../text/index.js';

export const DEPENDENCIES = ['entropy', 'measured', 'fixed'] as const;
export type Dependency = (typeof DEPENDENCIES)[number];

/** The range that a clip shrinks: each token's own, or one for all tokens. */
export const CLIP_RANGES = ['token', 'tensor'] as const;
export type ClipRange = (typeof CLIP_RANGES)[number];

export const ACTIVATION_DEFAULTS = { dependency: 'entropy', range: 'token', calibrationSamples: 8 } as const;

export type ActivationsOptions = RunOptions &
  WindowingOptions & {
    /** Directory of a Hugging Face checkpoint, a .gguf file, or its name on the Hub. */
    readonly checkpoint: string;
    /** Directory to write; must not exist. */
    readonly out: string;
    /** Bits of every weight of the blocks' linears: 2, 3, 4, 6 or 8. Each row has a grid of its own. */
    readonly bits: number;
    /** Bits of what these linears read. Defaults to `bits`. */
    readonly activationBits?: number;
    /** How layers are put together for the search of clips: `entropy`, `measured` or `fixed` (three at a time). Defaults to `entropy`. */
    readonly dependency?: string;
    /** h₀: layers are searched together where their dependencies are on average above it. Defaults to the mean of all. */
    readonly threshold?: number;
    /** `token`: every token has its own range. `tensor`: all have that of the calibration text. Defaults to `token`. */
    readonly activationRange?: string;
    /** Text that clips are searched on; `calibrationSamples` defaults to 8 windows. */
    readonly calibration: string;
    /** Text that decides which clips are kept. */
    readonly validation: string;
    readonly test?: string;
    /** Continue a run that was interrupted. Defaults to false. */
    readonly resume?: boolean;
  };

export type ActivationsSettings = RunSettings &
  ImageSettings & {
    readonly checkpoint: string;
    readonly out: string;
    readonly bits: number;
    readonly activationBits: number;
    readonly dependency: Dependency;
    readonly threshold: number | undefined;
    readonly activationRange: ClipRange;
    readonly calibration: string;
    readonly validation: string;
    readonly test: string | undefined;
    readonly calibrationSamples: number | undefined;
    readonly calibrationOrder: 'random' | 'sequential';
    readonly sequenceLength: number | undefined;
    readonly windowStart: WindowStart | undefined;
    readonly seed: number;
    readonly resume: boolean;
  };

/** @throws OptionError E_OPTION_… */
export function normaliseActivations(options: ActivationsOptions): ActivationsSettings {
  const { checkpoint, out, calibration, validation, test, threshold } = options;
  const expected = CLIP_BITS.join(', ');
  const bitsOf = (name: 'bits' | 'activation-bits', bits: number | undefined): number => {
    if (bits === undefined) refuseMissing(name, `one of ${expected}`);
    if (!(CLIP_BITS as readonly number[]).includes(bits)) refuseValue(name, `one of ${expected} with qvlm`, bits);
    return bits;
  };
  if (calibration === undefined) refuseMissing('calibration', 'a text on which clips are searched');
  if (validation === undefined) refuseMissing('validation', 'a text that decides which clips are kept');
  const dependency = oneOf('dependency', options.dependency ?? ACTIVATION_DEFAULTS.dependency, DEPENDENCIES);
  if (threshold !== undefined && dependency === 'fixed') {
    refuseValue('threshold', '--dependency entropy or measured beside it', threshold);
  }
  const { calibrationSamples = ACTIVATION_DEFAULTS.calibrationSamples } = options;
  const bits = bitsOf('bits', options.bits);
  return {
    ...normaliseRun(options),
    ...{ checkpoint, out, bits, calibration, validation, test, dependency },
    activationBits: options.activationBits === undefined ? bits : bitsOf('activation-bits', options.activationBits),
    threshold: threshold === undefined ? undefined : realNumber('threshold', threshold, 0, 100),
    activationRange: oneOf('activation-range', options.activationRange ?? ACTIVATION_DEFAULTS.range, CLIP_RANGES),
    ...normaliseWindowing({ ...options, calibrationSamples }),
    resume: options.resume ?? false,
  };
}
