// Checks that a checkpoint is the model that its config.json describes: every tensor is there, once, in its shape and in a
// dtype we compute with, and no block has tensors that the model would not use. Where the two disagree, we decide as
// transformers does, and a note says so.

import { CheckpointError, UnsupportedError } from '../base/portable.js';
import { type Checkpoint, findQuantised, givenPath, readTensorRange, type TensorInfo } from '../checkpoint/index.js';
import { bytesPerElement, type DType, elementCount, toFloat32 } from '../tensor/index.js';
import type { ModelConfig } from './config.js';
import { deadTensors, isBuffer, modelTensors, storedPair, type TensorNames } from './tensor-names.js';

/** Bytes of two tensors that are compared at a time. */
const SLAB_ELEMENTS = 1 << 21;
/** Most names that a note lists. */
const MAX_NAMES = 3;

/** The config corrected by the tensors, and notes for the user about the differences. */
export type Settled = { readonly config: ModelConfig; readonly notes: readonly string[] };

/**
 * Decides whether the head is tied to the embeddings. Where config.json says so and both are stored, transformers 5 ties
 * them if they hold the same numbers; if not, it warns and uses the stored head. (transformers 4 always ties them.)
 */
export async function settleTie(stated: ModelConfig, checkpoint: Checkpoint): Promise<Settled> {
  const pair = storedPair(stated, (name) => checkpoint.tensors.has(name));
  if (!pair || (await holdSameNumbers(checkpoint, ...pair))) return { config: stated, notes: [] };
  const [embedding, head] = pair;
  const note = `config.json says that the head is tied to the embeddings (tie_word_embeddings), but ${head} is stored with other numbers than ${embedding}. The stored head is used, as transformers 5 does; transformers 4 uses the embeddings. Write "tie_word_embeddings": false into config.json to settle it.`;
  return { config: { ...stated, tied: false }, notes: [note] };
}

/** Compares as torch.equal does: −0 equals 0, and NaN does not equal itself. */
async function holdSameNumbers(checkpoint: Checkpoint, ...pair: readonly [string, string]): Promise<boolean> {
  const [a, b] = pair.map((name) => checkpoint.tensors.get(name)!) as [TensorInfo, TensorInfo];
  if (a.shape.join() !== b.shape.join() || !COMPUTABLE.includes(a.dtype) || !COMPUTABLE.includes(b.dtype)) return false;
  const count = elementCount(a.shape);
  const read = async ({ name, dtype }: TensorInfo, from: number, to: number): Promise<Float32Array> => {
    const size = bytesPerElement(dtype);
    return toFloat32(await readTensorRange(checkpoint, name, from * size, (to - from) * size), dtype);
  };
  for (let from = 0; from < count; from += SLAB_ELEMENTS) {
    const to = Math.min(from + SLAB_ELEMENTS, count);
    const [x, y] = [await read(a, from, to), await read(b, from, to)];
    for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return false;
  }
  return true;
}

const COMPUTABLE: readonly DType[] = ['F32', 'F16', 'BF16'];

/**
 * Checks that every tensor the model needs is there, with its shape and a dtype we compute with, and that no block has
 * a weight or bias that the model would not use.
 * @throws CheckpointError E_CHECKPOINT_MISSING, E_CHECKPOINT_SHAPE, E_CHECKPOINT_DTYPE, E_CHECKPOINT_UNEXPECTED
 */
