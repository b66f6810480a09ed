// One model in many forms (plain rounding, GPTQ, stream targets, mixed widths, zeros, GGUF), each made by the command that
// users would run, scored on the same windows against the dense model, and run for its speed. A form is a cell, and each cell
// is a record, so an interrupted run continues. What was made for a cell is removed once it is scored; only packed files stay
// until the speeds are measured, in turns, at the end.

import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { LayerwiseError, type OnProgress, silent, VERSION, withResources, writeFileAtomic } from '../base/index.js';
import { openDecoder, readPackedModel } from '../decoder/index.js';
import { planGguf } from '../formats/index.js';
import { blameWeights, type Model } from '../model/index.js';
import { openPacked } from '../packed/index.js';
import { type Evaluation, type Frontier, type FrontierForm, readContender, standForms } from '../records/index.js';
import {
  checkOut,
  checkOutside,
  checkSpace,
  describeModel,
  nameSource,
  normaliseGreedy,
  normaliseRun,
  normaliseWindowing,
  openRun,
  openSource,
  type PreparedTexts,
  prepareTexts,
  type RunOptions,
  recordsOf,
  refuseMissing,
  type Shares,
  type WindowingOptions,
  type Workspace,
  wholeNumber,
} from '../runs/index.js';
import { frontierTable, markdownTable } from '../words/index.js';
import { describeContender } from './bench.js';
import { evaluate } from './evaluate.js';
import { type Contender, findContenders, needsText } from './frontier-contenders.js';
import { type FormSettings, type MadeForm, makeForm, packedPath, scoring } from './frontier-forms.js';
import { DECODE_CONTEXT, measureSpeeds } from './measure-speed.js';
import { drawFrontier } from './report.js';

export type FrontierOptions = Omit<RunOptions, 'device'> &
  WindowingOptions & {
    /** Directory of a Hugging Face checkpoint, a .gguf file, or its name on the Hub: `org/name`, `org/name@revision`. */
    readonly checkpoint: string;
    /** Directory to write; must not exist. */
    readonly out: string;
    /** The text that every form is scored on: a text file, or `c4`, `wikitext2`, `ptb`. It chooses nothing. */
    readonly text: string;
    /** Needed by all forms but plain rounding and GGUF. */
    readonly calibration?: string;
    /** Chooses the shares of stream targets and the mixed plans; without it they have their defaults. */
    readonly validation?: string;
    /** Names of forms. Defaults to all. */
    readonly contenders?: readonly string[];
    /** The shares α and γ of stream targets; searched on validation text where absent, else ½. */
    readonly targetShares?: Partial<Shares>;
    /** Exact trials of each mixed plan. Defaults to 6. */
    readonly maxTrials?: number;
    /** Tokens of each greedy text whose first divergence from the dense model's is measured; 0 measures none. Defaults to 64. */
    readonly greedyTokens?: number;
    /** Tokens to decode per turn. Defaults to 32. */
    readonly tokens?: number;
    /** Turns in which speeds are measured. Defaults to 5. */
    readonly turns?: number;
    /** Continue a run that was interrupted. Defaults to false. */
    readonly resume?: boolean;
  };

export type FrontierResult = {
  readonly out: string;
  readonly frontier: Frontier;
  readonly seconds: number;
};

/**
 * Measures which forms of a model are worth their bytes and their time, and writes `frontier.json`, `frontier.md`,
 * `frontier.svg` and `frontier.html` into a new directory.
 * @throws as `quantise`
 */
export async function frontier(options: FrontierOptions): Promise<FrontierResult> {
  const started = performance.now();
  const settings = normaliseFrontier(options);
  const { out, resume, contenders, onProgress } = settings;
  await checkOut(out, resume);
  const model = await openSource(settings.checkpoint, onProgress);
  await checkOutside(out, model.checkpoint.dir);
  // A checkpoint and its unfinished trials, and every form packed.
  if (!resume) await checkSpace(out, (4 + contenders.length) * model.bytes);
  const refusals = await refusalsOf(model, contenders);
  const texts = await prepareTexts(settings, model);
  return await withResources(async (own) => {
    const { hashes, workspace } = await openRun('frontier', identifying(settings), model, texts);
    await own(workspace);
    for (const part of ['work', 'packed']) await mkdir(workspace.at(part), { recursive: true });
    const dense = await workspace.step(
      'dense',
      async () => (await evaluate(scoring(settings, settings.checkpoint))).text!,
    );
    const cells: Cell[] = [];
    for (const contender of contenders) {
      cells.push(await runCell(contender, model.config.blocks, settings, refusals, workspace));
    }
    const run = contenders.filter((_, i) => cells[i]!.skipped === null && cells[i]!.form.file === 'lw');
    const measured = await workspace.step('speeds', () => measureAll(run, settings, workspace));
    const record = recordOf({ model, hashes, texts, settings, cells, dense, measured });
    await writeOutput(workspace, record);
    await workspace.finish();
    return { out, frontier: record, seconds: (performance.now() - started) / 1000 };
  }).catch((error) => blameWeights(model, error));
}

