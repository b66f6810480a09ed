// Runs trials in this process, one at a time. Texts, embeddings, the dense pass and samples do not depend on the plan; they
// are prepared once. Outcomes are stored as steps of the workspace, treated blocks as files in it until they are discarded.

import { rm } from 'node:fs/promises';
import { digestOf, InternalError, type OnProgress, type Own } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import type { Model } from '../model/index.js';
import { findOperator, type Operator, standInOf } from '../operators/index.js';
import {
  blockPath,
  type DensePass,
  errorsAlone,
  fillLevels,
  isWholeBlock,
  type LevelStore,
  levelsIn,
  measureMisalignment,
  openLevels,
  pruneSequentially,
  type RemoteCalibration,
  runBlockFiles,
  scoreBlockFiles,
  scoreSurrogate,
  tapBlock,
} from '../pipeline/index.js';
import type { SquareSums } from '../profile/index.js';
import type { Plan } from '../records/index.js';
import { type Activations, type Samples, takeEvenly } from '../stream/index.js';
import { ALIGNMENT_WINDOWS, JUDGED_CALIBRATION_WINDOWS, SURROGATE_WINDOWS } from './samples.js';
import { type Digest, type Executor, requestDigest, type TrialOutcome, type TrialRequest } from './trial.js';
import type { Workspace } from './workspace.js';

export type ExecutorContext = {
  readonly engine: Engine;
  readonly model: Model;
  readonly workspace: Workspace;
  readonly calibration: Samples | undefined;
  readonly validation: Samples | undefined;
  readonly dense: DensePass | undefined;
  /** An operator of the run's own, which requests name too. */
  readonly operator?: Operator | undefined;
  /** Takes the statistics of an exact trial elsewhere. */
  readonly remote?: ((operator: Operator, request: TrialRequest, label: string) => RemoteCalibration) | undefined;
  readonly onProgress: OnProgress;
};

/** Treated blocks of exact trials, on disk. */
export interface BlockStore {
  dirOf(trial: Digest): string;
  /** Makes missing or broken blocks of a finished trial again: a power cut may have destroyed them. */
  restore(request: TrialRequest, label: string): Promise<void>;
  discard(trial: Digest): Promise<void>;
}

/** The database of linears at all levels, on disk. */
export interface LevelDatabase {
  /** Estimates that are stitched use the treatments in `plans`. They are made at the first such estimate, not before. */
  open(operator: Operator, plans: readonly Plan[]): void;
  /** Removes the database. */
  discard(): Promise<void>;
}

export type LocalExecutor = Executor & {
  readonly blocks: BlockStore;
  readonly levels: LevelDatabase;
  /** The losses of a finished trial, or of the dense model, on a sample of the calibration windows, which there must be. */
  scoreCalibration(request: TrialRequest | undefined, label: string): Promise<readonly number[]>;
  /** The error that each block of a finished trial makes by itself; empty without validation text. */
  errorsAlone(request: TrialRequest): Promise<readonly number[]>;
};

