// Compares many allocations for one checkpoint on equal terms: one engine, one dense pass with all measures that any of them
// needs, the same windows and the same number of trials. A cell is one target and one policy. Each cell is a record, so an
// interrupted comparison continues. The test text is scored once per cell, for the plan that validation chose.

import { mkdir, rm } from 'node:fs/promises';
import { OptionError, VERSION, withResources, writeFileAtomic } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { summarise } from '../evaluate/index.js';
import { blameWeights, type Model } from '../model/index.js';
import { formatPattern } from '../operators/index.js';
import { countBlockZeros, type DensePass, sharesOf } from '../pipeline/index.js';
import { blockRates, findPolicy, POLICIES } from '../plan/index.js';
import { collectable, requireCalibration } from '../profile/index.js';
import {
  type Comparison,
  type ComparisonRow,
  type Evaluation,
  type Measured,
  pairedInterval,
} from '../records/index.js';
import {
  type Choice,
  checkAgainstModel,
  checkOut,
  checkOutside,
  checkSpace,
  choosePlan,
  createRequests,
  describeCandidate,
  describeModel,
  factsOf,
  fidelityOf,
  gainsOf,
  type LocalExecutor,
  measureAt,
  measureOnce,
  nameClasses,
  normaliseGradient,
  normalisePrune,
  openEngine,
  openReference,
  openRun,
  openSource,
  openTrials,
  type PreparedTasks,
  type PreparedTexts,
  type PruneOptions,
  type PruneSettings,
  prepareSamples,
  prepareTasks,
  recordsOf,
  scoreFinal,
  spaceForLevels,
  trialEquivalents,
  type Workspace,
} from '../runs/index.js';
import { inParallel, type Samples, scoringOf } from '../stream/index.js';
import { describeGains, formatLoss } from '../words/index.js';
import { drawComparison } from './report.js';
import { writeWorkers } from './workers-file.js';

export type CompareOptions = Omit<
  PruneOptions,
  'sparsity' | 'allocation' | 'beta' | 'hyperparameters' | 'plan' | 'push' | 'private'
> & {
  /** Target sparsities. */
  readonly sparsities: readonly number[];
  /** Names of policies; `uniform` is always included. Defaults to all but `evo`. */
  readonly allocations?: readonly string[];
  readonly validation: string;
};

export type CompareResult = {
  readonly out: string;
  readonly comparison: Comparison;
  /** Seconds per row, in the order of the rows; 0 for rows of an earlier attempt. */
  readonly rowSeconds: readonly number[];
  readonly seconds: number;
};

type Cell = { readonly settings: PruneSettings; readonly name: string };

/**
 * Compares allocation policies and writes `compare.json` and `compare.html` into a new directory.
 * @throws as `prune`
 */
