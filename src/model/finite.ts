// Finds weights that are NaN or infinite. Such a weight shows up in any sum that includes it: as a score, a Gram matrix or
// a loss that is not finite. Code that meets such a sum asks here first, so that the error names the weight, not the sum.

import { NumericError } from '../base/index.js';
import { type Checkpoint, readTensorRange } from '../checkpoint/index.js';
import { bytesPerElement, findNonFinite, toFloat32 } from '../tensor/index.js';
import type { ModelConfig } from './config.js';
import { modelTensors, type TensorNames } from './tensor-names.js';

/** The part of a model that says where its weights are. */
export type Stored = {
  readonly checkpoint: Checkpoint;
  readonly config: ModelConfig;
  readonly tensorNames: TensorNames;
};

/** A tensor with NaN or infinite weights: how many, and the first of them, by its position in the stored shape. */
export type BrokenTensor = {
  readonly tensor: string;
  readonly file: string;
  readonly nan: number;
  readonly infinite: number;
  readonly position: readonly number[];
  readonly value: number;
};

/** Bytes read at a time. */
const SLAB_BYTES = 32 << 20;

/** @throws CheckpointError, ResourceError from reading */
export async function findBroken(checkpoint: Checkpoint, name: string): Promise<BrokenTensor | undefined> {
  const { dtype, shape, length, file } = checkpoint.tensors.get(name)!;
  const size = bytesPerElement(dtype);
  let [nan, infinite] = [0, 0];
  let first: { readonly index: number; readonly value: number } | undefined;
  for (let begin = 0; begin < length; begin += SLAB_BYTES) {
    const bytes = await readTensorRange(checkpoint, name, begin, Math.min(SLAB_BYTES, length - begin));
    const found = findNonFinite(bytes, dtype);
    if (found.first < 0) continue;
    nan += found.nan;
    infinite += found.infinite;
    const at = found.first * size;
    first ??= { index: begin / size + found.first, value: toFloat32(bytes.slice(at, at + size), dtype)[0]! };
  }
  return first && { tensor: name, file, nan, infinite, position: placeOf(first.index, shape), value: first.value };
}

/** @throws NumericError E_NUMERIC_WEIGHT where one of the tensors `names` holds NaN or an infinity */
export async function requireFiniteTensors(
  { checkpoint, tensorNames }: Pick<Stored, 'checkpoint' | 'tensorNames'>,
  names: Iterable<string>,
): Promise<void> {
  for (const name of names) {
    const found = await findBroken(checkpoint, name);
    if (found) throw brokenWeight(tensorNames, found);
  }
}

/**
 * Throws `error`, which came from computing with the model, or a better explanation. If `error` was about a
 * value that is not finite, all weights are searched, and the first one that is NaN or infinite is reported instead.
 * @throws NumericError E_NUMERIC_WEIGHT; `error` itself
 */
export async function blameWeights(model: Stored, error: unknown): Promise<never> {
  if (error instanceof NumericError && !('position' in error.facts)) {
    await requireFiniteTensors(model, modelTensors(model.config, model.tensorNames).keys());
  }
  throw error;
}

/** `2 NaN and 1 infinite`. */
export function describeCounts({ nan, infinite }: Pick<BrokenTensor, 'nan' | 'infinite'>): string {
  const parts = [...(nan > 0 ? [`${nan} NaN`] : []), ...(infinite > 0 ? [`${infinite} infinite`] : [])];
  return parts.join(' and ');
}

function brokenWeight({ blocks }: TensorNames, broken: BrokenTensor): NumericError {
  const { tensor, file, nan, infinite, position, value } = broken;
  const linear = tensor.replace(/\.weight$/, '');
  const number = tensor.startsWith(blocks) ? /^\d+/.exec(tensor.slice(blocks.length))?.[0] : undefined;
  const place = number === undefined ? linear : `Block ${number}, ${linear}`;
  const others = nan + infinite > 1 ? ` (${describeCounts(broken)} in all)` : '';
  return new NumericError(
    'E_NUMERIC_WEIGHT',
    `${place}: weight [${position.join(', ')}] in ${file} is ${value}${others}; download or export the checkpoint again.`,
    { ...(number === undefined ? {} : { block: Number(number) }), linear, tensor, file, position, nan, infinite },
  );
}

/** The position of element `index` in its shape. */
function placeOf(index: number, shape: readonly number[]): number[] {
  const place: number[] = [];
  let rest = index;
  for (const size of shape.toReversed()) {
    place.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return place;
}
