// Which dense block each block of a checkpoint was. The record of drop says so; without one, equal numbers of blocks are matched
// one to one, and else by their norms, which pruning and quantising leave as they are. What is trained against the dense model
// must be of its kind: the same names, shapes and numbers of the config, and the same embeddings and head.

import { join } from 'node:path';
import { LayerwiseError, OptionError, readDocument } from '../base/index.js';
import { type Checkpoint, givenPath, readTensorFloat32, readTensorRange } from '../checkpoint/index.js';
import { blockTensors, describeTensors, type Model } from '../model/index.js';
import { bytesPerElement, elementCount, toFloat32 } from '../tensor/index.js';
import type { Match } from '../train/index.js';

/** The blocks of a checkpoint in the dense model; undefined for one that was grown. */
export type Matched = readonly (Match | undefined)[];

/**
 * Matches the blocks of `model` with those of `dense`; undefined where there is no telling.
 * @throws OptionError E_OPTION_DENSE
 */
export async function matchBlocks(model: Model, dense: Model): Promise<Matched | undefined> {
  const [own, of] = [model.config.blocks, dense.config.blocks];
  const removed = own < of ? await removedBlocks(model, dense) : undefined;
  const kept = removed
    ? Array.from({ length: of }, (_, block) => block).filter((block) => !removed.includes(block))
    : own === of
      ? Array.from({ length: of }, (_, block) => block)
      : await matchNorms(model, dense);
  if (!kept) return undefined;
  return kept.map((block, i) => {
    const next = kept[i + 1] ?? of;
    return { dense: block, removed: Array.from({ length: next - block - 1 }, (_, gap) => block + 1 + gap) };
  });
}

/** The blocks that the record of a removal names, if it fits the two models. */
async function removedBlocks(model: Model, dense: Model): Promise<readonly number[] | undefined> {
  const record = await readRecord(model.checkpoint);
  const { removed } = record;
  if (record.format !== 'layerwise-drop' || !Array.isArray(removed)) return undefined;
  const fits = removed.every((block) => Number.isInteger(block) && block >= 0 && block < dense.config.blocks);
  return fits && dense.config.blocks - removed.length === model.config.blocks ? removed : undefined;
}

/** The blocks that the record of a growth says are new. @throws OptionError E_OPTION_TRAIN where there is none */
export async function grownBlocks(model: Model): Promise<readonly number[]> {
  const { grown } = await readRecord(model.checkpoint);
  const { blocks } = model.config;
  if (Array.isArray(grown) && grown.length > 0 && grown.every((b) => Number.isInteger(b) && b >= 0 && b < blocks)) {
    return grown;
  }
  const message = `--train new: ${givenPath(model.checkpoint)} has no record of new blocks; layerwise grow writes one. Use --train "blocks 20..23" instead.`;
  throw new OptionError('E_OPTION_TRAIN', message, { option: 'train', got: 'new' });
}

async function readRecord({ dir }: Checkpoint): Promise<Readonly<Record<string, unknown>>> {
  try {
    const record: unknown = JSON.parse(await readDocument(join(dir, 'layerwise.json')));
    return typeof record === 'object' && record !== null ? (record as Record<string, unknown>) : {};
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    if (error instanceof LayerwiseError && error.code === 'E_RESOURCE_NOT_FOUND') return {};
    throw error;
  }
}

/** The dense block with the same norms as each block, in order; undefined unless there is exactly one way. */
async function matchNorms(model: Model, dense: Model): Promise<readonly number[] | undefined> {
  const [own, of] = [await normsOf(model), await normsOf(dense)];
  const found = own.map((norms) => of.flatMap((other, block) => (norms !== '' && norms === other ? [block] : [])));
  const blocks = found.map(([block]) => block!);
  const clear = found.every((all) => all.length === 1) && blocks.every((b, i) => i === 0 || b > blocks[i - 1]!);
  return clear ? blocks : undefined;
}

