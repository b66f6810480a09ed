// Growth: writes a checkpoint with more blocks than its source, and layerwise.json, whose `grown` names the new ones. The stages
// are in the order of the data flow. An interrupted run continues after the last finished stage. Nothing is trained.

import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError, UnsupportedError, VERSION, withResources } from '../base/index.js';
import { createGemm } from '../linalg/index.js';
import { blameWeights, type Model, mendingOf, openModel, readModelConfig, reorderConfig } from '../model/index.js';
import { type Growing, growTensors, type Predictions, predictLinears, requireGrowable } from '../pipeline/index.js';
import { findGrowMethod, type GrowMethod, type GrownBlock, growBlocks, newBlocks, parseWhere } from '../plan/index.js';
import { type GrowRecord, parseGrowRecord } from '../records/index.js';
import {
  fidelityOf,
  nameSource,
  normaliseGreedy,
  normaliseRun,
  normaliseWindowing,
  openEngine,
  openReference,
  openRun,
  type PreparedTexts,
  prepareTexts,
  type RunOptions,
  type RunSettings,
  type TextSettings,
  type WindowingOptions,
  type Workspace,
} from '../runs/index.js';
import type { Windows } from '../text/index.js';
import { scoreDepth } from './depth-scores.js';
import { checkRoom, finishMaking, openMaking, readFinished } from './making.js';
import { writeMended } from './write-mended.js';

export type GrowOptions = RunOptions &
  Pick<WindowingOptions, 'sequenceLength' | 'windowStart'> & {
    /** Directory of a Hugging Face checkpoint, a .gguf file, or its name on the Hub. */
    readonly checkpoint: string;
    /** Directory to write; must not exist. */
    readonly out: string;
    /** Number of blocks to add. */
    readonly blocks: number;
    /** `lesa`, `average`, `copy`, `solar` or `llama-pro`. */
    readonly method: string;
    /** Blocks after which new ones come, as `3,5,8` or `15..30`; of `solar`, the run that is repeated. Defaults to the method's. */
    readonly where?: string;
    /** Text files, or names of data sets. Scored with the dense and the deeper model; they choose nothing. */
    readonly validation?: string;
    readonly test?: string;
    /** Tokens of each greedy text whose first divergence from the dense model's is measured; 0 measures none. Defaults to 64. */
    readonly greedyTokens?: number;
    /** Continue a run that was interrupted. Defaults to false. */
    readonly resume?: boolean;
  };

export type GrowResult = { readonly out: string; readonly record: GrowRecord; readonly seconds: number };

type GrowSettings = RunSettings &
  TextSettings & {
    readonly checkpoint: string;
    readonly out: string;
    readonly blocks: number;
    readonly method: GrowMethod;
    readonly where: readonly number[] | undefined;
    readonly greedyTokens: number;
    readonly resume: boolean;
  };

/**
 * Adds blocks to a checkpoint. Everything is checked before a weight is read; the output directory appears whole or not at
 * all; an interrupted run continues with `resume`.
 * @throws OptionError, CheckpointError, UnsupportedError, ResourceError, NumericError, each with a stable `code`
 */
export async function grow(options: GrowOptions): Promise<GrowResult> {
  const started = performance.now();
  const settings: GrowSettings = {
    ...normaliseRun(options),
    checkpoint: options.checkpoint,
    out: options.out,
    blocks: options.blocks,
    method: findGrowMethod(options.method),
    where: options.where === undefined ? undefined : parseWhere(options.where),
    calibration: undefined,
    validation: options.validation,
    test: options.test,
    ...normaliseWindowing(options),
    greedyTokens: normaliseGreedy(options.greedyTokens),
    resume: options.resume ?? false,
  };
  const { out, method } = settings;
  const opened = await openMaking(settings);
  const { model, done } = opened;
  const grown = growBlocks(model.config.blocks, settings.blocks, method, settings.where);
  const growing: Growing = { model, method, grown };
  await requireGrowable(growing);
  const config = await growConfig(model, grown);
  await checkRoom(settings, opened, Math.ceil((model.bytes * grown.length) / model.config.blocks));
  const texts = await prepareTexts(settings, model);
  const record = done
    ? await readFinished((await openRun('grow', settings, model, texts)).workspace, out, parseGrowRecord)
    : await run(settings, growing, config, texts).catch((error) => blameWeights(model, error));
  return { out, record, seconds: (performance.now() - started) / 1000 };
}

