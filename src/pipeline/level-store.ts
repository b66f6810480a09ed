// A database of treated linears: every linear at every treatment that a search may give it, made once by the run's operator
// from the inputs of the dense model, as EvoPress does. A candidate is stitched from it and scored in one forward pass; graphs
// read the files in place. A block is one safetensors file: its untreated tensors under their own names, and each linear
// once for each treatment, as `<name>@<digest of the treatment>`. Files appear whole or not at all, so a killed run continues
// with the first block that is missing. What is measured of a block's inputs (Gram matrices) is held for one block at a time.

import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  digestOf,
  fileError,
  InternalError,
  LayerwiseError,
  type OnProgress,
  silent,
  withResources,
} from '../base/index.js';
import {
  readSafetensors,
  readTensor,
  type TensorInfo,
  type TensorToWrite,
  writeSafetensors,
} from '../checkpoint/index.js';
import type { Engine } from '../engine/index.js';
import { createGemm } from '../linalg/index.js';
import { type BlockSource, blockTensorNames, inPlace, type Model, unitOf, weightName } from '../model/index.js';
import type { Operator } from '../operators/index.js';
import { treatmentOf } from '../plan/index.js';
import type { Plan, Treatment } from '../records/index.js';
import { countOf, passBlock, type Samples, sameShape } from '../stream/index.js';
import { blockPath } from './block-file.js';
import type { DensePass } from './dense.js';
import { editLinear } from './edit-linear.js';
import { scoreBlocks } from './sequential.js';
import { type BlockEvidence, measureEvidence, prepareSites } from './treat.js';

/** The treatments of each linear, by its unit's id. */
export type Levels = ReadonlyMap<string, readonly Treatment[]>;

/** The treatments that occur in `plans`, which are in whole weights. */
export function levelsIn(model: Model, plans: readonly Plan[]): Levels {
  return new Map(
    model.linears.flat().map((linear) => {
      const unit = unitOf(linear);
      const distinct = new Map<string, Treatment>();
      for (const plan of plans) {
        const treatment = treatmentOf(plan, unit);
        if (treatment) distinct.set(digestOf(treatment), treatment);
      }
      return [unit.id, [...distinct.values()]];
    }),
  );
}

export type LevelStoreInput = {
  readonly engine: Engine;
  readonly model: Model;
  readonly operator: Operator;
  readonly levels: Levels;
  readonly calibration: Samples | undefined;
  /** Its square sums are used where the operator needs no other measure. */
  readonly dense: Pick<DensePass, 'squareSums'> | undefined;
  /** Where the files go. */
  readonly dir: string;
  readonly onProgress: OnProgress;
};

/** Treats every linear at every level that `dir` does not hold yet. */
export async function fillLevels(input: LevelStoreInput): Promise<void> {
  const { engine, model, operator, levels, calibration, dense, dir, onProgress } = input;
  const { blocks } = model.config;
  await mkdir(dir, { recursive: true }).catch((error) => {
    throw fileError(error, dir);
  });
  const missing: number[] = [];
  for (let block = 0; block < blocks; block++) {
    if (!(await isWhole(blockPath(dir, block), storedNames(model, block, levels)))) missing.push(block);
  }
  if (missing.length === 0) return;
  onProgress({ kind: 'stage', stage: 'linears at all levels', total: blocks });
  const needs = (name: Operator['needs'][number]): boolean => operator.needs.includes(name);
  const known = dense && dense.squareSums.length > 0 ? dense.squareSums : undefined;
  // With square sums from the dense pass there is nothing to measure.
  const walks = needs('gram') || needs('columnSums') || (needs('squareSums') && !known);
  await withResources(async (own) => {
    const gemm = needs('gram') ? await own(createGemm(engine)) : undefined;
    const text = walks ? calibration : undefined;
    const seen = text && (await own(sameShape(text.embedded)));
    for (let block = 0; block < blocks; block++) {
      const inputs = block === 0 ? text?.embedded : seen;
      if (missing.includes(block)) {
        const sums = known?.[block];
        const measured = inputs
          ? await measureEvidence(engine, model, operator, block, inputs, calibration, sums)
          : { squareSums: sums, sequences: calibration ? countOf(calibration.content) : 0 };
        await fillBlock(input, block, measured, gemm);
      }
      if (inputs && missing.some((later) => later > block)) await passBlock(engine, model, block, [[inputs, seen!]]);
      onProgress({ kind: 'advance', detail: `block ${block + 1} of ${blocks}` });
    }
  });
}

