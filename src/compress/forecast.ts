// What a compression will do, before it does it: how often which tokens pass through a block, and how long that takes, measured
// on one chunk of one block.

import { withResources } from '../base/index.js';
import { blockGraph, linearUnits, type Model } from '../model/index.js';
import { openEngine, type PreparedTexts, type PruneSettings } from '../runs/index.js';
import { chunksOf, countOf, embedSamples, pick, runChunk } from '../stream/index.js';
import { unitsOf } from './costs.js';
import type { CompressSettings } from './settings.js';
import { TABLE_TOKENS } from './table.js';

export type Forecast = {
  readonly units: number;
  readonly treatments: number;
  /** The most exact trials. */
  readonly trials: number;
  readonly seconds: number;
  /** Bytes: a block, and streams of all texts. */
  readonly memory: number;
};

/** A trial that follows the stream passes calibration text through about so many blocks for each block of the model. */
const PASSES = 4.5;
/** A Gram matrix and a solver take about as long as so many passes of the calibration text. */
const SOLVING = 3;

export async function forecast(
  settings: PruneSettings & CompressSettings,
  model: Model,
  { calibration, validation, test }: PreparedTexts,
): Promise<Forecast> {
  const units = unitsOf(linearUnits(model)).length;
  const { items, drops, maxTrials, target } = settings;
  const treatments = items.filter((item) => item !== null);
  const trials = maxTrials + Number(drops) + (target.kind === 'stream' && validation ? 4 : 0) + 1;
  const tokensOf = (text: PreparedTexts['test']): number => (text ? countOf(text.content) * text.content.length : 0);
  const { blocks, hidden } = model.config;
  const table = settings.sensitivities === undefined ? (units * treatments.length * TABLE_TOKENS * blocks) / 2 : 0;
  const trial = (tokensOf(calibration) * (PASSES + SOLVING) + tokensOf(validation)) * blocks;
  const tests = 3 * tokensOf(test) * blocks;
  const perToken = await secondsPerToken(settings, model, calibration!);
  const streams = (3 * tokensOf(calibration) + 2 * tokensOf(validation)) * hidden * 4;
  return {
    ...{ units, treatments: treatments.length, trials },
    seconds: perToken * (table + (validation ? trials : 1) * trial + tests),
    memory: Math.min(streams, 5 * 2 ** 30) + (4 * model.bytes) / blocks,
  };
}

const weightsOf = ({ linears }: Model, block: number): number =>
  linears[block]!.reduce((sum, { rows, columns }) => sum + rows * columns, 0);

/** Seconds of one token in a block of the mean size, with all threads at work. */
async function secondsPerToken(
  settings: PruneSettings,
  model: Model,
  { content }: NonNullable<PreparedTexts['calibration']>,
): Promise<number> {
  return await withResources(async (own) => {
    const engine = await own(openEngine(model, settings));
    const { length } = content;
    const [first = 1] = chunksOf(countOf(content), length);
    const text = await embedSamples(
      own,
      engine,
      model,
      pick(
        content,
        Array.from({ length: first }, (_, at) => at),
      ),
    );
    const session = await own(engine.load(blockGraph(model, 0, { length, outputs: 'hidden' })));
    await runChunk(session, text.embedded, 0);
    const began = performance.now();
    await runChunk(session, text.embedded, 0);
    const seconds = (performance.now() - began) / 1000 / (first * length) / engine.workers;
    return seconds * (model.prunable / model.config.blocks / weightsOf(model, 0));
  });
}