/**
 * The text of config.json for the deeper model.
 * @throws UnsupportedError E_UNSUPPORTED_GROW where it cannot say what each block is (windows, experts)
 */
async function growConfig({ checkpoint, config }: Model, grown: readonly GrownBlock[]): Promise<string> {
  const path = join(checkpoint.dir, 'config.json');
  const text = await readFile(path, 'utf8').catch((error) => {
    throw fileError(error, path);
  });
  const order = grown.map(({ source }) => source);
  const made = reorderConfig(text, () => order, mendingOf(checkpoint.config));
  const { windows, mixtures, widths, blocks } = readModelConfig(JSON.parse(made));
  const [expected, got] = [
    {
      blocks: order.length,
      windows: order.map((b) => config.windows[b]),
      mixtures: order.map((b) => config.mixtures[b]),
      widths: order.map((b) => config.widths[b]),
    },
    { blocks, windows, mixtures, widths },
  ].map((one) => JSON.stringify(one, (_, value) => value ?? null));
  if (expected === got) return made;
  throw new UnsupportedError(
    'E_UNSUPPORTED_GROW',
    `${path}: its rule for which blocks have windows or experts counts blocks, and does not hold for the deeper model. Write the list (layer_types) into config.json, or choose another --where.`,
    { file: path, family: config.family },
  );
}

async function run(
  settings: GrowSettings,
  growing: Growing,
  config: string,
  texts: PreparedTexts<Windows>,
): Promise<GrowRecord> {
  const { model, grown, method } = growing;
  return await withResources(async (own) => {
    // Create the engine first, so that a missing device leaves no workspace behind.
    const engine = await own(openEngine(model, settings));
    const { hashes, workspace } = await openRun('grow', settings, model, texts);
    await own(workspace);
    const { onProgress } = settings;
    const reference = openReference(own, { ...settings, engine, model, workspace }, texts);
    const context = { engine, model, workspace, reference };
    const { perplexities: dense } = await scoreDepth(context, texts, 'dense', undefined, onProgress);
    let predictions: Predictions | undefined;
    if (method.name === 'lesa') {
      const dir = workspace.at('predicted');
      await mkdir(dir, { recursive: true });
      const gemm = await own(createGemm(engine));
      predictions = await predictLinears(growing, gemm, dir, workspace.step, onProgress);
    }
    onProgress({ kind: 'stage', stage: 'writing' });
    const final = await assemble(growing, config, predictions, workspace);
    const deeper = await openModel(final);
    const { perplexities, compared } = await scoreDepth(context, texts, 'deeper', deeper, onProgress);
    const record: GrowRecord = {
      format: 'layerwise-grow',
      version: 1,
      tool: { version: VERSION, device: settings.device },
      source: { ...nameSource(model), hashes },
      seed: settings.seed,
      texts: { validation: texts.validation?.record ?? null, test: texts.test?.record ?? null },
      method: method.name,
      grown: [...newBlocks(grown)],
      of: grown.flatMap(({ of }) => (of ? [[...of]] : [])),
      blocks: { before: model.config.blocks, after: deeper.config.blocks },
      parameters: { before: model.parameters, after: deeper.parameters },
      ...(predictions ? { heldOut: [...predictions.heldOut] } : {}),
      dense,
      deeper: perplexities,
      ...(await fidelityOf(context, compared, { model: deeper, settings })),
    };
    return await finishMaking(workspace, record);
  });
}

/** Writes the deeper checkpoint, in the workspace. */
async function assemble(
  growing: Growing,
  config: string,
  predictions: Predictions | undefined,
  workspace: Workspace,
): Promise<string> {
  const final = workspace.at('final');
  await writeMended(growing.model, final, growTensors(growing, predictions), () => config);
  return final;
}
