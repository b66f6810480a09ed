// The trials of an unlearning: each steers one block towards one goal, and is scored on validation windows. First the layers, with
// the published β; then the other β at the layer that was best. The best trial is the one with the highest loss on the forget
// text among those whose loss on the retain text rose by no more than the tolerance; where none kept to it, the one that rose least.

import { createRng, type OnProgress, type Own, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { scoreSamples } from '../evaluate/index.js';
import { blockGraphs, type Model } from '../model/index.js';
import type { UnlearnTrial } from '../records/index.js';
import type { Workspace } from '../runs/index.js';
import { type Activations, embedSamples, passBlock, sameShape, type Text } from '../stream/index.js';
import {
  type Curve,
  openSessions,
  type Parameter,
  passHalves,
  STEERED,
  type SteerTexts,
  steeringParameters,
  trainSteering,
  weightsOf,
} from '../train/index.js';
import type { UnlearnSettings } from './unlearn-settings.js';
import type { UnlearnTexts } from './unlearn-texts.js';

/** The published β, and the others of its search. */
const BETA = 5;
const BETAS = [2, 3, 10] as const;
/** Where blocks are tried, as shares of the depth. */
const DEPTHS = [0.25, 0.5, 0.75] as const;
/** Scorings of the steering loss during a trial. */
const SCORINGS = 10;

export type Trials = {
  readonly engine: Engine;
  readonly model: Model;
  readonly settings: UnlearnSettings;
  readonly texts: UnlearnTexts;
  readonly workspace: Workspace;
};

export type Chosen = {
  readonly trial: UnlearnTrial;
  readonly within: boolean;
  readonly trials: readonly UnlearnTrial[];
  readonly before: { readonly forget: number; readonly retain: number };
};

/** Blocks to try in a model of `blocks` blocks. */
export function layersToTry(blocks: number): readonly number[] {
  const found = DEPTHS.map((share) => Math.max(STEERED - 1, Math.round(share * (blocks - 1))));
  return [...new Set(found)];
}

/** Runs the trials that are needed and chooses one. */
export async function chooseSteering(all: Trials): Promise<Chosen> {
  const { settings, model, workspace } = all;
  const { layer, beta, method, tolerance, onProgress } = settings;
  const before = await workspace.step('before', () => scoreBefore(all));
  const trials: UnlearnTrial[] = [];
  const layers = layer === undefined ? layersToTry(model.config.blocks) : [layer];
  const adaptive = method === 'adaptive-rmu';
  const most = layers.length + (adaptive && beta === undefined ? BETAS.length : 0);
  const attempt = async (l: number, b: number | null): Promise<void> => {
    if (most > 1) {
      const what = b === null ? `block ${l}` : `block ${l}, β ${b}`;
      onProgress({ kind: 'note', text: `Trial ${trials.length + 1} of ${most}: ${what}.` });
    }
    trials.push(await workspace.step(`trial-${nameOf(l, b)}`, () => runTrial(all, l, b)));
  };
  for (const l of layers) await attempt(l, adaptive ? (beta ?? BETA) : null);
  if (adaptive && beta === undefined) {
    const { layer: best } = bestOf(trials, before, tolerance).trial;
    for (const b of BETAS) await attempt(best, b);
  }
  return { ...bestOf(trials, before, tolerance), trials, before };
}

const nameOf = (layer: number, beta: number | null): string => `${layer}${beta === null ? '' : `-${beta}`}`;

function bestOf(
  trials: readonly UnlearnTrial[],
  before: Chosen['before'],
  tolerance: number,
): Pick<Chosen, 'trial' | 'within'> {
  const kept = trials.filter(({ retain }) => retain <= before.retain + tolerance);
  if (kept.length > 0) return { trial: kept.reduce((a, b) => (b.forget > a.forget ? b : a)), within: true };
  return { trial: trials.reduce((a, b) => (b.retain < a.retain ? b : a)), within: false };
}

/** Trains the chosen trial, or finds it as it was trained. */
export async function trainChosen(
  all: Trials,
  { layer, beta }: UnlearnTrial,
): Promise<{ readonly parameters: readonly Parameter[]; readonly curve: Curve }> {
  return await withResources(async (own) => {
    const { parameters, curve } = await steer(own, all, layer, beta);
    return { parameters, curve };
  });
}

async function scoreBefore({ engine, model, texts, settings }: Trials): Promise<Chosen['before']> {
  const scoreOf = (name: 'forget' | 'retain'): Promise<number> =>
    withResources(async (own) => {
      settings.onProgress({ kind: 'stage', stage: `dense model, ${name} text`, total: model.config.blocks });
      const text = await embedSamples(own, engine, model, texts[name].parts.validation);
      const stream = await passDense(own, { engine, model }, text, 0, model.config.blocks, settings.onProgress);
      return meanOf(await scoreSamples(engine, model, stream, text.content));
    });
  return { forget: await scoreOf('forget'), retain: await scoreOf('retain') };
}

const meanOf = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** The residual of a stream, `from.embedded`, passed through blocks first … end − 1 of the checkpoint. */
async function passDense(
  own: Own,
  { engine, model }: { readonly engine: Engine; readonly model: Model },
  { embedded }: Pick<Text, 'embedded'>,
  first: number,
  end: number,
  onProgress?: OnProgress,
): Promise<Activations> {
  const store = await own(sameShape(embedded));
  let from = embedded;
  for (let block = first; block < end; block++) {
    await passBlock(engine, model, block, [[from, store]]);
    from = store;
    onProgress?.({ kind: 'advance', detail: `block ${block + 1} of ${model.config.blocks}` });
  }
  return from;
}

type Steered = {
  readonly parameters: readonly Parameter[];
  readonly curve: Curve;
  readonly coefficient: number;
  readonly length: number;
  readonly validation: SteerTexts;
};

async function steer(own: Own, all: Trials, layer: number, beta: number | null): Promise<Steered> {
  const { engine, model, settings, texts, workspace } = all;
  const { seed, alpha, steps, rate, batch, onProgress, official } = settings;
  const streams = async (name: 'forget' | 'retain', part: 'training' | 'validation') => {
    const text = await embedSamples(own, engine, model, texts[name].parts[part]);
    const before = await passDense(own, all, text, 0, layer - STEERED + 1);
    const after = await passDense(own, all, { embedded: before }, layer - STEERED + 1, layer + 1);
    return { before, after };
  };
  const on = async (part: 'training' | 'validation') => ({
    forget: await streams('forget', part),
    retain: await streams('retain', part),
  });
  onProgress({ kind: 'stage', stage: `the residual after block ${layer}` });
  const [training, validation] = [await on('training'), await on('validation')];
  const length = await meanLength(training.forget.after);
  const coefficient = beta === null ? settings.coefficient : beta * length;
  const direction = drawDirection(model.config.hidden, seed, official);
  const { before } = training.forget;
  const perStep = Math.max(1, Math.round(batch / (before.chunks[0]! * before.length)));
  const parameters = await steeringParameters(model, layer);
  const curve = await trainSteering({
    ...{ engine, model, layer, alpha, parameters, training, validation, perStep, seed, onProgress },
    goal: direction.map((value) => value * coefficient),
    settings: {
      ...{ steps, rate, decay: 0, scorings: SCORINGS, onProgress },
      path: workspace.at('trials', nameOf(layer, beta)),
    },
  });
  return { parameters, curve, coefficient, length, validation };
}

async function runTrial(all: Trials, layer: number, beta: number | null): Promise<UnlearnTrial> {
  const { engine, model, texts } = all;
  return await withResources(async (own) => {
    const { parameters, curve, coefficient, length, validation } = await steer(own, all, layer, beta);
    const sessions = openSessions(own, engine);
    const weights = weightsOf(model, parameters);
    const scoreOf = async (name: 'forget' | 'retain'): Promise<number> => {
      const { before } = validation[name];
      const steered = await own(sameShape(before));
      const blocks = Array.from({ length: STEERED }, (_, i) => layer - STEERED + 1 + i);
      const halves = blocks.map((block) => blockGraphs(model, block, before.length).whole);
      await passHalves(engine, sessions, halves, weights, [before, steered]);
      const last = await passDense(own, all, { embedded: steered }, layer + 1, model.config.blocks);
      return meanOf(await scoreSamples(engine, model, last, texts[name].parts.validation));
    };
    const [forget, retain] = [await scoreOf('forget'), await scoreOf('retain')];
    const { validation: scored, best } = curve;
    return { layer, beta, coefficient, length, forget, retain, start: scored[0]!.loss, kept: best.loss };
  });
}

/** The mean length of a residual's tokens, without the first of each window. */
async function meanLength({ chunks, length, width, read }: Activations): Promise<number> {
  let [sum, count] = [0, 0];
  for (const chunk of chunks.keys()) {
    const data = await read(chunk);
    for (let t = 0; t * width < data.length; t++) {
      if (t % length === 0) continue;
      let square = 0;
      for (let j = t * width; j < (t + 1) * width; j++) square += data[j]! ** 2;
      sum += Math.sqrt(square);
      count++;
    }
  }
  return sum / count;
}

/** A direction of length 1: of a Gaussian, all directions are alike; of U(0, 1) as published, all numbers are positive. */
export function drawDirection(width: number, seed: number, official: boolean): Float32Array {
  const rng = createRng(seed);
  const gaussian = (): number => Math.sqrt(-2 * Math.log(1 - rng.uniform())) * Math.cos(2 * Math.PI * rng.uniform());
  const drawn = Float64Array.from({ length: width }, () => (official ? rng.uniform() : gaussian()));
  const length = Math.sqrt(drawn.reduce((total, value) => total + value ** 2, 0));
  return Float32Array.from(drawn, (value) => value / length);
}
