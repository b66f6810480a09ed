// Quantises weights and activations (Q-VLM, arXiv 2410.08119, without its training of the vision encoder): weights row by row, the
// inputs of linears over clipped ranges. Both are fake-quantised: numbers on few levels, computed in float32. The checkpoint has
// the rounded weights, layerwise.json the clips; `evaluate` obeys both, other programs see the weights alone.

import { NumericError, UnsupportedError, VERSION, withResources } from '../base/index.js';
import { hasScales, SCALES_FILE, type TensorEdit, writeCheckpoint } from '../checkpoint/index.js';
import type { Engine } from '../engine/index.js';
import { summarise } from '../evaluate/index.js';
import { blameWeights, type Model, openModel, readLinear, toStored, weightName } from '../model/index.js';
import { quantiseRows } from '../operators/index.js';
import { withClips } from '../pipeline/index.js';
import { type ActivationsRecord, parseActivationsRecord } from '../records/index.js';
import {
  checkOutside,
  checkSpace,
  describeModel,
  openEngine,
  openRun,
  type PreparedTexts,
  prepareSamples,
  requireMainTrunk,
  startCommand,
  type Workspace,
} from '../runs/index.js';
import { scoringOf } from '../stream/index.js';
import { type DType, findNonFinite, fromFloat32 } from '../tensor/index.js';
import { gridOf, type Searched, scoreOn, searchActivations } from './activations-search.js';
import {
  ACTIVATION_DEFAULTS,
  type ActivationsOptions,
  type ActivationsSettings,
  normaliseActivations,
} from './activations-settings.js';
import { finishMaking, openMaking, readFinished } from './making.js';
import { drawActivations } from './report.js';
import { renew } from './write-mended.js';

export type ActivationsResult = {
  readonly out: string;
  readonly record: ActivationsRecord;
  readonly seconds: number;
  readonly peakMemoryBytes: number;
};

/**
 * Quantises weights and activations. Everything is checked before a weight is read; the output directory appears whole or not at
 * all; `resume` continues an interrupted run.
 * @throws OptionError, CheckpointError, UnsupportedError, ResourceError, NumericError, each with a stable `code`
 */
export async function quantiseActivations(options: ActivationsOptions): Promise<ActivationsResult> {
  const started = performance.now();
  const settings = normaliseActivations(options);
  const { out, resume } = settings;
  const { model, done } = await openMaking(settings);
  requireMainTrunk(settings, model);
  if (!done) await checkOutside(out, model.checkpoint.dir);
  if (await hasScales(model.checkpoint)) {
    const message = `${model.checkpoint.dir} is quantised already (layerwise.scales), and its weights would leave their grid. Quantise the dense checkpoint.`;
    throw new UnsupportedError('E_UNSUPPORTED_ACTIVATIONS', message, { file: SCALES_FILE });
  }
  if (!resume) await checkSpace(out, 1.1 * model.bytes);
  const texts = await prepareSamples(settings, model);
  if (texts.calibration && 'tokens' in texts.calibration.content) refuseQuestions();
  const record = await run(settings, model, texts, done).catch((error) => blameWeights(model, error));
  const seconds = (performance.now() - started) / 1000;
  return { out, record, seconds, peakMemoryBytes: process.resourceUsage().maxRSS * 1024 };
}

/** @throws UnsupportedError E_UNSUPPORTED_DIALOGUE */
function refuseQuestions(): never {
  throw new UnsupportedError(
    'E_UNSUPPORTED_DIALOGUE',
    'The ranges of activations are searched on samples of one length, and questions about images are padded to the longest. Give a text for the language trunk.',
  );
}

async function run(
  settings: ActivationsSettings,
  model: Model,
  texts: PreparedTexts,
  done: boolean,
): Promise<ActivationsRecord> {
  const { onProgress, activationBits } = settings;
  return await withResources(async (own) => {
    // Create the engine first, so that a missing device leaves no workspace behind.
    const engine = await own(openEngine(model, settings));
    const identity = { ...settings, method: 'qvlm' };
    const { hashes, workspace } = await openRun('quantise', identity, model, texts);
    await own(workspace);
    if (done) return await readFinished(workspace, settings.out, parseActivationsRecord);
    const final = workspace.at('final');
    onProgress({ kind: 'stage', stage: 'rounding weights', total: model.config.blocks });
    await workspace.step('weights', async () => {
      await writeRounded(model, settings, final);
      return true;
    });
    const rounded = await openModel(final);
    const { calibration, validation } = texts;
    const searched = await searchActivations({
      ...{ engine, workspace, dense: model, rounded, settings },
      ...{ calibration: calibration!, validation: validation! },
    });
    const { layers, ranges, greedy, joint, chosen } = searched;
    const clipped = (clips: readonly number[]): Model => withClips(rounded, activationBits, ranges, clips);
    const models = {
      dense: model,
      weights: rounded,
      minmax: clipped(layers.map(() => 1)),
      greedy: clipped(greedy),
      joint: clipped(joint),
      chosen: clipped(chosen),
    };
    const scores = await scoreAll(engine, workspace, models, texts, settings);
    const record = recordOf(settings, model, hashes, texts, engine, searched, scores);
    return await finishMaking(workspace, record, drawActivations);
  });
}