export function checkTensors(config: ModelConfig, tensorNames: TensorNames, checkpoint: Checkpoint): void {
  const expected = modelTensors(config, tensorNames);
  refuseQuantised(checkpoint);
  refuseTwins(config, checkpoint);
  for (const [name, shape] of expected) {
    const info = checkpoint.tensors.get(name);
    if (!info) {
      throw new CheckpointError(
        'E_CHECKPOINT_MISSING',
        `${givenPath(checkpoint)}: tensor ${name} is missing; config.json (${config.family}, ${config.blocks} blocks) requires it.${name === tensorNames.head ? untied(tensorNames) : ''}`,
        { tensor: name },
      );
    }
    if (info.shape.join() !== shape.join()) {
      throw new CheckpointError(
        'E_CHECKPOINT_SHAPE',
        `${givenPath(checkpoint)}: tensor ${name} has shape [${info.shape}]; config.json requires [${shape}].`,
        { tensor: name, expected: shape, got: info.shape },
      );
    }
    if (!COMPUTABLE.includes(info.dtype)) {
      throw new CheckpointError(
        'E_CHECKPOINT_DTYPE',
        `${givenPath(checkpoint)}: tensor ${name} has dtype ${info.dtype}; expected one of ${COMPUTABLE.join(', ')}. Start from an unquantised checkpoint.`,
        { tensor: name, got: info.dtype },
      );
    }
  }
  const dead = deadTensors(config, tensorNames);
  for (const name of checkpoint.tensors.keys()) {
    if (
      !name.startsWith(tensorNames.blocks) ||
      expected.has(name) ||
      dead.has(name) ||
      isBuffer(config, tensorNames, name)
    )
      continue;
    throw new CheckpointError(
      'E_CHECKPOINT_UNEXPECTED',
      `${givenPath(checkpoint)}: tensor ${name} is not part of a ${config.family} block as config.json describes it, so the model would compute something else. Check config.json.`,
      { tensor: name },
    );
  }
}

const untied = ({ embedding }: TensorNames): string =>
  ` By config.json the head is not tied to the embeddings. If the model ties them, write "tie_word_embeddings": true into config.json; then ${embedding} is both.`;

/** @throws UnsupportedError E_UNSUPPORTED_QUANTISED, even where config.json does not mention quantisation */
function refuseQuantised({ dir, tensors }: Checkpoint): void {
  const found = findQuantised(tensors.keys());
  if (!found) return;
  const { tensor, method } = found;
  const message = `${dir}: tensor ${tensor} belongs to quantised weights (${method}), which cannot be pruned. Start from the F32, F16 or BF16 checkpoint that it was made from.`;
  throw new UnsupportedError('E_UNSUPPORTED_QUANTISED', message, { tensor, method });
}

/** A tensor stored under two of the names that a family has for it; nothing says which one is meant. */
function refuseTwins({ family, names: own }: ModelConfig, checkpoint: Checkpoint): void {
  const { bases, embedding, head } = own;
  for (const names of [bases.map((base) => `${base}${embedding}.weight`), head.map((name) => `${name}.weight`)]) {
    const stored = names.filter((name) => checkpoint.tensors.has(name));
    if (stored.length < 2) continue;
    throw new CheckpointError(
      'E_CHECKPOINT_UNEXPECTED',
      `${givenPath(checkpoint)}: tensors ${stored.join(' and ')} are both stored, but a ${family} model has only one of them. Export the checkpoint again with the right one.`,
      { tensors: stored },
    );
  }
}

/**
 * A note about tensors that the model does not use. A language model that is one part of a checkpoint has such tensors by
 * design.
 */
export function noteUnused(config: ModelConfig, tensorNames: TensorNames, checkpoint: Checkpoint): readonly string[] {
  const { within, names } = config;
  if (within !== undefined) return [];
  const used = modelTensors(config, tensorNames);
  const twin = tiedTwin(config, checkpoint);
  const unused = [...checkpoint.tensors.keys()].filter(
    (name) =>
      !used.has(name) &&
      name !== twin &&
      !name.startsWith(tensorNames.blocks) &&
      !names.buffers.some((end) => `.${name}`.endsWith(end)),
  );
  if (unused.length === 0) return [];
  const some = unused.slice(0, MAX_NAMES).join(', ');
  const which = unused.length > MAX_NAMES ? `${some} and ${unused.length - MAX_NAMES} more` : some;
  return [`Not used, as in transformers, because a ${config.family} text model does not have them: ${which}.`];
}

/** The stored head where it repeats the embedding. */
export const tiedTwin = (config: ModelConfig, checkpoint: Checkpoint): string | undefined =>
  storedPair(config, (name) => checkpoint.tensors.has(name))?.[1];
