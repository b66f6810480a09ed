// Unlearning by steering: on a forget text the residual after one block is driven to a direction that means nothing, on a retain
// text it stays (src/train/steer-stage.ts). What the text taught is suppressed, not erased: the record says what brings it back. The
// stages are in the order of the data flow; a killed run goes on after its last state and ends with the same bytes.

import { mkdir } from 'node:fs/promises';
import { fileError, OptionError, UnsupportedError, VERSION, withResources } from '../base/index.js';
import { hasScales, SCALES_FILE } from '../checkpoint/index.js';
import { blameWeights, type Model, openModel } from '../model/index.js';
import { parseUnlearnRecord, type UnlearnRecord } from '../records/index.js';
import {
  addTasks,
  describeModel,
  openEngine,
  openRun,
  type PreparedTasks,
  type PreparedTexts,
  prepareTasks,
  startCommand,
} from '../runs/index.js';
import { holdParameters, STEERED, steeredTensors } from '../train/index.js';
import { writeHealed } from './heal-write.js';
import { checkRoom, finishMaking, openMaking, readFinished } from './making.js';
import { drawUnlearning } from './report.js';
import { scoreCheckpoint, testLeaks } from './unlearn-leaks.js';
import { normaliseUnlearn, type UnlearnOptions, type UnlearnSettings } from './unlearn-settings.js';
import { scoreUnlearnTasks } from './unlearn-tasks.js';
import { type Parted, prepareUnlearnTexts, type UnlearnTexts } from './unlearn-texts.js';
import { chooseSteering, trainChosen } from './unlearn-trials.js';

export type UnlearnResult = { readonly out: string; readonly record: UnlearnRecord; readonly seconds: number };

/**
 * Suppresses what a forget text taught, and keeps what a retain text shows. Three matrices change. Everything is checked before
 * a weight is trained; the output directory appears whole or not at all; `resume` continues an interrupted run.
 * @throws OptionError, CheckpointError, UnsupportedError, ResourceError, NumericError, each with a stable `code`
 */
export async function unlearn(options: UnlearnOptions): Promise<UnlearnResult> {
  const started = performance.now();
  const settings = normaliseUnlearn(options);
  const { out } = settings;
  const opened = await openMaking(settings);
  const { model, done } = opened;
  await requireSteerable(model, settings);
  // The output, and its copy of four bits.
  await checkRoom(settings, opened, 2 * model.bytes + 20 * model.parameters);
  const texts = await prepareUnlearnTexts(settings, model);
  const tasks = await prepareTasks(settings, model);
  const record = await run(settings, model, { texts, tasks }, done).catch((error) => blameWeights(model, error));
  return { out, record, seconds: (performance.now() - started) / 1000 };
}

/** @throws OptionError E_OPTION_LAYER, UnsupportedError E_UNSUPPORTED_UNLEARN */
async function requireSteerable({ config, checkpoint }: Model, { layer }: UnlearnSettings): Promise<void> {
  if (config.blocks < STEERED) {
    const message = `${checkpoint.dir}: unlearning changes ${STEERED} blocks, and the model has ${config.blocks}.`;
    throw new UnsupportedError('E_UNSUPPORTED_UNLEARN', message, { blocks: config.blocks });
  }
  if (await hasScales(checkpoint)) {
    const message = `${checkpoint.dir} is quantised (layerwise.scales), and what is trained would leave its grid. Unlearn on the dense checkpoint, and quantise the result.`;
    throw new UnsupportedError('E_UNSUPPORTED_UNLEARN', message, { file: SCALES_FILE });
  }
  if (layer === undefined || layer < config.blocks) return;
  const message = `--layer: expected a whole number from ${STEERED - 1} to ${config.blocks - 1}, got ${layer}.`;
  throw new OptionError('E_OPTION_LAYER', message, { option: 'layer', got: layer, blocks: config.blocks });
}

