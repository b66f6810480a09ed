// Cuts a checkpoint to other widths: channels of MLPs and experts, heads with their keys. Trials are those of prune, on blocks whose
// cut slices are zero (operators/cut); the chosen blocks are written without them, and config.json says the new widths. The scores
// are of the written checkpoint. The stages are in the order of the data flow.

import { InternalError, UnsupportedError, VERSION } from '../base/index.js';
import {
  hasScales,
  keepTensor,
  SCALES_FILE,
  type TensorEdit,
  type TensorInfo,
  type TensorToWrite,
} from '../checkpoint/index.js';
import { loadsWhere } from '../formats/index.js';
import {
  biasName,
  blameWeights,
  hasBias,
  listed,
  type Model,
  narrowBlock,
  openModel,
  resizeModel,
  type Widths,
  widthsAfter,
  widthsConfig,
} from '../model/index.js';
import { blockPath, openBlockFile, sharesOf } from '../pipeline/index.js';
import { smallestSteps } from '../plan/index.js';
import { type CutRecord, parseCutRecord } from '../records/index.js';
import {
  CUT_DEFAULTS,
  type Cut,
  type CutOptions,
  type CutSettings,
  chooseWidths,
  DEFAULTS,
  describeCandidate,
  describeModel,
  fidelityOf,
  gainsOf,
  nameClasses,
  normaliseCut,
  openRun,
  type PreparedTexts,
  planCut,
  prepareSamples,
  type Run,
  recordsOf,
  runToChoice,
  startCommand,
} from '../runs/index.js';
import { scoreDepth } from './depth-scores.js';
import { checkRoom, finishMaking, openMaking, readFinished } from './making.js';
import { drawCut } from './report.js';
import { writeMended } from './write-mended.js';

export type CutResult = { readonly out: string; readonly record: CutRecord; readonly seconds: number };

/**
 * Cuts a checkpoint. Everything is checked before a weight is read; the output directory appears whole or not at all; an
 * interrupted run continues with `resume`.
 * @throws OptionError, CheckpointError, UnsupportedError, ResourceError, NumericError, each with a stable `code`
 */
export async function cut(options: CutOptions): Promise<CutResult> {
  const started = performance.now();
  const settings = normaliseCut(options);
  const { out } = settings;
  const opened = await openMaking(settings, { images: true, trunk: settings.scope });
  const { done } = opened;
  await refuseQuantised(opened.model);
  const planned = await planCut(settings, opened.model);
  // Space for uniform, the best trial, the running trial, and the output.
  await checkRoom(settings, opened, 4 * opened.model.bytes);
  const model = await nameClasses(opened.model, planned.settings);
  const texts = await prepareSamples(planned.settings, model);
  requireTextForTaylor(planned, texts);
  const finish = (run: Run): Promise<CutRecord> => finishCut(planned, run, texts);
  const record = done
    ? await readFinished((await openRun('cut', planned.settings, model, texts)).workspace, out, parseCutRecord)
    : await runToChoice(planned.settings, model, texts, undefined, finish, chooseWidths(planned)).catch((error) =>
        blameWeights(model, error),
      );
  return { out, record, seconds: (performance.now() - started) / 1000 };
}

/** @throws UnsupportedError E_UNSUPPORTED_CUT where the loss that is differentiated is not one of a text */
function requireTextForTaylor({ settings: { importance } }: Cut, { calibration }: PreparedTexts): void {
  if (importance !== 'taylor' || 'windows' in calibration!.content) return;
  throw new UnsupportedError(
    'E_UNSUPPORTED_CUT',
    '--importance taylor: gradients are those of the loss of text, and --calibration has questions about images. Give a text, or use obs, wanda-sp or flap.',
    { importance },
  );
}

/** @throws UnsupportedError E_UNSUPPORTED_CUT */
async function refuseQuantised({ checkpoint, config }: Model): Promise<void> {
  if (!(await hasScales(checkpoint))) return;
  throw new UnsupportedError(
    'E_UNSUPPORTED_CUT',
    `${checkpoint.dir} is quantised (${SCALES_FILE}), and what a repair fits would leave its grid. Cut the dense checkpoint, and quantise the result.`,
    { file: SCALES_FILE, family: config.family },
  );
}

