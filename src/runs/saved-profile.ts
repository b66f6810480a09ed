// Uses a saved profile instead of measuring. It must contain what the policy needs and must have been measured on this
// checkpoint and, if they are given, on this text and these windows. Errors name both sides of a difference.

import { type OnProgress, OptionError, readDocument } from '../base/index.js';
import { givenPath, hashCheckpoint } from '../checkpoint/index.js';
import type { Model } from '../model/index.js';
import type { AllocationPolicy } from '../plan/index.js';
import { COLLECTED } from '../profile/index.js';
import {
  type Measured,
  type MeasureName,
  PROFILE_CHARACTERS,
  type Profile,
  parseProfile,
  unpackMeasures,
  validateProfile,
} from '../records/index.js';
import { conflict } from './checks.js';
import { DEFAULTS } from './defaults.js';
import type { PruneOptions } from './settings.js';
import { readText } from './source.js';

/** The measures that a profile can contain. */
export const PROFILE_MEASURES: readonly MeasureName[] = [...COLLECTED, 'gradient'];

/** Reads a profile. @throws OptionError E_OPTION_PROFILE, ResourceError */
export async function readProfile(path: string): Promise<Profile> {
  return parseProfile(await readDocument(path, PROFILE_CHARACTERS), path);
}

type Asked = Pick<
  PruneOptions,
  | 'gradient'
  | 'calibration'
  | 'calibrationSamples'
  | 'calibrationOrder'
  | 'sequenceLength'
  | 'windowStart'
  | 'seed'
  | 'validation'
>;

/**
 * Checks a profile against the policy and the given options, before any file of the checkpoint is read.
 * @throws OptionError E_OPTION_PROFILE, E_OPTION_CONFLICT
 */
export function checkProfile(profile: Profile, policy: AllocationPolicy, asked: Asked): void {
  validateProfile(profile, '--profile');
  const unkept = policy.needs.find((name) => !PROFILE_MEASURES.includes(name));
  if (unkept) {
    conflict(
      'profile',
      'allocation',
      `${policy.name} needs ${unkept}, which depends on the sparsity and the criterion, so a profile cannot contain it. Leave --profile out`,
    );
  }
  if (policy.needs.length === 0) {
    conflict('profile', 'allocation', `${policy.name} uses no measures. Leave --profile out`);
  }
  if (asked.validation !== undefined) {
    conflict(
      'profile',
      'validation',
      `${policy.name} with a profile searches nothing, so it does not use the validation text. Leave --validation out`,
    );
  }
  const there = Object.keys(profile.measures);
  const missing = policy.needs.filter((name) => !there.includes(name));
  if (missing.length > 0) refuseMissingMeasures(policy, missing, there);
  const { calibration, seed } = profile;
  expectSame('calibration-samples', calibration.windows, asked.calibrationSamples);
  expectSame('calibration-order', calibration.order, asked.calibrationOrder);
  expectSame('sequence-length', calibration.length, asked.sequenceLength);
  expectSame('window-start', calibration.bos === null ? 'none' : 'bos', asked.windowStart);
  expectSame('seed', seed, asked.seed);
  expectSame('gradient', profile.gradient ?? DEFAULTS.gradient, asked.gradient);
}

function refuseMissingMeasures(
  policy: AllocationPolicy,
  missing: readonly MeasureName[],
  there: readonly string[],
): never {
  throw new OptionError(
    'E_OPTION_PROFILE',
    `--profile: expected the measure ${missing.join(', ')}, which the allocation ${policy.name} needs; the profile has ${there.join(', ') || 'none'}. Make one with layerwise profile --measures ${missing.join()}.`,
    { option: 'profile', expected: missing, got: there },
  );
}

function expectSame<T extends string | number>(option: string, measured: T, asked: T | undefined): void {
  if (asked === undefined || asked === measured) return;
  throw new OptionError(
    'E_OPTION_PROFILE',
    `--profile was measured with --${option} ${measured}, but --${option} is ${asked}. Leave --${option} out, or make another profile.`,
    { option: 'profile', expected: asked, got: measured },
  );
}

/**
 * The profile's measures of `model`.
 * @throws OptionError E_OPTION_PROFILE if it was measured on another checkpoint or another text
 */
export async function measuresOf(
  profile: Profile,
  model: Model,
  calibration: string | undefined,
  onProgress: OnProgress,
): Promise<Partial<Measured>> {
  if (calibration !== undefined) {
    const { corpus, name } = await readText(calibration, 'calibration', onProgress);
    const { calibration: measured } = profile;
    if (corpus.hash !== measured.hash) {
      refuse('a different text', measured.name, measured.hash, `--calibration ${name}`, corpus.hash);
    }
  }
  onProgress({ kind: 'stage', stage: 'hashing the checkpoint' });
  const hashes = await hashCheckpoint(model.checkpoint);
  const { name, hashes: measured } = profile.source;
  for (const file of new Set([...Object.keys(measured), ...Object.keys(hashes)])) {
    if (measured[file] === hashes[file]) continue;
    refuse('a different checkpoint', name, measured[file], givenPath(model.checkpoint), hashes[file], file);
  }
  return unpackMeasures(profile.measures);
}

function refuse(
  kind: string,
  was: string,
  measured: string | undefined,
  is: string,
  found: string | undefined,
  file?: string,
): never {
  const describe = (hash: string | undefined): string =>
    hash === undefined ? `has no ${file}` : `has ${file ? `a ${file} with ` : ''}the SHA-256 ${hash.slice(0, 16)}…`;
  throw new OptionError(
    'E_OPTION_PROFILE',
    `--profile was measured on ${kind}: ${was} ${describe(measured)}; ${is} ${describe(found)}. Measure this one with layerwise profile.`,
    { option: 'profile', expected: found, got: measured, ...(file === undefined ? {} : { file }) },
  );
}