/** An executor that lives as long as the scope `own`. */
export function createLocalExecutor(own: Own, context: ExecutorContext): LocalExecutor {
  const { engine, model, workspace, calibration, validation, dense, onProgress } = context;
  const { blocks } = model.config;
  let firstSquareSums: SquareSums | undefined;
  // Each estimate has a sample of its own: without calibration text both are of the validation text.
  const surrogateTexts = new Map<number, Promise<Samples>>();
  let alignmentText: Promise<Samples> | undefined;
  const dirOf = (trial: Digest): string => workspace.at('trials', trial);
  const announce = (label: string): void => onProgress({ kind: 'stage', stage: `trial: ${label}`, total: blocks });
  const sequenceOf = ({ plan, operator, target, prefix }: TrialRequest, dir: string) => ({
    ...{
      engine,
      model,
      operator: operator === context.operator?.name ? context.operator : findOperator(operator),
      plan,
      target,
      prefix,
      calibration,
      dir,
      onProgress,
    },
  });
  /** Statistics of block 0, the same for all plans. */
  const firstOf = async ({ needs }: Operator): Promise<SquareSums | undefined> => {
    if (!needs.includes('squareSums') || needs.includes('gram')) return undefined;
    firstSquareSums ??=
      dense?.squareSums[0] ??
      (await tapBlock(engine, model, 0, calibration!.embedded, 'taps', undefined, calibration!.padding));
    return firstSquareSums;
  };
  let judgedText: Promise<Samples> | undefined;
  let reference: Promise<Activations> | undefined;
  const onCalibration = async (dir: string | undefined, label: string): Promise<readonly number[]> => {
    judgedText ??= takeEvenly(own, calibration!, JUDGED_CALIBRATION_WINDOWS);
    const text = await judgedText;
    onProgress({ kind: 'stage', stage: `calibration text: ${label}`, total: blocks });
    return await scoreBlockFiles(engine, model, dir, text, onProgress);
  };
  /** The dense model's residual on the validation windows: one pass, kept in memory or in a scratch file. */
  const denseResidual = (): Promise<Activations> => {
    reference ??= (async () => {
      onProgress({ kind: 'stage', stage: 'dense, for its divergence', total: blocks });
      return await own(runBlockFiles(engine, model, undefined, validation!, onProgress));
    })();
    return reference;
  };
  type Scores = Pick<TrialOutcome, 'losses' | 'calibrationLosses' | 'divergences' | 'errors'>;
  const exact = async (request: TrialRequest, label: string): Promise<Scores> => {
    const input = sequenceOf(request, dirOf(requestDigest(request)));
    const remote = input.operator.needs.length > 0 ? context.remote?.(input.operator, request, label) : undefined;
    const known = remote ? undefined : await firstOf(input.operator);
    const compared = request.judge === 'divergence' ? await denseResidual() : undefined;
    announce(label);
    const trace = dense?.trace;
    const more = { validation, trace, firstSquareSums: known, reference: compared, remote };
    const { nll, divergences, errors } = await pruneSequentially({ ...input, ...more });
    if (request.judge !== 'both') return { losses: nll, ...(divergences ? { divergences } : {}), errors };
    return { losses: nll, calibrationLosses: await onCalibration(input.dir, label), errors };
  };
  let database: { readonly dir: string; store(): Promise<LevelStore> } | undefined;
  const surrogate = async (request: TrialRequest): Promise<Scores> => {
    const input = sequenceOf(request, dirOf(`surrogate-${requestDigest(request)}`));
    const count = request.windows ?? SURROGATE_WINDOWS;
    const sample = surrogateTexts.get(count) ?? takeEvenly(own, validation!, count);
    surrogateTexts.set(count, sample);
    const text = await sample;
    if (request.stitched) {
      if (!database) throw new InternalError('E_INTERNAL_LEVELS', 'A plan was to be stitched without a database.');
      const store = await database.store();
      return { losses: await store.score(request.plan, text), errors: [] };
    }
    const operator = standInOf(input.operator);
    return { losses: await scoreSurrogate({ ...input, operator }, dense!, text), errors: [] };
  };
  const misalignment = async (request: TrialRequest): Promise<Scores> => {
    const input = sequenceOf(request, dirOf(`alignment-${requestDigest(request)}`));
    alignmentText ??= takeEvenly(own, (calibration ?? validation)!, ALIGNMENT_WINDOWS);
    const text = await alignmentText;
    return { losses: [await measureMisalignment(input, text)], errors: [] };
  };
  const restore = async (request: TrialRequest, label: string): Promise<void> => {
    const dir = dirOf(requestDigest(request));
    for (let block = 0; block < blocks; block++) {
      if (await isWholeBlock(model, block, blockPath(dir, block))) continue;
      announce(label);
      const alone = { validation: undefined, trace: undefined, firstSquareSums };
      await pruneSequentially({ ...sequenceOf(request, dir), ...alone });
      return;
    }
  };
  return {
    slots: 1,
    run: async (request, { label }) => {
      const digest = requestDigest(request);
      return await workspace.step(`trial-${digest}`, async () => {
        const started = performance.now();
        const scores =
          request.loss === 'misalignment'
            ? await misalignment(request)
            : request.fidelity === 'surrogate'
              ? await surrogate(request)
              : await exact(request, label);
        const seconds = (performance.now() - started) / 1000;
        return { request: digest, engine: `${engine.name} ${engine.device}`, ...scores, seconds };
      });
    },
    blocks: {
      dirOf,
      discard: (trial) => rm(dirOf(trial), { recursive: true, force: true }),
      restore,
    },
    levels: {
      open: (operator, plans) => {
        const dir = workspace.at('levels', digestOf({ operator: operator.name, plans }));
        let opened: Promise<LevelStore> | undefined;
        const make = async (): Promise<LevelStore> => {
          const levels = levelsIn(model, plans);
          await fillLevels({ engine, model, operator, levels, calibration, dense, dir, onProgress });
          return await openLevels(engine, model, dir);
        };
        const store = (): Promise<LevelStore> => {
          opened ??= make();
          return opened;
        };
        database = { dir, store };
      },
      discard: async () => {
        if (database) await rm(database.dir, { recursive: true, force: true });
        database = undefined;
      },
    },
    scoreCalibration: async (request, label) => {
      const trial = request && requestDigest(request);
      return await workspace.step(`calibration-${trial ?? 'dense'}`, async () => {
        if (request) await restore(request, label);
        return await onCalibration(trial && dirOf(trial), label);
      });
    },
    errorsAlone: async (request) => {
      const trial = requestDigest(request);
      const trace = dense?.trace;
      if (!trace) return [];
      return await workspace.step(`alone-${trial}`, () => errorsAlone(engine, model, trace, validation!, dirOf(trial)));
    },
  };
}
