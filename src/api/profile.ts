// Makes a profile: what policies allocate by and removals of blocks judge by, measured once and stored. The dense model runs
// once over the calibration text; this pass collects all measures and compares the residual around each block. Measures with
// their own procedure (gradient) follow.

import { OptionError, ResourceError, VERSION, withResources, writeFileAtomic } from '../base/index.js';
import { hashCheckpoint } from '../checkpoint/index.js';
import { measureDamages, measuredOf, plainTable, type Measured as TableOf } from '../compress/index.js';
import type { Engine } from '../engine/index.js';
import { blameWeights, type Model } from '../model/index.js';
import { findCriterion } from '../operators/index.js';
import { measureErrorCurves, runDense } from '../pipeline/index.js';
import { allocate, findPolicy, realisePlan } from '../plan/index.js';
import { COLLECTED_BY_DEFAULT, collectable, startAngles, startInfluence } from '../profile/index.js';
import {
  type Measured,
  type MeasureName,
  PROFILE_CHARACTERS,
  type Profile,
  packMeasures,
  type SensitivityTable,
} from '../records/index.js';
import {
  checkOutPath,
  checkOutside,
  DEFAULT_SHARES,
  describeModel,
  factsOf,
  type GradientOptions,
  type GradientSettings,
  measureOnce,
  normaliseGradient,
  normaliseRun,
  normaliseWindowing,
  oneOf,
  openEngine,
  openSource,
  PROFILE_MEASURES,
  prepareTexts,
  type RunOptions,
  type RunSettings,
  realNumber,
  refuseMissing,
  type TextSettings,
  type WindowingOptions,
} from '../runs/index.js';
import { embedSamples, type Text } from '../stream/index.js';

export type ProfileOptions = RunOptions &
  WindowingOptions &
  GradientOptions & {
    /** Directory of a Hugging Face checkpoint, a .gguf file, or its name on the Hub. */
    readonly checkpoint: string;
    /** A text file (.txt, .jsonl, .jsonl.gz, .parquet), or `c4`, `wikitext2`, `ptb`. */
    readonly calibration: string;
    /**
     * The measures besides influence and angles: `outliers`, `scoreMoments`, `scores`, `lamp`, `alpha`, `redundancy`, `halfError`, and
     * `gradient`, which needs additional passes. Defaults to all but `halfError` and `gradient`.
     */
    readonly measures?: readonly string[];
    /**
     * A sparsity to show how errors travel at: pruned uniformly with SparseGPT, the error of each block alone, what is carried on,
     * and what is left where linears follow the dense stream. Prunes the model twice. Defaults to none.
     */
    readonly errors?: number | undefined;
    /** File to write; must not exist. Defaults to none. */
    readonly out?: string | undefined;
    /**
     * Measures the table of sensitivities too, for `compress`: the words of its `allow` (`bits`, `zeros`, `drop`), or `gguf`. It
     * is written beside `out`, as `<out>.sensitivities.json`. Defaults to none.
     */
    readonly treatments?: readonly string[];
  };

export type ProfileResult = {
  readonly profile: Profile;
  /** The table of sensitivities and its file; null where it was not asked for. */
  readonly sensitivities: { readonly path: string; readonly table: SensitivityTable } | null;
  readonly seconds: number;
};

type ProfileSettings = RunSettings &
  TextSettings &
  GradientSettings & {
    readonly checkpoint: string;
    readonly measures: readonly MeasureName[];
    readonly errors: number | undefined;
    readonly treatments: Treatments | undefined;
    readonly out: string | undefined;
  };

/**
 * Measures a checkpoint. Everything is checked before a weight is read; the file appears whole or not at all.
 * @throws OptionError, CheckpointError, UnsupportedError, ResourceError, NumericError, each with a stable `code`
 */
export async function profile(options: ProfileOptions): Promise<ProfileResult> {
  const started = performance.now();
  const settings = normaliseProfile(options);
  const { out, onProgress } = settings;
  if (out !== undefined) await checkOutPath(out);
  if (settings.treatments) await checkOutPath(settings.treatments.path);
  const model = await openSource(settings.checkpoint, onProgress);
  if (out !== undefined) await checkOutside(out, model.checkpoint.dir);
  const calibration = (await prepareTexts(settings, model)).calibration!;
  if (settings.errors !== undefined && calibration.content.windows.length < 2) {
    throw new OptionError('E_OPTION_ERRORS', '--errors: expected 2 windows of calibration text at least, got 1.', {
      option: 'errors',
      got: 1,
    });
  }
  return await withResources(async (own) => {
    const engine = await own(openEngine(model, settings));
    onProgress({ kind: 'stage', stage: 'hashing the checkpoint' });
    const hashes = await hashCheckpoint(model.checkpoint);
    const text = await embedSamples(own, engine, model, calibration.content);
    const { influence, angles, measured } = await measure(settings, engine, model, text);
    const errors =
      settings.errors === undefined ? undefined : await measureErrors(settings.errors, settings, engine, model, text);
    const table = settings.treatments && (await measureSensitivities(settings, engine, model, text, hashes));
    const found: Profile = {
      format: 'layerwise-profile',
      version: 1,
      tool: { version: VERSION, device: settings.device },
      source: describeModel(model, hashes),
      calibration: calibration.record,
      seed: settings.seed,
      ...(settings.gradient === 'exact' ? { gradient: settings.gradient } : {}),
      linears: model.linears.map((linears) => linears.map(({ name }) => name)),
      influence,
      angles,
      ...(errors ? { errors } : {}),
      measures: packMeasures(measured),
    };
    if (out !== undefined) await writeProfile(found, out);
    const sensitivities = table ? { path: settings.treatments!.path, table } : null;
    if (sensitivities) await writeFileAtomic(sensitivities.path, `${JSON.stringify(table, null, 1)}\n`);
    return { profile: found, sensitivities, seconds: (performance.now() - started) / 1000 };
  }).catch((error) => blameWeights(model, error));
}