async function normsOf({ config, tensorNames, checkpoint }: Model): Promise<readonly string[]> {
  const all: string[] = [];
  for (let block = 0; block < config.blocks; block++) {
    const norms = blockTensors(config, tensorNames, block).filter(({ role }) => /Norm\.(weight|bias)$/.test(role));
    const parts: string[] = [];
    for (const { name } of norms) parts.push((await readTensorFloat32(checkpoint, name)).join());
    all.push(parts.join(';'));
  }
  return all;
}

/** Fields of a config that dropping, growing and cutting change; `windows` and `mixtures` are compared block by block. */
const MAY_DIFFER: ReadonlySet<string> = new Set([
  'blocks',
  'windows',
  'mixtures',
  'tied',
  'widths',
  'stated',
  'uneven',
]);

/**
 * Checks that `dense` can be what `model` was made from.
 * @throws OptionError E_OPTION_DENSE with what differs
 */
export async function requireAlike(model: Model, dense: Model, matched: Matched | undefined): Promise<void> {
  for (const [key, value] of Object.entries(model.config)) {
    if (MAY_DIFFER.has(key)) continue;
    const other = dense.config[key as keyof Model['config']];
    if (JSON.stringify(other) !== JSON.stringify(value)) differs(dense, key, value, other);
  }
  for (const [block, match] of (matched ?? []).entries()) {
    if (!match) continue;
    const [own, other] = [blockFacts(model, block), blockFacts(dense, match.dense)];
    for (const key of ['windows', 'mixtures'] as const) {
      if (JSON.stringify(own[key]) !== JSON.stringify(other[key]))
        differs(dense, `${key} of block ${block}`, own[key], other[key]);
    }
  }
  for (const { name, block } of describeTensors(model.config, model.tensorNames)) {
    if (block !== undefined) continue;
    if (await sameValues(model.checkpoint, dense.checkpoint, name)) continue;
    differs(dense, `tensor ${name}`, 'the values of the checkpoint', 'others');
  }
  if (model.config.blocks === dense.config.blocks) await requireDifferent(model, dense);
}

/** What a block has in common with the one it was made from: all but the number of its experts, which some may have left. */
function blockFacts({ config: { windows, mixtures } }: Model, block: number) {
  const mixture = mixtures[block];
  return { windows: windows[block], mixtures: mixture && { ...mixture, experts: undefined } };
}

/** Looks for the first difference, which is in the first tensor as a rule. */
async function requireDifferent(model: Model, dense: Model): Promise<void> {
  for (const { name, block } of describeTensors(model.config, model.tensorNames)) {
    if (block !== undefined && !(await sameValues(model.checkpoint, dense.checkpoint, name))) return;
  }
  const message = `--dense: ${givenPath(dense.checkpoint)} has the same weights as the checkpoint, so there is nothing to heal. Name the original, and the checkpoint that was made from it.`;
  throw new OptionError('E_OPTION_DENSE', message, { option: 'dense' });
}

function differs(dense: Model, what: string, expected: unknown, got: unknown): never {
  const show = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
  throw new OptionError(
    'E_OPTION_DENSE',
    `--dense: ${givenPath(dense.checkpoint)} is not what the checkpoint was made from: ${what}: expected ${show(expected)}, got ${show(got)}. Name the original.`,
    { option: 'dense', what, expected, got },
  );
}

const SLAB = 4 << 20;

/** Whether two checkpoints hold the same numbers under a name. */
async function sameValues(a: Checkpoint, b: Checkpoint, name: string): Promise<boolean> {
  const [x, y] = [a.tensors.get(name), b.tensors.get(name)];
  if (!x || !y || x.shape.join() !== y.shape.join()) return x === undefined && y === undefined;
  const count = elementCount(x.shape);
  for (let from = 0; from < count; from += SLAB) {
    const length = Math.min(SLAB, count - from);
    const read = async (checkpoint: Checkpoint, { dtype }: typeof x): Promise<Float32Array> => {
      const size = bytesPerElement(dtype);
      return toFloat32(await readTensorRange(checkpoint, name, from * size, length * size), dtype);
    };
    const [left, right] = [await read(a, x), await read(b, y)];
    if (left.some((value, i) => value !== right[i])) return false;
  }
  return true;
}