type FrontierSettings = FormSettings & {
  readonly out: string;
  readonly contenders: readonly Contender[];
  readonly tokens: number;
  readonly turns: number;
  readonly resume: boolean;
};

function normaliseFrontier(options: FrontierOptions): FrontierSettings {
  const { checkpoint, out, text, calibration, validation, targetShares, maxTrials } = options;
  const contenders = findContenders(options.contenders);
  if (text === undefined) refuseMissing('text', 'a text file that every form is scored on');
  const asking = contenders.filter(needsText);
  if (asking.length > 0 && calibration === undefined) {
    const names = asking.map(({ name }) => name).join(', ');
    refuseMissing('calibration', `a text file for ${names}; or leave them out of --contenders`);
  }
  return {
    ...normaliseRun({ ...options, device: 'cpu' }),
    ...normaliseWindowing(options),
    ...{ checkpoint, out, contenders, targetShares, maxTrials, test: text },
    calibration: asking.length > 0 ? calibration : undefined,
    validation,
    greedyTokens: normaliseGreedy(options.greedyTokens),
    tokens: wholeNumber('tokens', options.tokens ?? 32, 1, 1 << 24),
    turns: wholeNumber('turns', options.turns ?? 5, 1, 1 << 24),
    resume: options.resume ?? false,
  };
}

/** The settings as the identity of the run has them. */
const identifying = ({ contenders, ...settings }: FrontierSettings) => ({
  ...settings,
  contenders: contenders.map(({ name }) => name),
});

/** Why some contenders cannot be made of this model; found before any work. */
async function refusalsOf(model: Model, contenders: readonly Contender[]): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const { name, making } of contenders) {
    if (making.by !== 'export') continue;
    const type = making.type.toUpperCase();
    await planGguf(model, nameSource(model).name, undefined, making.type).then(
      ({ tensors, notes }) => {
        // Rows that its blocks do not divide get another type; where all do, it would be that type under a wrong name.
        if (!tensors.some((tensor) => tensor.kind === 'linear' && tensor.type === type)) {
          found.set(name, `No linear can be ${type}. ${notes.find((text) => text.includes('multiple')) ?? ''}`.trim());
        }
      },
      (error) => void found.set(name, reasonOf(error)),
    );
  }
  return found;
}

/** Errors that say that a form does not fit the model; others end the run. */
const REFUSALS = new Set(['E_OPTION_BITS', 'E_OPTION_PATTERN', 'E_OPTION_PLAN']);

/** A refusal in words. @throws every other error */
function reasonOf(error: unknown): string {
  if (!(error instanceof LayerwiseError)) throw error;
  if (!error.code.startsWith('E_UNSUPPORTED') && !REFUSALS.has(error.code)) throw error;
  return error.message;
}

type Cell = { readonly skipped: string } | { readonly skipped: null; readonly form: MadeForm };

async function runCell(
  contender: Contender,
  blocks: number,
  settings: FrontierSettings,
  refusals: ReadonlyMap<string, string>,
  workspace: Workspace,
): Promise<Cell> {
  const { name } = contender;
  const onProgress: OnProgress = (event) =>
    settings.onProgress(event.kind === 'stage' ? { ...event, stage: `${name}: ${event.stage}` } : event);
  const cell = await workspace.step(`cell-${name}`, async (): Promise<Cell> => {
    const reason = refusals.get(name);
    if (reason !== undefined) return { skipped: reason };
    try {
      return { skipped: null, form: await makeForm(contender, blocks, { ...settings, onProgress }, workspace) };
    } catch (error) {
      return { skipped: reasonOf(error) };
    }
  });
  if (cell.skipped !== null) settings.onProgress({ kind: 'note', text: `${name} is skipped. ${cell.skipped}` });
  await rm(workspace.at('work'), { recursive: true, force: true });
  await mkdir(workspace.at('work'));
  return cell;
}

