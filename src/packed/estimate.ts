// What a tensor will take in a .lw file, from its shape alone: bytes, and the time that one core needs to read or to multiply
// with it for one token (choose.ts).

import type { IntegerValues } from '../layouts/index.js';
import { type Estimate, estimateDense, estimateTiles, type LayoutChoice } from './choose.js';
import type { HeadValues } from './directory.js';

type Shape = { readonly rows: number; readonly columns: number };

/** A linear in so many bits, of which `kept` of 16 columns of every row are not zero. */
export const estimateTensor = (
  { rows, columns }: Shape,
  bits: number,
  kept = 16,
  layout: LayoutChoice = 'smallest',
): Estimate => estimateTiles({ rows, columns }, `int${bits}` as IntegerValues, kept, layout);

/** A tensor outside the linears: a table is stored as `head` says, everything else in float32. Embeddings are looked up. */
export function estimateTable(tensor: Shape & { readonly role: string }, head: HeadValues, tied: boolean): Estimate {
  const isTable = tensor.role === 'embedding' || tensor.role === 'head';
  const estimate = estimateDense(tensor, isTable ? head : 'f32');
  const isRead = tensor.role === 'head' || (tensor.role === 'embedding' && tied);
  return { ...estimate, seconds: isRead || !isTable ? estimate.seconds : 0 };
}
