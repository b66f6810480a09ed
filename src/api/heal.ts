// Healing: trains what is left of a checkpoint after pruning, quantising or dropping blocks, so that it does again what the
// dense model does, and writes it with layerwise.json and report.html. Zeros stay zeros, and weights on a grid stay on it. The
// stages are in the order of the data flow; a killed run goes on after its last state and ends with the same bytes.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError, OptionError, type Own, shuffled, VERSION, withResources } from '../base/index.js';
import { givenPath, hashCheckpoint } from '../checkpoint/index.js';
import type { Engine } from '../engine/index.js';
import { blameWeights, type Model, openModel } from '../model/index.js';
import { runBlocks } from '../pipeline/index.js';
import { type HealRecord, parseHealRecord } from '../records/index.js';
import {
  checkOutside,
  checkSpace,
  countZeros,
  describeModel,
  fidelityOf,
  nameSource,
  openEngine,
  openReference,
  openRun,
  openSource,
  type PreparedText,
  type PreparedTexts,
  prepareText,
  refuseValue,
  scoreAgainst,
  startCommand,
  type Workspace,
  windowLength,
} from '../runs/index.js';
import { type Activations, embedSamples, type Text, takeEvenly } from '../stream/index.js';
import { loadTokenizer } from '../text/index.js';
import {
  type Curve,
  checkTrained,
  type HalfCurve,
  holdParameters,
  type Match,
  openAll,
  openParameters,
  type Parameters,
  restoreStream,
  type Trained,
  trainLogits,
  trainStream,
} from '../train/index.js';
import { grownBlocks, type Matched, matchBlocks, requireAlike } from './heal-match.js';
import { formatTrain, type HealOptions, type HealSettings, normaliseHeal } from './heal-settings.js';
import { requireAdaptable, writeAdapter, writeHealed } from './heal-write.js';
import { finishMaking, openMaking, readFinished } from './making.js';
import { drawHealing } from './report.js';

export type HealResult = { readonly out: string; readonly record: HealRecord; readonly seconds: number };

/** Validation windows that are scored during training; the finished model is scored on all of them. */
const WATCHED = 64;
/** Scorings during a training of the whole model, and of a half. */
const SCORINGS = { whole: 12, stream: 4 };
const DECAY = 0.01;

/**
 * Heals a checkpoint. Everything is checked before a weight is trained. The output directory appears whole or not at all.
 * `resume` continues an interrupted run.
 * @throws OptionError, CheckpointError, UnsupportedError, ResourceError, NumericError, each with a stable `code`
 */
export async function heal(options: HealOptions): Promise<HealResult> {
  const started = performance.now();
  const settings = normaliseHeal(options);
  const { out, resume, onProgress } = settings;
  const { model, done } = await openMaking(settings);
  const dense = await openSource(settings.dense, onProgress);
  if (!done) for (const one of [model, dense]) await checkOutside(out, one.checkpoint.dir);
  if (settings.adapter) requireAdaptable(model);
  const matched = settings.train.kind === 'new' ? undefined : await matchBlocks(model, dense);
  await requireAlike(model, dense, matched);
  const matches = requireMatches(settings, model, dense, matched);
  const trained = await trainedOf(settings, model);
  await checkTrained(model, trained);
  // The training state is 12 bytes a number, the best state 4, beside the output.
  if (!resume) await checkSpace(out, 2 * model.bytes + 16 * model.parameters);
  const texts = await prepareHealTexts(settings, model);
  const work = { settings, model, dense, matches, trained, texts };
  const record = await run(work, done).catch((error) => blameWeights(model, error));
  return { out, record, seconds: (performance.now() - started) / 1000 };
}

/** The matches where they are needed. @throws OptionError E_OPTION_LOSS */
function requireMatches(
  { stream }: HealSettings,
  model: Model,
  dense: Model,
  matched: Matched | undefined,
): readonly Match[] {
  if (!stream) return [];
  if (matched?.every((match) => match !== undefined)) return matched;
  const message = `--loss: ${givenPath(model.checkpoint)} has ${model.config.blocks} blocks and the dense model ${dense.config.blocks}, and neither a record nor equal norms say which is which, so there is no stream to follow. Use --loss kl.`;
  throw new OptionError('E_OPTION_LOSS', message, { option: 'loss' });
}