export async function compare(options: CompareOptions): Promise<CompareResult> {
  const started = performance.now();
  const cells = cellsOf(options);
  const allNeeds = [...new Set(cells.flatMap((cell) => cell.settings.policy.needs))];
  const gradient = normaliseGradient(options, allNeeds, 'allocations');
  // Uniform needs calibration text only if the criterion does; other policies may need it too.
  const { settings } = cells.find((cell) => cell.settings.calibration !== undefined) ?? cells[0]!;
  await checkOut(settings.out, settings.resume);
  const opened = await openSource(settings.checkpoint, settings.onProgress, { images: true, trunk: settings.scope });
  for (const cell of cells) {
    checkAgainstModel(cell.settings, opened);
    requireCalibration(cell.settings.policy, settings.calibration !== undefined);
  }
  await checkOutside(settings.out, opened.checkpoint.dir);
  const model = await nameClasses(opened, settings);
  // One cell's database of levels is there at a time.
  const levels = Math.max(...cells.map((cell) => spaceForLevels(cell.settings, model)));
  if (!settings.resume) await checkSpace(settings.out, 4 * model.bytes + levels);
  const texts = await prepareSamples(settings, model);
  const tasks = await prepareTasks(settings, model);
  return await withResources(async (own) => {
    const engine = await own(openEngine(model, settings));
    const cellNames = cells.map((cell) => cell.name);
    const shared = { ...settings, gradient, sparsity: undefined, policy: undefined, cells: cellNames };
    const { hashes, workspace } = await openRun('compare', shared, model, texts, tasks?.setup);
    await own(workspace);
    const { onProgress } = settings;
    const { hessian } = settings;
    const at = { engine, model, workspace, hashes, onProgress };
    const input = { ...at, texts, hessian, statistics: true, searches: true, measures: collectable(allNeeds) };
    const { calibration, executor, post, ...prepared } = await openTrials(own, settings.queue, input);
    const [validation, dense] = [prepared.validation!, prepared.dense!];
    const beyond = await measureOnce(
      allNeeds,
      { ...settings, gradient },
      { model, engine, workspace, calibration, validation },
    );
    const measured = { ...dense.measured, ...beyond };
    const reference = openReference(own, { ...settings, engine, model, workspace }, texts);
    const context: Context = { ...at, calibration, validation, dense, reference, executor, texts, tasks, measured };
    const denseScores = await scoreFinal(context, tasks, settings, 'dense', undefined);

    const rows: ComparisonRow[] = [];
    const rowSeconds: number[] = [];
    const choices = post ? await chooseSideBySide(cells, context) : new Map<Cell, Choice>();
    for (const cell of cells) {
      const began = performance.now();
      rows.push(await runCell(cell, context, rows, choices.get(cell)));
      rowSeconds.push((performance.now() - began) / 1000);
      settings.onProgress({ kind: 'note', text: describeRow(rows.at(-1)!) });
    }
    const comparison: Comparison = {
      format: 'layerwise-comparison',
      version: 1,
      tool: { version: VERSION, engine: engine.name, device: engine.device },
      source: describeModel(model, hashes),
      texts: { ...recordsOf(texts), validation: texts.validation!.record },
      ...(tasks ? { tasks: tasks.setup } : {}),
      seed: settings.seed,
      ...(gradient === 'exact' ? { gradient } : {}),
      ...(settings.hessian === 'loss' ? { hessian: settings.hessian } : {}),
      ...(settings.calibrationPrefix ? { calibrationPrefix: settings.calibrationPrefix } : {}),
      dense: {
        validation: summarise(dense.nll, scoringOf(validation.content)),
        ...denseScores,
      },
      rows,
    };
    const final = workspace.at('final');
    await rm(final, { recursive: true, force: true });
    await mkdir(final);
    await writeFileAtomic(`${final}/compare.json`, `${JSON.stringify(comparison, null, 2)}\n`);
    await writeFileAtomic(`${final}/compare.html`, await drawComparison(comparison));
    if (post) await writeWorkers(final, await post.tally());
    await workspace.finish();
    return { out: settings.out, comparison, rowSeconds, seconds: (performance.now() - started) / 1000 };
  }).catch((error) => blameWeights(model, error));
}

/** Every target with every policy. uniform and atp come first, because the others are compared with them. */
/** All but those that take hundreds of estimates. */
const BY_DEFAULT = [...POLICIES.values()].filter(({ levels }) => !levels).map(({ name }) => name);

function cellsOf({ sparsities, allocations = BY_DEFAULT, gradient, ...options }: CompareOptions): Cell[] {
  if (sparsities.length === 0) {
    throw new OptionError('E_OPTION_SPARSITY', '--sparsity: expected one or more numbers, such as 0.5,0.7; got none.');
  }
  const names = [...new Set(['uniform', ...(allocations.includes('atp') ? ['atp'] : []), ...allocations])];
  return [...new Set(sparsities)].flatMap((sparsity) =>
    names.map((allocation) => {
      // How gradients are had concerns the policies that allocate by them.
      const how = findPolicy(allocation).needs.includes('gradient') && gradient !== undefined ? { gradient } : {};
      const settings = normalisePrune({ ...options, ...how, sparsity, allocation });
      return { settings, name: `${sparsity}-${allocation}` };
    }),
  );
}

type Context = {
  readonly model: Model;
  readonly engine: Engine;
  readonly workspace: Workspace;
  readonly executor: LocalExecutor;
  readonly hashes: Readonly<Record<string, string>>;
  readonly texts: PreparedTexts;
  readonly tasks: PreparedTasks | undefined;
  readonly calibration: Samples | undefined;
  readonly validation: Samples;
  readonly dense: DensePass;
  readonly reference: ReturnType<typeof openReference>;
  readonly measured: Partial<Measured>;
};

