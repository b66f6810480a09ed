// Merging of experts (M-SMoE, arXiv 2310.01334): an expert that goes is averaged into one that stays, weighted by how
// many tokens each was given,
//   W = Σ_e n_e·P_e(W_e) / Σ_e n_e,   e the expert that stays and those merged into it.
// The neurons of an expert have no order of their own, so P_e first puts those of e in the order of the one that stays: the
// permutation π with the largest Σ_c ⟨gate[c], gate_e[π(c)]⟩ + ⟨up[c], up_e[π(c)]⟩ + ⟨down[:,c], down_e[:,π(c)]⟩, which is the one
// that brings their weights nearest (weight matching, arXiv 2209.04836, §3.2). A permutation of neurons changes no expert's
// function. Where none of a group was given a token, the one that stays is unchanged.

import { NumericError, UnsupportedError } from '../base/index.js';
import type { TensorEdit } from '../checkpoint/index.js';
import { assignMost, type Gemm } from '../linalg/index.js';
import { type Linear, type Model, readLinear, toStored, weightName } from '../model/index.js';
import type { Merge } from '../plan/index.js';
import { transpose } from '../tensor/index.js';
import { storable } from './edit-linear.js';

/** The time of an assignment grows with the cube of the width; at this one it is about half a minute. */
const MOST_NEURONS = 4096;

/** An expert and the order that its neurons are read in: that of the expert it is merged into. */
export type Aligned = Merge & { readonly order: readonly number[] };

/** @throws UnsupportedError E_UNSUPPORTED_MERGE where experts have too many neurons to align */
export function requireAlignable({ config }: Model): void {
  const width = Math.max(...config.mixtures.map((mixture) => mixture?.width ?? 0));
  if (width <= MOST_NEURONS) return;
  throw new UnsupportedError(
    'E_UNSUPPORTED_MERGE',
    `--align: experts have ${width} neurons, and aligning is implemented up to ${MOST_NEURONS}. Use --align none, or --method reap.`,
    { width, most: MOST_NEURONS },
  );
}

/** Finds the order of each merged expert's neurons; their own without `gemm`. */
export async function alignExperts(
  model: Model,
  block: number,
  merges: readonly Merge[],
  gemm: Gemm | undefined,
): Promise<Aligned[]> {
  const { width } = model.config.mixtures[block]!;
  const aligned: Aligned[] = [];
  for (const merge of merges) {
    if (!gemm) {
      aligned.push({ ...merge, order: Array.from({ length: width }, (_, c) => c) });
      continue;
    }
    const alike = new Float32Array(width * width);
    for (const kind of KINDS) {
      const [of, to] = [await neurons(model, block, merge.into, kind), await neurons(model, block, merge.expert, kind)];
      const products = await gemm.multiply(of, to, 'B');
      for (let i = 0; i < alike.length; i++) alike[i]! += products[i]!;
    }
    aligned.push({ ...merge, order: [...assignMost(alike, width)] });
  }
  return aligned;
}

const KINDS = ['gate', 'up', 'down'] as const;

const linearOf = (model: Model, block: number, expert: number, kind: string): Linear =>
  model.linears[block]!.find((linear) => linear.expert === expert && linear.kind === kind)!;

/** A linear of an expert with a row for each neuron: `down` is transposed. */
async function neurons(model: Model, block: number, expert: number, kind: string) {
  const linear = linearOf(model, block, expert, kind);
  const { rows, columns } = linear;
  const data = await readLinear(model.checkpoint, linear);
  if (kind !== 'down') return { rows, columns, data };
  return { rows: columns, columns: rows, data: transpose(data, rows, columns) };
}

/** The edits of the experts that others are merged into, by their names in the source. `tokens` is by expert. */
export function mergedTensors(
  model: Model,
  block: number,
  aligned: readonly Aligned[],
  tokens: readonly number[],
): TensorEdit[] {
  const groups = new Map<number, Aligned[]>();
  for (const one of aligned) groups.set(one.into, [...(groups.get(one.into) ?? []), one]);
  return [...groups].flatMap(([into, others]) => {
    const total = others.reduce((sum, { expert }) => sum + tokens[expert]!, tokens[into]!);
    if (total === 0) return [];
    return KINDS.map((kind): TensorEdit => {
      const linear = linearOf(model, block, into, kind);
      const name = weightName(linear);
      const { dtype, shape } = model.checkpoint.tensors.get(name)!;
      const read = async (): Promise<Uint8Array> => {
        const own = await readLinear(model.checkpoint, linear);
        const sum = Float64Array.from(own, (value) => value * tokens[into]!);
        for (const { expert, order } of others) {
          if (tokens[expert] === 0) continue;
          const data = await readLinear(model.checkpoint, linearOf(model, block, expert, kind));
          addPermuted(sum, data, linear, { order, byRow: kind !== 'down', factor: tokens[expert]! });
        }
        const mean = Float32Array.from(sum, (value) => value / total);
        return storable(toStored(linear, mean), dtype, () => {
          const message = `${name}: a merged weight is not a finite ${dtype}. Check the checkpoint.`;
          throw new NumericError('E_NUMERIC_OVERFLOW', message, { tensor: name, dtype });
        });
      };
      return { name, dtype, shape, read };
    });
  });
}

type Permuting = { readonly order: readonly number[]; readonly byRow: boolean; readonly factor: number };

function addPermuted(
  sum: Float64Array,
  data: Float32Array,
  { rows, columns }: { readonly rows: number; readonly columns: number },
  { order, byRow, factor }: Permuting,
): void {
  for (let r = 0; r < rows; r++) {
    const from = (byRow ? order[r]! : r) * columns;
    for (let c = 0; c < columns; c++) sum[r * columns + c]! += factor * data[from + (byRow ? c : order[c]!)]!;
  }
}