async function fillBlock(
  { model, operator, levels, dir }: LevelStoreInput,
  block: number,
  evidence: BlockEvidence,
  gemm: Awaited<ReturnType<typeof createGemm>> | undefined,
): Promise<void> {
  const { checkpoint } = model;
  const prepared = await prepareSites(model, operator, block, evidence, gemm);
  const tensors: TensorToWrite[] = untreated(model, block).map((name) => {
    const { dtype, shape } = checkpoint.tensors.get(name)!;
    return { name, dtype, shape, read: () => readTensor(checkpoint, name) };
  });
  for (const linear of model.linears[block]!) {
    for (const treatment of levels.get(unitOf(linear).id) ?? []) {
      // Weights on a grid are dequantised weights too, so a score needs no scales.
      const { weights } = editLinear(model, linear, prepared.get(linear.site)!, treatment);
      tensors.push({ ...weights, name: nameAt(weights.name, treatment) });
    }
  }
  await writeSafetensors(blockPath(dir, block), tensors, { format: 'pt' });
}

export type LevelStore = {
  /** Mean negative log-likelihood of each window of `text`, with the blocks of `plan` stitched from the database. */
  score(plan: Plan, text: Samples): Promise<number[]>;
};

/** The database that `fillLevels` made in `dir`. */
export async function openLevels(engine: Engine, model: Model, dir: string): Promise<LevelStore> {
  const files: ReadonlyMap<string, TensorInfo>[] = [];
  for (let block = 0; block < model.config.blocks; block++) {
    files.push((await readSafetensors(blockPath(dir, block))).tensors);
  }
  return {
    score: (plan, text) =>
      scoreBlocks(engine, model, text, silent, (block, use) => use(stitch(model, block, plan, dir, files[block]!))),
  };
}

/** A block of `plan`; a linear that the plan leaves alone is the checkpoint's and cannot be stitched. */
function stitch(
  model: Model,
  block: number,
  plan: Plan,
  dir: string,
  tensors: ReadonlyMap<string, TensorInfo>,
): BlockSource {
  const names = new Map(
    model.linears[block]!.map((linear) => {
      const treatment = treatmentOf(plan, unitOf(linear));
      return [weightName(linear), treatment ? nameAt(weightName(linear), treatment) : weightName(linear)];
    }),
  );
  const path = blockPath(dir, block);
  return {
    folder: dirname(path),
    find: (name) => {
      const stored = names.get(name) ?? name;
      const tensor = tensors.get(stored);
      if (tensor) return { ...inPlace(tensor), name };
      const message = `${path}: expected the tensor ${stored}, got none; please report this.`;
      throw new InternalError('E_INTERNAL_LEVELS', message, { file: path, tensor: stored });
    },
  };
}

const nameAt = (name: string, treatment: Treatment): string => `${name}@${digestOf(treatment)}`;

/** The bytes of the database on the disk, but for its headers. */
export function levelBytes(model: Model, levels: Levels): number {
  const bytesOf = (name: string): number => model.checkpoint.tensors.get(name)!.length;
  const perBlock = [...model.linears.entries()].map(([block, linears]) => {
    const others = untreated(model, block).map(bytesOf);
    const treated = linears.map((linear) => bytesOf(weightName(linear)) * (levels.get(unitOf(linear).id) ?? []).length);
    return [...others, ...treated].reduce((a, b) => a + b, 0);
  });
  return perBlock.reduce((a, b) => a + b, 0);
}

/** The tensors of a block that no treatment changes. */
function untreated(model: Model, block: number): readonly string[] {
  const linears = new Set(model.linears[block]!.map(weightName));
  return blockTensorNames(model, block).filter((name) => !linears.has(name));
}

/** The names of all tensors of a block's file. */
const storedNames = (model: Model, block: number, levels: Levels): readonly string[] => [
  ...untreated(model, block),
  ...model.linears[block]!.flatMap((linear) =>
    (levels.get(unitOf(linear).id) ?? []).map((treatment) => nameAt(weightName(linear), treatment)),
  ),
];

/** Whether `path` is a whole file with all tensors of `names`. */
async function isWhole(path: string, names: readonly string[]): Promise<boolean> {
  try {
    const { tensors } = await readSafetensors(path);
    return names.every((name) => tensors.has(name));
  } catch (error) {
    if (error instanceof LayerwiseError && error.code.startsWith('E_CHECKPOINT')) return false;
    throw error;
  }
}