/** The checkpoint with every linear of the blocks rounded, in its own dtype. */
async function writeRounded(
  model: Model,
  { bits, onProgress }: Pick<ActivationsSettings, 'bits' | 'onProgress'>,
  dir: string,
): Promise<void> {
  await renew(dir);
  const linears = new Map(model.linears.flat().map((linear) => [weightName(linear), linear]));
  const last = new Set(model.linears.map((block) => weightName(block.at(-1)!)));
  await writeCheckpoint(model.checkpoint, dir, (name): TensorEdit | undefined => {
    const linear = linears.get(name);
    if (!linear) return undefined;
    const { dtype, shape } = model.checkpoint.tensors.get(name)!;
    const read = async (): Promise<Uint8Array> => {
      const { rows, columns } = linear;
      const data = await readLinear(model.checkpoint, linear);
      const bytes = store(name, toStored(linear, quantiseRows({ rows, columns, data }, bits)), dtype);
      if (last.has(name)) onProgress({ kind: 'advance', detail: `block ${linear.block + 1}` });
      return bytes;
    };
    return { name, dtype, shape, read };
  });
}

function store(name: string, values: Float32Array, dtype: DType): Uint8Array {
  const bytes = fromFloat32(values, dtype);
  const { nan, infinite } = findNonFinite(bytes, dtype);
  if (nan + infinite === 0) return bytes;
  const message = `${name}: ${nan + infinite} rounded weights are no numbers of ${dtype}. Check the checkpoint, or use a copy of it in BF16 or F32.`;
  throw new NumericError('E_NUMERIC_OVERFLOW', message, { tensor: name, dtype });
}

type Scores = ActivationsRecord['scores'];

async function scoreAll(
  engine: Engine,
  workspace: Workspace,
  models: Readonly<Record<keyof Scores, Model>>,
  { validation, test }: PreparedTexts,
  settings: ActivationsSettings,
): Promise<Scores> {
  const scores: Partial<Record<keyof Scores, Scores['dense']>> = {};
  for (const [name, model] of Object.entries(models) as [keyof Scores, Model][]) {
    const on = async (text: 'validation' | 'test', prepared: NonNullable<PreparedTexts['test']>) => {
      const nll = await workspace.step(`${text}-${name}`, () =>
        scoreOn(engine, model, prepared, `${text}: ${name}`, settings),
      );
      return summarise(nll, scoringOf(prepared.content));
    };
    scores[name] = { validation: await on('validation', validation!), test: test ? await on('test', test) : null };
  }
  return scores as Scores;
}

function recordOf(
  settings: ActivationsSettings,
  model: Model,
  hashes: Readonly<Record<string, string>>,
  { calibration, validation, test }: PreparedTexts,
  engine: Engine,
  { layers, ranges, chosen, stretches, threshold, dependencies, base, together }: Searched,
  scores: Scores,
): ActivationsRecord {
  return {
    format: 'layerwise-activations',
    version: 1,
    tool: { version: VERSION, engine: engine.name, device: settings.device },
    command: commandOf(settings),
    source: describeModel(model, hashes),
    seed: settings.seed,
    texts: { calibration: calibration!.record, validation: validation!.record, test: test?.record ?? null },
    method: 'qvlm',
    bits: { weights: settings.bits, activations: settings.activationBits },
    range: settings.activationRange,
    grid: gridOf(settings),
    dependency: settings.dependency,
    threshold,
    dependencies,
    layers: layers.map(({ index, block, name, sites }) => ({
      ...{ block, name, clip: chosen[index]! },
      sites: Object.fromEntries(sites.map((site) => [site, ranges?.[block]?.get(site) ?? null])),
    })),
    stretches,
    base,
    together,
    scores,
  };
}

/** The command that repeats the run. */
function commandOf(settings: ActivationsSettings): string {
  const line = startCommand('quantise', settings.checkpoint);
  const { add } = line;
  add('method', 'qvlm');
  add('bits', settings.bits);
  add('activation-bits', settings.activationBits);
  add('activation-range', settings.activationRange);
  add('dependency', settings.dependency);
  add('threshold', settings.threshold);
  add('calibration', settings.calibration);
  add('validation', settings.validation);
  add('test', settings.test);
  if (settings.calibrationSamples !== ACTIVATION_DEFAULTS.calibrationSamples) {
    add('calibration-samples', settings.calibrationSamples);
  }
  add('calibration-order', settings.calibrationOrder);
  add('sequence-length', settings.sequenceLength);
  add('window-start', settings.windowStart);
  add('seed', settings.seed);
  add('device', settings.device);
  line.place('out', '<dir>');
  return line.text();
}