async function trainedOf({ train, rank, adapter }: HealSettings, model: Model): Promise<Trained> {
  switch (train.kind) {
    case 'lora':
      return { kind: 'lora', rank, adapter };
    case 'new':
      return { kind: 'new', blocks: await grownBlocks(model) };
    case 'blocks': {
      const { first, last } = train;
      if (last >= model.config.blocks)
        refuseValue('train', `blocks up to ${model.config.blocks - 1}`, formatTrain(train));
      return { kind: 'blocks', blocks: Array.from({ length: last - first + 1 }, (_, i) => first + i) };
    }
    default:
      return { kind: train.kind };
  }
}

type HealTexts = {
  readonly training: PreparedText;
  readonly validation: PreparedText;
  readonly test: PreparedText | undefined;
};

async function prepareHealTexts(settings: HealSettings, model: Model): Promise<HealTexts> {
  const { windowStart: start, seed, onProgress } = settings;
  onProgress({ kind: 'stage', stage: 'reading texts' });
  const length = windowLength(model, settings.sequenceLength);
  const tokenizer = await loadTokenizer(model.checkpoint.dir, onProgress);
  const read = (path: string, role: 'calibration' | 'validation' | 'test'): Promise<PreparedText> =>
    prepareText(model, tokenizer, { path, role, length, order: 'all', start, seed, onProgress });
  const training = await read(settings.text, 'calibration');
  const validation = await read(settings.validation, 'validation');
  const test = settings.test === undefined ? undefined : await read(settings.test, 'test');
  const judged = { validation, test };
  for (const [option, text] of Object.entries(judged)) {
    if (text?.record.hash === training.record.hash) refuseValue(option, 'a text other than --text', text.record.name);
  }
  if (test?.record.hash === validation.record.hash)
    refuseValue('test', 'a text other than --validation', test.record.name);
  return { training: choose(training, settings), validation, test };
}

/** The windows that training reads, in a seeded order: no more than its tokens need. */
function choose({ content: windows, record }: PreparedText, { tokens, seed }: HealSettings): PreparedText {
  const needed = Math.max(1, Math.ceil(tokens / windows.length));
  const taken = shuffled(windows.windows.length, seed).slice(0, needed);
  return {
    content: { ...windows, windows: taken.map((at) => windows.windows[at]!) },
    record: { ...record, windows: taken.length, order: 'random' },
  };
}

type Work = {
  readonly settings: HealSettings;
  readonly model: Model;
  readonly dense: Model;
  readonly matches: readonly Match[];
  readonly trained: Trained;
  readonly texts: HealTexts;
};

async function run(work: Work, done: boolean): Promise<HealRecord> {
  const { settings, model, dense, texts } = work;
  const { onProgress } = settings;
  return await withResources(async (own) => {
    // Create the engine first, so that a missing device leaves no workspace behind.
    const engine = await own(openEngine(model, settings));
    onProgress({ kind: 'stage', stage: 'hashing the dense model' });
    const denseHashes = await hashCheckpoint(dense.checkpoint);
    const prepared: PreparedTexts = { ...texts, calibration: texts.training };
    const { text: _, dense: __, ...identity } = settings;
    const { hashes, workspace } = await openRun('heal', identity, model, prepared, { dense: denseHashes });
    await own(workspace);
    if (done) return await readFinished(workspace, settings.out, parseHealRecord);
    const { parameters, stream, whole } = await trainStages(own, work, engine, workspace);
    onProgress({ kind: 'stage', stage: 'writing' });
    const final = workspace.at('final');
    if (settings.adapter) {
      // What PEFT computes, W + s·BA, as a checkpoint to score.
      await writeHealed(model, parameters, workspace.at('merged'), 'F32');
      await writeAdapter(model, parameters, settings.rank, final);
    } else await writeHealed(model, parameters, final);
    const healed = await openModel(settings.adapter ? workspace.at('merged') : final);
    const scores = await scoreAll(own, work, engine, workspace, healed);
    const zerosOf = async (of: Model): Promise<number> =>
      (await countZeros(of)).reduce((sum, { zeros }) => sum + zeros, 0);
    const record: HealRecord = {
      format: 'layerwise-heal',
      version: 1,
      tool: { version: VERSION, device: settings.device },
      command: commandOf(settings),
      source: describeModel(model, hashes),
      dense: { ...nameSource(dense), blocks: dense.config.blocks, hashes: denseHashes },
      seed: settings.seed,
      texts: {
        training: texts.training.record,
        validation: texts.validation.record,
        test: texts.test?.record ?? null,
      },
      train: formatTrain(settings.train),
      adapter: settings.adapter,
      trained: { tensors: parameters.tensors.flat().length, numbers: await countNumbers(parameters) },
      rate: settings.whole ? settings.rates.whole : settings.rates.stream,
      tokens: settings.tokens,
      batch: settings.batch,
      stream,
      whole,
      zeros: {
        weights: model.prunable,
        before: await zerosOf(model),
        // An adapter leaves the weights as they are.
        after: await zerosOf(settings.adapter ? model : healed),
      },
      scores,
    };
    return await finishMaking(workspace, record, drawHealing);
  });
}