async function finishCut({ settings, halves, remove }: Cut, run: Run, texts: PreparedTexts): Promise<CutRecord> {
  const { workspace, executor, choice, engine, model, reference } = run;
  const { onProgress } = settings;
  const keep = new Map(Object.entries(choice.request.plan.units).map(([name, { keep }]) => [name, keep!]));
  const gains = await gainsOf(executor, choice, texts, onProgress);
  await executor.blocks.restore(choice.request, describeCandidate(choice.candidate));
  onProgress({ kind: 'stage', stage: 'writing' });
  const widths = widthsAfter(model, halves, keep);
  const final = await assemble(run, keep, widths, settings.equal);
  const narrow = readAs(await openModel(final, undefined, model.trunk), model);
  const context = { engine, model, workspace, reference };
  const dense = await scoreDepth(context, texts, 'dense', undefined, onProgress);
  const { perplexities, evaluations, compared } = await scoreDepth(context, texts, 'cut', narrow, onProgress);
  const loss = (evaluations.validation ?? evaluations.test)?.loss;
  const { uniform } = choice;
  const record: CutRecord = {
    format: 'layerwise-cut',
    version: 1,
    tool: { version: VERSION, device: settings.device },
    command: commandOf(settings),
    source: { ...describeModel(model, run.hashes), ...(model.trunk ? { trunk: model.trunk } : {}) },
    seed: settings.seed,
    texts: { ...recordsOf(texts), calibration: texts.calibration!.record },
    ...{ units: settings.units, equal: settings.equal, multiple: settings.multiple },
    ...(settings.spare.length > 0 ? { spare: [...settings.spare] } : {}),
    ...{ importance: settings.importance, repair: settings.repair, allocation: settings.allocation },
    hyperparameters: { ...choice.candidate.values },
    ...(choice.candidate.target ? { target: sharesOf(choice.candidate.target) } : {}),
    parameters: {
      before: model.parameters,
      target: Math.round(model.parameters - remove),
      after: narrow.parameters,
      step: smallestSteps(halves, settings.equal).step,
    },
    widths: { before: listed(model.config.widths), after: listed(widths) },
    errors: [...choice.trial.errors],
    ...(loss === undefined ? {} : { loss }),
    dense: dense.perplexities,
    uniform:
      uniform && !choice.isUniform && texts.validation
        ? { validation: uniform.trial.validation.perplexity, test: null }
        : null,
    cut: perplexities,
    ...(loss === 'cross-entropy' ? { images: { dense: dense.evaluations, cut: evaluations } } : {}),
    trials: choice.entries.map(({ trial: { seconds: _, ...trial } }) => trial),
    ...(gains ? { gains } : {}),
    ...(await fidelityOf(context, compared, { model: narrow, settings })),
    loads: loadsWhere(narrow.config, model.trunk).map(({ form, loads }) => `${form}: ${loads}`),
  };
  return await finishMaking(workspace, record, drawCut);
}

/** A written model for the images and the classes of its source. */
function readAs(narrow: Model, { config: { image, embeds } }: Model): Model {
  const sized = image ? resizeModel(narrow, image.height, image.width) : narrow;
  return { ...sized, config: { ...sized.config, embeds } };
}

/** Writes the narrow checkpoint, in the workspace. */
async function assemble(
  { workspace, executor, choice, model }: Run,
  keep: ReadonlyMap<string, number>,
  widths: readonly Widths[],
  equal: boolean,
): Promise<string> {
  const { checkpoint } = model;
  const dir = executor.blocks.dirOf(choice.digest);
  const edits = new Map<string, TensorEdit>();
  for (const block of model.linears.keys()) {
    const editOf = await openBlockFile(model, blockPath(dir, block));
    for (const [name, edit] of await narrowBlock(model, block, keep, editOf)) edits.set(name, edit);
    // Biases that took a mean over.
    for (const linear of model.linears[block]!) {
      const bias = biasName(linear);
      if (hasBias(checkpoint, linear) && keep.has(linear.name) && !edits.has(bias)) edits.set(bias, editOf(bias));
    }
  }
  const final = workspace.at('final');
  const become = (tensor: TensorInfo): readonly TensorToWrite[] => {
    const edit = edits.get(tensor.name) ?? keepTensor(checkpoint, tensor);
    if (!('remove' in edit)) return [edit];
    throw new InternalError('E_INTERNAL_EDIT', `A cut removed ${tensor.name}; please report this.`);
  };
  await writeMended(model, final, become, (config) => widthsConfig(config, model, widths, equal));
  return final;
}

/** The command that repeats the run. */
function commandOf(settings: CutSettings): string {
  const line = startCommand('cut', settings.checkpoint);
  const { add } = line;
  const { calibration, validation, test, target } = settings;
  add('parameters', settings.parameters);
  add('units', settings.units);
  add('widths', settings.equal ? 'equal' : 'free');
  add('spare', settings.spare.length > 0 ? settings.spare.join(',') : undefined);
  add('multiple', settings.multiple);
  add('importance', settings.importance);
  if (!settings.equal) add('allocation', settings.allocation);
  line.pairs('hyperparameters', settings.values);
  if (settings.repair !== CUT_DEFAULTS.repair) add('repair', settings.repair);
  add('target', target.kind);
  line.pairs('target-shares', target.shares);
  add('calibration', calibration);
  add('calibration-samples', settings.calibrationSamples);
  add('calibration-order', settings.calibrationOrder);
  add('sequence-length', settings.sequenceLength);
  add('window-start', settings.windowStart);
  add('scope', settings.scope);
  add('labels', settings.labels);
  add('classes', settings.classes);
  add('templates', settings.templates);
  add('orientation', settings.orientation);
  add('validation', validation);
  add('test', test);
  add('max-trials', settings.maxTrials === DEFAULTS.maxTrials ? undefined : settings.maxTrials);
  add('judge', settings.judge === DEFAULTS.judge ? undefined : settings.judge);
  add('greedy-tokens', settings.greedyTokens === DEFAULTS.greedyTokens ? undefined : settings.greedyTokens);
  add('seed', settings.seed);
  add('device', settings.device);
  line.place('out', '<dir>');
  return line.text();
}
