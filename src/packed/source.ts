// The input of packing: the tensors of a checkpoint in the order in which the model reads them, as plain data.

import type { Checkpoint } from '../checkpoint/portable.js';
import type { Role } from './directory.js';

/**
 * A tensor to pack, [rows = out, columns = in]; a vector has one row. `block` is the block it belongs to, for progress
 * and totals. With `transposed`, the checkpoint stores the columns first.
 */
export type PackedTensor = {
  readonly name: string;
  readonly role: Role;
  readonly rows: number;
  readonly columns: number;
  readonly block: number | undefined;
  readonly transposed: boolean;
};

export type PackSource = { readonly checkpoint: Checkpoint; readonly tensors: readonly PackedTensor[] };