async function countNumbers({ tensors, open }: Parameters): Promise<number> {
  let count = 0;
  for (const block of tensors.keys()) {
    for (const { variables } of await open(block)) for (const { values } of variables) count += values.length;
  }
  return count;
}

type Stages = {
  /** As they are at the end. */
  readonly parameters: Parameters;
  readonly stream: HealRecord['stream'];
  readonly whole: HealRecord['whole'];
};

async function trainStages(own: Own, work: Work, engine: Engine, workspace: Workspace): Promise<Stages> {
  const { settings, model, dense, matches, trained, texts } = work;
  const { seed, onProgress } = settings;
  let parameters = await openParameters(model, trained, seed);
  const training = await embedSamples(own, engine, model, texts.training.content);
  const validation = await takeEvenly(own, await embedSamples(own, engine, model, texts.validation.content), WATCHED);
  const { length } = training.content;
  const perChunk = training.embedded.chunks[0]! * length;
  const perStep = Math.max(1, Math.round(settings.batch / perChunk));
  const steps = Math.max(1, Math.round(settings.tokens / (perStep * perChunk)));
  const common = { engine, model, training, validation, perStep, seed, onProgress };
  const folder = async (name: string): Promise<string> => {
    const path = workspace.at(name);
    await mkdir(path, { recursive: true }).catch((error) => {
      throw fileError(error, path);
    });
    return path;
  };
  const loop = { steps, decay: DECAY, onProgress };
  let stream: readonly HalfCurve[] | null = null;
  if (settings.stream) {
    const path = await folder('stream');
    const { stream: rate } = settings.rates;
    stream = await trainStream({
      ...{ ...common, dense, matches, parameters },
      settings: { ...loop, path, rate, scorings: SCORINGS.stream },
    });
    noteEnds(
      stream.map((curve) => ({ ...curve, what: `block ${curve.block}, ${curve.half}` })),
      onProgress,
    );
    parameters = restoreStream(parameters, model, length, path);
  }
  if (settings.whole === undefined) return { parameters, stream: stream?.map(plain) ?? null, whole: null };
  const path = join(await folder('whole'), 'model');
  const reference =
    settings.whole === 'kl' ? await referenceOf(own, engine, dense, training, validation, settings) : undefined;
  const all = await openAll(parameters);
  const curve = await trainLogits({
    ...common,
    parameters: all,
    loss: settings.whole,
    reference,
    settings: { ...loop, path, rate: settings.rates.whole, scorings: SCORINGS.whole },
  });
  noteEnds([{ ...curve, what: 'the whole model' }], onProgress);
  return {
    parameters: holdParameters(all),
    stream: stream?.map(plain) ?? null,
    whole: { loss: settings.whole, ...plain(curve) },
  };
}

/** A curve with arrays of its own. */
const plain = <C extends Curve>(curve: C) => ({
  ...curve,
  training: [...curve.training],
  validation: [...curve.validation],
});