/** The choice of a cell's plan. */
async function chooseCell({ settings }: Cell, context: Context): Promise<Choice> {
  const { model, executor, hashes, texts, validation } = context;
  const target = settings.sparsity!;
  settings.onProgress({ kind: 'stage', stage: `${settings.policy.name} at ${target}` });
  const measured = { ...context.measured, ...(await measureAt(settings, target, context)) };
  const requestOf = createRequests(settings, model, hashes, texts);
  const scoring = scoringOf(validation.content);
  return await choosePlan(settings, model, { executor, requestOf, target, measured, scoring });
}

/**
 * The searches of all cells whose trials are handed out, as many at once as trials may be out. Each asks for what it asks for alone, so
 * its choice is the same. They make no blocks here. A database of levels is one cell's at a time, so those come later.
 */
async function chooseSideBySide(cells: readonly Cell[], context: Context): Promise<ReadonlyMap<Cell, Choice>> {
  const { executor } = context;
  const searched = cells.filter(({ settings }) => !settings.policy.levels);
  const sides = Math.max(1, Math.min(executor.slots, searched.length));
  const shared = { ...context, executor: { ...executor, slots: Math.max(1, Math.floor(executor.slots / sides)) } };
  const choices = await inParallel(sides, searched.length, (at) => chooseCell(searched[at]!, shared));
  return new Map(choices.map((choice, at) => [searched[at]!, choice]));
}

async function runCell(
  cell: Cell,
  context: Context,
  before: readonly ComparisonRow[],
  chosen: Choice | undefined,
): Promise<ComparisonRow> {
  const { settings, name } = cell;
  const { model, workspace, executor, texts, tasks } = context;
  const target = settings.sparsity!;
  return await workspace.step(`cell-${name}`, async () => {
    const choice = chosen ?? (await chooseCell(cell, context));
    const { digest: trial } = choice;
    await executor.blocks.restore(choice.request, describeCandidate(choice.candidate));
    const dir = executor.blocks.dirOf(trial);
    const gains = await gainsOf(executor, choice, texts, settings.onProgress);
    const { compared, ...final } = await scoreFinal(context, tasks, settings, trial, dir);
    const zeros = await countBlockZeros(model, dir);
    // The other policies of this target are compared with uniform's blocks.
    if (!choice.isUniform) await executor.blocks.discard(trial);
    const { validation: score, errors } = choice.trial;
    const row = { validation: score, test: final.test };
    const fixed = choice.isUniform ? 0 : 1;
    return {
      allocation: settings.policy.name,
      criterion: settings.criterion.name,
      pattern: formatPattern(settings.pattern),
      ...(choice.candidate.target ? { target: sharesOf(choice.candidate.target) } : {}),
      hyperparameters: { ...choice.candidate.values },
      rates: blockRates(choice.candidate.plan, factsOf(model)),
      sparsity: { target, realised: zeros / model.prunable },
      validation: score,
      ...final,
      ...(await fidelityOf(context, compared)),
      errors: [...errors],
      ...(gains ? { gains } : {}),
      versusUniform: against(row, before, target, 'uniform'),
      versusAtp: against(row, before, target, 'atp'),
      trials: settings.searches ? choice.entries.filter(({ trial }) => trial.exact).length - 1 : fixed,
      equivalents: trialEquivalents(model, texts, choice, settings),
    };
  });
}

/** The paired interval of a row's perplexity to another policy's at the same target; null for itself or without one. */
function against(
  row: { readonly validation: Evaluation; readonly test: Evaluation | null },
  before: readonly ComparisonRow[],
  target: number,
  allocation: string,
): [number, number] | null {
  const other = before.find((one) => one.allocation === allocation && one.sparsity.target === target);
  if (!other) return null;
  return row.test && other.test
    ? pairedInterval(row.test.nll, other.test.nll)
    : pairedInterval(row.validation.nll, other.validation.nll);
}

function describeRow({ allocation, sparsity, validation, test, tasks, gains }: ComparisonRow): string {
  const scores = [
    `validation ${formatLoss(validation)}`,
    test && `test ${formatLoss(test)}`,
    tasks?.average && `average accuracy ${(100 * tasks.average.value).toFixed(2)} %`,
  ];
  const gained = gains ? `. ${describeGains(gains)}` : '';
  return `${allocation} at ${sparsity.target}: ${scores.filter(Boolean).join(', ')}${gained}`;
}
