// The search behind quantising activations: blocks of layers, greedy and joint clips on calibration windows, and which of the
// joint clips stay. Each part is a step of the run, so a run that was killed goes on after the last.

import { type Own, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { scoreSamples } from '../evaluate/index.js';
import type { Model } from '../model/index.js';
import { clipGrid, fixedLayers, partitionLayers } from '../operators/index.js';
import {
  type ClipLayer,
  type ClipRanges,
  type ClipSearch,
  clipPieces,
  measureDependencies,
  measureRanges,
  type StretchResult,
  searchClips,
  withClips,
} from '../pipeline/index.js';
import type { ActivationsRecord } from '../records/index.js';
import type { Prepared, Workspace } from '../runs/index.js';
import { type Activations, copyStream, embedSamples, passBlock, type Samples, sameShape } from '../stream/index.js';
import type { ActivationsSettings } from './activations-settings.js';
import { runDense } from './dense-model.js';

export type Searching = {
  readonly engine: Engine;
  readonly workspace: Workspace;
  readonly dense: Model;
  /** With quantised weights. */
  readonly rounded: Model;
  readonly calibration: Prepared;
  readonly validation: Prepared;
  readonly settings: ActivationsSettings;
};

export type Searched = Pick<ActivationsRecord, 'threshold' | 'dependencies' | 'stretches' | 'base' | 'together'> & {
  readonly layers: readonly ClipLayer[];
  readonly ranges: ClipRanges | undefined;
  readonly greedy: readonly number[];
  readonly joint: readonly number[];
  readonly chosen: readonly number[];
};

/** Searches the clips of every layer. */
export async function searchActivations(context: Searching): Promise<Searched> {
  const { engine, workspace, dense, rounded, settings } = context;
  const { activationBits: bits, dependency, onProgress } = settings;
  const pieces = clipPieces(rounded);
  const layers = pieces.flatMap((piece) => piece.layers);
  return await withResources(async (own) => {
    const calibration = await embedSamples(own, engine, dense, context.calibration.content);
    const before = { engine, model: rounded, dense, pieces, bits, calibration, onProgress };
    const ranges = await rangesOf(context, { ...before, ranges: undefined });
    const search: ClipSearch = { ...before, ranges };
    const steps = (name: string) => ({
      result: (at: number, make: () => Promise<StretchResult>) => workspace.step(`${name}-${at}`, make),
      number: (at: number, make: () => Promise<number>) => workspace.step(`${name}-${at}`, make),
    });
    const singles = layers.map((_, from) => ({ from, to: from + 1 }));
    onProgress({ kind: 'stage', stage: 'greedy clips', total: layers.length, unit: 'step' });
    const greedy = (await searchClips(search, singles, steps('greedy').result)).flatMap(({ clips }) => clips);
    let dependencies: readonly number[] | null = null;
    let threshold: number | null = null;
    if (dependency !== 'fixed') {
      onProgress({ kind: 'stage', stage: `dependencies: ${dependency}`, total: layers.length - 1, unit: 'step' });
      dependencies = await measureDependencies(dependency, search, steps(dependency).number);
      const mean = dependencies.reduce((a, b) => a + b, 0) / Math.max(1, dependencies.length);
      threshold = settings.threshold ?? mean;
    }
    const spans = dependencies ? partitionLayers(dependencies, threshold!) : fixedLayers(layers.length);
    onProgress({ kind: 'stage', stage: 'joint clips', total: layers.length, unit: 'step' });
    const results = await searchClips(search, spans, steps('joint').result);
    const joint = results.flatMap(({ clips }) => clips);
    const all = spans.map((span, i) => ({ ...span, ...results[i]! }));
    const judging = await embedSamples(own, engine, dense, context.validation.content);
    const kept = await keepJoint(own, context, { layers, ranges, greedy, joint, stretches: all, judging });
    return {
      ...{ layers, ranges, greedy, joint, threshold },
      dependencies: dependencies && [...dependencies],
      ...kept,
    };
  });
}

async function rangesOf(context: Searching, search: ClipSearch): Promise<ClipRanges | undefined> {
  const { workspace, dense, settings } = context;
  if (settings.activationRange === 'token') return undefined;
  settings.onProgress({ kind: 'stage', stage: 'ranges', total: dense.config.blocks });
  const stored = await workspace.step('ranges', async () =>
    (await measureRanges(search)).map((sites) => Object.fromEntries(sites)),
  );
  return stored.map((sites) => new Map(Object.entries(sites)));
}

type Found = {
  readonly layers: readonly ClipLayer[];
  readonly ranges: ClipRanges | undefined;
  readonly greedy: readonly number[];
  readonly joint: readonly number[];
  readonly stretches: readonly (StretchResult & { readonly from: number; readonly to: number })[];
  readonly judging: Samples;
};

/**
 * Begins with greedy clips or none, whichever is better on validation text, and goes from stretch to stretch: the joint clips
 * stay where they lower the model's loss. What a search minimises is its own stretch's output, not the model's loss; and its clips
 * were found behind joint clips of the stretches before, so all of them together are a candidate too.
 */
async function keepJoint(
  own: Own,
  { engine, workspace, rounded, settings }: Searching,
  { layers, ranges, greedy, joint, stretches, judging }: Found,
): Promise<Pick<Searched, 'chosen' | 'stretches' | 'base' | 'together'>> {
  const { activationBits: bits, onProgress } = settings;
  const { blocks } = rounded.config;
  const stream = await own(sameShape(judging.embedded));
  const trial = await own(sameShape(judging.embedded));
  /** The loss with these clips, where `from` is the residual before `block`. */
  const lossFrom = async (from: Activations, block: number, clips: readonly number[]): Promise<number> => {
    const model = withClips(rounded, bits, ranges, clips);
    for (let b = block; b < blocks; b++) await passBlock(engine, model, b, [[b === block ? from : trial, trial]]);
    const nll = await scoreSamples(engine, model, trial, judging.content);
    return nll.reduce((a, b) => a + b, 0) / nll.length;
  };
  onProgress({ kind: 'stage', stage: 'clips kept', total: stretches.length, unit: 'step' });
  const none = layers.map(() => 1);
  const { plain, start, whole } = await workspace.step('kept-base', async () => ({
    plain: await lossFrom(judging.embedded, 0, none),
    start: await lossFrom(judging.embedded, 0, greedy),
    whole: await lossFrom(judging.embedded, 0, joint),
  }));
  const base = start < plain ? 'greedy' : 'minmax';
  let best = Math.min(start, plain);
  let chosen = base === 'greedy' ? [...greedy] : none;
  await copyStream(judging.embedded, stream);
  let block = 0;
  const judged: Searched['stretches'][number][] = [];
  for (const [i, { from, to, clips, loss }] of stretches.entries()) {
    // Blocks before this stretch have their clips.
    const model = withClips(rounded, bits, ranges, chosen);
    for (; block < layers[from]!.block; block++) await passBlock(engine, model, block, [[stream, stream]]);
    const candidate = [...chosen.slice(0, from), ...clips, ...chosen.slice(to)];
    const differs = candidate.some((clip, layer) => clip !== chosen[layer]);
    const validation = differs ? await workspace.step(`kept-${i}`, () => lossFrom(stream, block, candidate)) : null;
    const kept = validation !== null && validation < best;
    if (kept) [best, chosen] = [validation, candidate];
    judged.push({ from, to, clips: [...clips], loss, kept, validation });
    onProgress({ kind: 'advance', detail: `stretch ${i + 1} of ${stretches.length}` });
  }
  const together = whole < best;
  return {
    ...{ base, together, chosen: together ? joint : chosen },
    stretches: together ? judged.map((one) => ({ ...one, kept: true })) : judged,
  };
}

/** The mean loss of each window of a text. */
export async function scoreOn(
  engine: Engine,
  model: Model,
  prepared: Prepared,
  stage: string,
  settings: Pick<ActivationsSettings, 'onProgress'>,
): Promise<number[]> {
  return await withResources(async (own) => {
    const { content } = prepared;
    return await scoreSamples(engine, model, await runDense(own, engine, model, content, stage, settings), content);
  });
}

/** The clips that a search tries. */
export const gridOf = ({ activationBits }: Pick<ActivationsSettings, 'activationBits'>): number[] => [
  ...clipGrid(activationBits),
];