async function run(
  settings: UnlearnSettings,
  model: Model,
  { texts, tasks }: { readonly texts: UnlearnTexts; readonly tasks: PreparedTasks | undefined },
  done: boolean,
): Promise<UnlearnRecord> {
  const { onProgress } = settings;
  return await withResources(async (own) => {
    // Create the engine first, so that a missing device leaves no workspace behind.
    const engine = await own(openEngine(model, settings));
    const { forget: _, retain: __, ...identity } = settings;
    const prepared: PreparedTexts = {
      calibration: texts.forget.text,
      validation: texts.retain.text,
      test: undefined,
    };
    const { hashes, workspace } = await openRun('unlearn', identity, model, prepared, tasks?.setup);
    await own(workspace);
    if (done) return await readFinished(workspace, settings.out, parseUnlearnRecord);
    const folder = workspace.at('trials');
    await mkdir(folder, { recursive: true }).catch((error) => {
      throw fileError(error, folder);
    });
    const all = { engine, model, settings, texts, workspace };
    const { trial, within, trials, before } = await chooseSteering(all);
    if (!within) {
      const text = `Warning: no trial kept the loss on the retain text within ${settings.tolerance} of ${before.retain.toFixed(4)}; the one that raised it least is taken. Use a larger --alpha, fewer --steps or a lower --rate.`;
      onProgress({ kind: 'note', text });
    }
    const { parameters, curve } = await trainChosen(all, trial);
    onProgress({ kind: 'stage', stage: 'writing' });
    const final = workspace.at('final');
    await writeHealed(model, holdParameters([parameters]), final);
    const written = await openModel(final);
    const dense = await workspace.step('dense', () => scoreCheckpoint(all, model, 'dense model, held-out text'));
    const suppressed = await workspace.step('suppressed', () => scoreCheckpoint(all, written, 'held-out text'));
    const context = { engine, dense: model, model: written, layer: trial.layer, texts, workspace, settings };
    const leaks = await testLeaks(context, dense, suppressed);
    const onTasks = await scoreUnlearnTasks(context, tasks);
    const windowsOf = ({ training, validation, heldOut }: Parted) => ({
      training: training.windows.length,
      validation: validation.windows.length,
      heldOut: heldOut.windows.length,
    });
    const { layer, beta, coefficient } = trial;
    const record: UnlearnRecord = {
      format: 'layerwise-unlearn',
      version: 1,
      tool: { version: VERSION, device: settings.device },
      command: commandOf(settings),
      source: describeModel(model, hashes),
      seed: settings.seed,
      texts: { forget: texts.forget.text.record, retain: texts.retain.text.record },
      windows: { forget: windowsOf(texts.forget.parts), retain: windowsOf(texts.retain.parts) },
      method: settings.method,
      direction: settings.official ? 'official' : 'gaussian',
      alpha: settings.alpha,
      steps: settings.steps,
      rate: settings.rate,
      batch: settings.batch,
      tolerance: settings.tolerance,
      within,
      before,
      trials: [...trials],
      chosen: { layer, beta, coefficient },
      tensors: [...steeredTensors(model, layer)],
      curve: { ...curve, training: [...curve.training], validation: [...curve.validation] },
      dense,
      suppressed,
      ...(onTasks ? { tasks: onTasks } : {}),
      leaks: [...leaks],
    };
    return await finishMaking(workspace, record, drawUnlearning);
  });
}

/** The command that repeats the run. */
function commandOf(settings: UnlearnSettings): string {
  const line = startCommand('unlearn', settings.checkpoint);
  const { add } = line;
  add('forget', settings.forget);
  add('retain', settings.retain);
  add('layer', settings.layer);
  add('method', settings.method);
  add('beta', settings.beta);
  if (settings.method === 'rmu') add('coefficient', settings.coefficient);
  for (const name of ['alpha', 'steps', 'rate', 'batch', 'tolerance'] as const) add(name, settings[name]);
  line.flag('official', settings.official);
  add('sequence-length', settings.sequenceLength);
  add('window-start', settings.windowStart);
  addTasks(settings.tasks, add);
  add('seed', settings.seed);
  add('device', settings.device);
  line.place('out', '<dir>');
  return line.text();
}