type Measurement = Frontier['speeds'] & { readonly rates: Readonly<Record<string, readonly number[]>> };

/** Turns of one file that are further apart say that something else took the processor. */
const BUSY = 1.5;

/**
 * Tokens a second of every packed file. One model is open at a time, and all take turns, so other load on the machine
 * affects them alike.
 */
async function measureAll(
  made: readonly Contender[],
  { threads, tokens, turns, onProgress }: FrontierSettings,
  workspace: Workspace,
): Promise<Measurement | null> {
  if (made.length === 0) return null;
  const rates = Object.fromEntries(made.map(({ name }) => [name, [] as number[]]));
  onProgress({ kind: 'stage', stage: 'measuring speeds', total: turns * made.length, unit: 'model' });
  for (let turn = 0; turn < turns; turn++) {
    for (const contender of made) {
      rates[contender.name]!.push(await measureOnce(packedPath(workspace, contender), threads, tokens));
      onProgress({ kind: 'advance' });
    }
  }
  const apart = Object.values(rates).map((all) => Math.max(...all) / Math.min(...all));
  const most = Math.max(...apart);
  if (most > BUSY) {
    const text = `Speeds of one file are up to ${most.toFixed(1)} × apart: the machine was busy, so the front of speed says little.`;
    onProgress({ kind: 'note', text });
  }
  return { threads, tokens, turns, rates };
}

/** Tokens a second, after a turn to warm up. */
async function measureOnce(path: string, threads: number, asked: number): Promise<number> {
  const packed = await openPacked(path);
  try {
    const described = await readPackedModel(packed);
    const { maxPositions } = described.config;
    const tokens = Math.min(asked, maxPositions - DECODE_CONTEXT);
    const prompt = Math.min(32, maxPositions);
    const decoder = await openDecoder(packed, { threads, positions: Math.max(prompt, tokens + DECODE_CONTEXT) });
    try {
      const contender = { ...describeContender(packed, described), decoder };
      const { decode } = await measureSpeeds([contender], { tokens, prompt, turns: 1, onProgress: silent });
      return decode[0]!.tokensPerSecond;
    } finally {
      await decoder.close();
    }
  } finally {
    await packed.close();
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

type Found = {
  readonly model: Model;
  readonly hashes: Readonly<Record<string, string>>;
  readonly texts: PreparedTexts;
  readonly settings: FrontierSettings;
  readonly cells: readonly Cell[];
  readonly dense: Evaluation;
  readonly measured: Measurement | null;
};

function recordOf({ model, hashes, texts, settings, cells, dense, measured }: Found): Frontier {
  const { contenders, seed } = settings;
  const speedOf = (name: string): FrontierForm['speed'] => {
    const turns = measured?.rates[name];
    return turns ? { tokensPerSecond: median(turns), turns: [...turns] } : null;
  };
  const made = cells.map((cell, i) =>
    cell.skipped === null ? { ...cell.form, speed: speedOf(contenders[i]!.name) } : undefined,
  );
  const standing = standForms(
    made.filter((form) => form !== undefined),
    dense.nll,
  );
  let next = 0;
  const { rates: _, ...speeds } = measured ?? { rates: {} };
  return {
    format: 'layerwise-frontier',
    version: 1,
    tool: { version: VERSION, device: settings.device },
    source: describeModel(model, hashes),
    texts: { ...recordsOf(texts), test: texts.test!.record },
    seed,
    dense,
    speeds: measured && (speeds as Frontier['speeds']),
    contenders: contenders.map(({ name, kind, what }, i) => ({
      ...{ name, kind, what },
      skipped: cells[i]!.skipped,
      form: made[i] ? standing[next++]! : null,
    })),
  };
}

/** Writes the record, its table in Markdown, the picture and the page. */
async function writeOutput(workspace: Workspace, record: Frontier): Promise<void> {
  const final = workspace.at('final');
  await rm(final, { recursive: true, force: true });
  await mkdir(final);
  const { page, picture } = await drawFrontier(record);
  const rows = frontierTable(record.contenders.map(readContender));
  for (const [ending, text] of [
    ['json', `${JSON.stringify(record, null, 2)}\n`],
    ['md', `${markdownTable(rows)}\n`],
    ['svg', picture],
    ['html', page],
  ] as const) {
    await writeFileAtomic(join(final, `frontier.${ending}`), text);
  }
}