function normaliseProfile(options: ProfileOptions): ProfileSettings {
  const asked = options.measures ?? COLLECTED_BY_DEFAULT;
  for (const name of asked) {
    if (name === 'sensitivity') refuseSensitivity();
    oneOf('measures', name, PROFILE_MEASURES);
  }
  if (options.calibration === undefined) refuseMissing('calibration', 'a text file to measure on');
  // A fixed order, so that the order of the request does not change the profile.
  const measures = PROFILE_MEASURES.filter((name) => asked.includes(name));
  return {
    ...normaliseRun(options),
    checkpoint: options.checkpoint,
    measures,
    gradient: normaliseGradient(options, measures, 'measures'),
    errors: options.errors === undefined ? undefined : realNumber('errors', options.errors, 0, 1),
    treatments: treatmentsOf(options),
    out: options.out,
    calibration: options.calibration,
    validation: undefined,
    test: undefined,
    ...normaliseWindowing(options),
  };
}

/** What the table is measured of, and its file. */
type Treatments = { readonly measured: TableOf; readonly path: string };

/** @throws OptionError E_OPTION_TREATMENTS, E_OPTION_OUT */
function treatmentsOf({ treatments, out }: ProfileOptions): Treatments | undefined {
  if (treatments === undefined) return undefined;
  const measured = measuredOf(treatments);
  if (out === undefined) refuseMissing('out', 'a file, because the table of --treatments is written beside it');
  return { measured, path: `${out.replace(/\.json$/, '')}.sensitivities.json` };
}

async function measureSensitivities(
  { treatments, onProgress }: ProfileSettings,
  engine: Engine,
  model: Model,
  calibration: Text,
  hashes: Readonly<Record<string, string>>,
): Promise<SensitivityTable> {
  const { measured } = treatments!;
  const workspace = { step: <T>(_: string, make: () => Promise<T>) => make() };
  const where = { engine, workspace, calibration, validation: undefined, onProgress };
  return plainTable(model, hashes, await measureDamages(model, measured, where), measured.items);
}

/** How errors travel under a uniform plan. */
async function measureErrors(
  sparsity: number,
  { onProgress }: ProfileSettings,
  engine: Engine,
  model: Model,
  text: Text,
): Promise<NonNullable<Profile['errors']>> {
  const operator = findCriterion('sparsegpt');
  const facts = factsOf(model);
  const uniform = allocate(findPolicy('uniform'), { target: sparsity, facts, counting: 'exact' });
  const pattern = operator.patterns[0]!;
  const plan = realisePlan(uniform, facts.linears, { counting: 'exact', pattern, of: undefined });
  const treating = { model, operator, plan };
  const { windows, ...curves } = await measureErrorCurves(treating, DEFAULT_SHARES, engine, text, onProgress);
  const { alone, carried, corrected } = curves;
  const copies = { alone: [...alone], carried: [...carried], corrected: [...corrected] };
  return { sparsity, windows, target: { ...DEFAULT_SHARES }, ...copies };
}

function refuseSensitivity(): never {
  throw new OptionError(
    'E_OPTION_MEASURES',
    `--measures: expected one of ${PROFILE_MEASURES.join(', ')}, got "sensitivity", which depends on the sparsity, the criterion and the pattern; plan and prune measure it for --allocation layerwise themselves.`,
    { option: 'measures', expected: PROFILE_MEASURES, got: 'sensitivity' },
  );
}

type Measurements = Pick<Profile, 'influence' | 'angles'> & { readonly measured: Partial<Measured> };

async function measure(
  { measures, seed, gradient, onProgress }: ProfileSettings,
  engine: Engine,
  model: Model,
  text: Text,
): Promise<Measurements> {
  const { blocks, hidden } = model.config;
  const influence = startInfluence(blocks, hidden);
  const angles = startAngles(blocks, hidden, text.content);
  const visit = (block: number, before: Float32Array, after: Float32Array): void => {
    influence.add(block, before, after);
    angles.add(block, before, after);
  };
  const dense = await runDense(engine, model, undefined, text, onProgress, collectable(measures), visit);
  const workspace = { step: <T>(_: string, make: () => Promise<T>) => make() };
  const where = { model, engine, workspace, calibration: text, validation: undefined };
  return {
    influence: influence.result(),
    angles: Array.from({ length: blocks }, (_, i) => angles.across(i + 1)),
    measured: { ...dense.measured, ...(await measureOnce(measures, { seed, gradient, onProgress }, where)) },
  };
}

/** Written on one line: with one number per line it would be three times as long. */
async function writeProfile(found: Profile, out: string): Promise<void> {
  const text = `${JSON.stringify(found)}\n`;
  if (text.length > PROFILE_CHARACTERS) {
    const message = `${out}: the profile has ${text.length} characters, and at most ${PROFILE_CHARACTERS} can be read again. Name fewer --measures: scores, lamp and redundancy are the long ones.`;
    throw new ResourceError('E_RESOURCE_LARGE', message, { path: out, size: text.length, limit: PROFILE_CHARACTERS });
  }
  await writeFileAtomic(out, text);
}