function noteEnds(
  curves: readonly (Curve & { readonly what: string })[],
  onProgress: HealSettings['onProgress'],
): void {
  const unchanged = curves.filter(({ best }) => best.step === 0).map(({ what }) => what);
  if (unchanged.length === 0) return;
  onProgress({
    kind: 'note',
    text: `Training did not lower the validation loss of ${unchanged.join('; ')}: kept as before. More --tokens or another --rate may help.`,
  });
}

/** The dense model's last residuals on both texts. */
async function referenceOf(
  own: Own,
  engine: Engine,
  dense: Model,
  training: Text,
  validation: Text,
  { onProgress }: HealSettings,
): Promise<{ readonly training: Activations; readonly validation: Activations }> {
  const pass = async (text: Text, name: string): Promise<Activations> => {
    onProgress({ kind: 'stage', stage: `dense model on ${name} text`, total: dense.config.blocks });
    return await own(runBlocks(engine, dense, text, onProgress));
  };
  return { training: await pass(training, 'training'), validation: await pass(validation, 'validation') };
}

/** Perplexities and distances from the dense model, of the dense model, the checkpoint and what became of it. */
async function scoreAll(
  own: Own,
  { settings, model, dense, texts }: Work,
  engine: Engine,
  workspace: Workspace,
  healed: Model,
): Promise<HealRecord['scores']> {
  const { onProgress } = settings;
  const on = async (text: 'validation' | 'test', prepared: PreparedText) => {
    const given: PreparedTexts = { calibration: undefined, validation: undefined, test: undefined, [text]: prepared };
    // Texts are written once, for the text that counts.
    const greedyTokens = text === 'test' || texts.test === undefined ? settings.greedyTokens : 0;
    const local: Workspace = { ...workspace, step: (name, make) => workspace.step(`${text}-${name}`, make) };
    const reference = openReference(own, { ...settings, greedyTokens, engine, model: dense, workspace: local }, given);
    const context = { engine, model: dense, workspace: local, reference };
    const score = (name: string, edited: Model | undefined) =>
      scoreAgainst(context, edited, undefined, { name, losses: true, onProgress });
    const [first, start, last] = [
      await score('dense', undefined),
      await score('start', model),
      await score('healed', healed),
    ];
    const written = settings.adapter ? undefined : { model: healed, settings };
    return {
      perplexity: [first, start, last].map(({ evaluation }) => evaluation!.perplexity),
      start: (await fidelityOf(context, start.compared)).fidelity!,
      healed: (await fidelityOf(context, last.compared, written)).fidelity!,
    };
  };
  const validation = await on('validation', texts.validation);
  const test = texts.test && (await on('test', texts.test));
  const perplexityOf = (i: number) => ({ validation: validation.perplexity[i]!, test: test?.perplexity[i] ?? null });
  const fidelity = (name: 'start' | 'healed') => ({ validation: validation[name], test: test?.[name] ?? null });
  return {
    dense: { perplexity: perplexityOf(0), fidelity: null },
    start: { perplexity: perplexityOf(1), fidelity: fidelity('start') },
    healed: { perplexity: perplexityOf(2), fidelity: fidelity('healed') },
  };
}

/** The command that repeats the run. */
function commandOf(settings: HealSettings): string {
  const line = startCommand('heal', settings.checkpoint);
  const { add } = line;
  add('dense', settings.dense);
  add('text', settings.text);
  add('validation', settings.validation);
  add('test', settings.test);
  add('train', formatTrain(settings.train));
  if (!(settings.stream && settings.whole)) add('loss', settings.whole ?? 'stream');
  add('tokens', settings.tokens);
  if (settings.rates.stream === settings.rates.whole) add('rate', settings.rates.whole);
  add('batch', settings.batch);
  if (settings.train.kind === 'lora') add('rank', settings.rank);
  line.flag('adapter', settings.adapter);
  add('sequence-length', settings.sequenceLength);
  add('window-start', settings.windowStart);
  add('greedy-tokens', settings.greedyTokens === 64 ? undefined : settings.greedyTokens);
  add('seed', settings.seed);
  add('device', settings.device);
  line.place('out', '<dir>');
  return line.text();
}
