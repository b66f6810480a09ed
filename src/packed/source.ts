// What is packed: the tensors of a checkpoint in the order in which the model reads them, as plain data.

import type { Checkpoint } from '../checkpoint/index.js';
import type { Role } from './directory.js';

/** A tensor to be packed; a vector has one row. `block` is that which it belongs to, for progress and totals. */
export type PackedTensor = {
  readonly name: string;
  readonly role: Role;
  readonly rows: number;
  readonly columns: number;
  readonly block: number | undefined;
};

export type PackSource = { readonly checkpoint: Checkpoint; readonly tensors: readonly PackedTensor[] };
