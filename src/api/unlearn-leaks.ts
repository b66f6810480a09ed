// What brings a suppressed text back, scored on held-out windows:
//   relearn: twenty steps of ordinary training on 64 windows of the forget text, all weights of the blocks
//   ablate:  the direction in which the steered block's output moved on the forget text is projected out of it
//   int4:    weights rounded to four bits, nearest, groups of 32
// A method that erased would lose nothing to any of them; this one does, and the record says how much.

import { withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { type Choices, scoreChoices } from '../evaluate/index.js';
import { blockGraphs, type Model, openModel } from '../model/index.js';
import { runBlocks } from '../pipeline/index.js';
import type { UnlearnRecord } from '../records/index.js';
import type { Workspace } from '../runs/index.js';
import { type Activations, embedSamples, passBlock, sameShape, type Text } from '../stream/index.js';
import { openAll, openParameters, openSessions, passHalves, trainLogits, weightsOf } from '../train/index.js';
import { quantise } from './quantise.js';
import type { UnlearnSettings } from './unlearn-settings.js';
import type { UnlearnText, UnlearnTexts } from './unlearn-texts.js';

type Leak = UnlearnRecord['leaks'][number];
type Scores = Leak['scores'];

const RELEARN = { steps: 20, windows: 64, rate: 3e-4 } as const;
const INT4_GROUP = 32;

export type LeakContext = {
  readonly engine: Engine;
  /** The model as it was, and the suppressed one, with the layer that was steered. */
  readonly dense: Model;
  readonly model: Model;
  readonly layer: number;
  readonly texts: UnlearnTexts;
  readonly workspace: Workspace;
  readonly settings: UnlearnSettings;
};

/** Held-out scores of both texts, by a pass that gives the last residual. */
async function scoreBoth(
  engine: Engine,
  model: Model,
  texts: UnlearnTexts,
  pass: (text: Text) => Promise<Activations>,
): Promise<Scores> {
  const score = ({ parts }: UnlearnText): Promise<Scores['forget']> =>
    withResources(async (own) => {
      const text = await embedSamples(own, engine, model, parts.heldOut);
      const { nll, accuracy, tokens } = await scoreChoices(engine, model, await own(pass(text)), text.content);
      return { nll, accuracy, tokens };
    });
  return { forget: await score(texts.forget), retain: await score(texts.retain) };
}

/** The scores of a checkpoint. */
export async function scoreCheckpoint(
  { engine, texts, settings }: Pick<LeakContext, 'engine' | 'texts' | 'settings'>,
  model: Model,
  stage: string,
): Promise<Scores> {
  const { onProgress } = settings;
  onProgress({ kind: 'stage', stage, total: 2 * model.config.blocks });
  return await scoreBoth(engine, model, texts, (text) => runBlocks(engine, model, text, onProgress));
}

/** Runs all three. Each is a step of the run. */
export async function testLeaks(context: LeakContext, dense: Scores, suppressed: Scores): Promise<readonly Leak[]> {
  const { workspace } = context;
  const leaks: Leak[] = [];
  for (const [name, test] of [
    ['relearn', relearn],
    ['ablate', ablate],
    ['int4', roundToFour],
  ] as const) {
    const scores = await workspace.step(`leak-${name}`, () => test(context));
    const share = (value: (choices: Choices) => number): number | null => {
      const [was, is, back] = [dense, suppressed, scores].map(({ forget }) => value(forget)) as [
        number,
        number,
        number,
      ];
      return is === was ? null : (is - back) / (is - was);
    };
    leaks.push({ name, scores, back: { nll: share(({ nll }) => nll), accuracy: share(({ accuracy }) => accuracy) } });
  }
  return leaks;
}

async function relearn({ engine, model, texts, workspace, settings }: LeakContext): Promise<Scores> {
  const { seed, onProgress } = settings;
  const { parts } = texts.forget;
  return await withResources(async (own) => {
    const windows = { ...parts.training, windows: parts.training.windows.slice(0, RELEARN.windows) };
    const training = await embedSamples(own, engine, model, windows);
    const validation = await embedSamples(own, engine, model, parts.validation);
    const parameters = await openAll(await openParameters(model, { kind: 'kept' }, seed));
    const { steps, rate } = RELEARN;
    onProgress({ kind: 'stage', stage: 'leak: relearning', total: steps, unit: 'step' });
    await trainLogits({
      ...{ engine, model, loss: 'nll', parameters, training, validation, reference: undefined },
      ...{ perStep: 1, seed, onProgress },
      settings: { steps, rate, scorings: 2, decay: 0, path: workspace.at('relearned'), onProgress },
    });
    const sessions = openSessions(own, engine);
    const weights = weightsOf(model, parameters.flat());
    return await scoreBoth(engine, model, texts, async ({ embedded }) => {
      const stream = await sameShape(embedded);
      const blocks = model.linears.map((_, block) => blockGraphs(model, block, embedded.length).whole);
      await passHalves(engine, sessions, blocks, weights, [embedded, stream]);
      return stream;
    });
  });
}

async function ablate(context: LeakContext): Promise<Scores> {
  const { engine, dense, model, layer, texts, settings } = context;
  settings.onProgress({ kind: 'stage', stage: 'leak: ablating a direction' });
  const direction = await withResources(async (own) => {
    const text = await embedSamples(own, engine, model, texts.forget.parts.validation);
    const after = async (of: Model): Promise<Activations> => {
      const store = await own(sameShape(text.embedded));
      for (let block = 0; block <= layer; block++) {
        await passBlock(engine, of, block, [[block === 0 ? text.embedded : store, store]]);
      }
      return store;
    };
    return await meanMove(await after(dense), await after(model));
  });
  return await scoreBoth(engine, model, texts, async ({ embedded }) => {
    const stream = await sameShape(embedded);
    for (let block = 0; block < model.config.blocks; block++) {
      await passBlock(engine, model, block, [[block === 0 ? embedded : stream, stream]]);
      if (block === layer) await projectOut(stream, direction);
    }
    return stream;
  });
}

/** The direction, of length 1, of the mean difference of two residuals, without the first token of each window. */
async function meanMove(from: Activations, to: Activations): Promise<Float64Array> {
  const { chunks, length, width } = from;
  const sum = new Float64Array(width);
  for (const chunk of chunks.keys()) {
    const [a, b] = [await from.read(chunk), await to.read(chunk)];
    for (let i = 0; i < a.length; i++) if (Math.floor(i / width) % length !== 0) sum[i % width]! += b[i]! - a[i]!;
  }
  const size = Math.sqrt(sum.reduce((total, value) => total + value ** 2, 0));
  return size === 0 ? sum : sum.map((value) => value / size);
}

async function projectOut(stream: Activations, direction: Float64Array): Promise<void> {
  const { width } = stream;
  for (const chunk of stream.chunks.keys()) {
    const data = (await stream.read(chunk)).slice();
    for (let at = 0; at < data.length; at += width) {
      let along = 0;
      for (let j = 0; j < width; j++) along += data[at + j]! * direction[j]!;
      for (let j = 0; j < width; j++) data[at + j]! -= along * direction[j]!;
    }
    await stream.write(chunk, data);
  }
}

async function roundToFour(context: LeakContext): Promise<Scores> {
  const { model, workspace, settings } = context;
  const { device, threads, onProgress } = settings;
  const out = workspace.at('int4');
  const options = { checkpoint: model.checkpoint.dir, out, bits: 4, group: INT4_GROUP, method: 'rtn' as const };
  const made = await openModel(out).catch(() => undefined);
  if (!made) await quantise({ ...options, device, threads, onProgress, resume: true });
  return await scoreCheckpoint(context, made ?? (await openModel(out)), 'leak: four bits');
}
