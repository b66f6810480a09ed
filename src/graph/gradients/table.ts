// The gradient rule of every operator, by its ONNX name. To add one, write it in the file of its group and list it here.
// Operators that are constant wherever they have a derivative pass nothing back. One that is in neither list is refused.

import { Attention, RotaryEmbedding } from './attention.js';
import type { Rule } from './backward.js';
import { Conv } from './convolution.js';
import {
  Add,
  Cast,
  Div,
  Exp,
  Gelu,
  Identity,
  Log,
  Mul,
  Neg,
  Relu,
  Sigmoid,
  Sqrt,
  Sub,
  Tanh,
  Where,
} from './elementwise.js';
import { Gemm } from './linear.js';
import { Concat, Expand, Gather, GatherElements, Reshape, Slice, Split, TopK, Transpose } from './moves.js';
import { GroupNormalization, LayerNormalization, RMSNormalization } from './norms.js';
import { LogSoftmax, ReduceMean, ReduceSum, ReduceSumSquare } from './reduce.js';

export const RULES: ReadonlyMap<string, Rule> = new Map(
  Object.entries({
    Add,
    Attention,
    Cast,
    Concat,
    Conv,
    Div,
    Exp,
    Expand,
    Gather,
    GatherElements,
    Gelu,
    Gemm,
    GroupNormalization,
    Identity,
    LayerNormalization,
    Log,
    LogSoftmax,
    Mul,
    Neg,
    ReduceMean,
    ReduceSum,
    ReduceSumSquare,
    Relu,
    Reshape,
    RMSNormalization,
    RotaryEmbedding,
    Sigmoid,
    Slice,
    Split,
    Sqrt,
    Sub,
    Tanh,
    TopK,
    Transpose,
    Where,
  }),
);

/** Their outputs depend on no value smoothly: places, sizes, comparisons. */
const CONSTANT = ['ArgMax', 'LessOrEqual', 'NonZero', 'OneHot', 'Shape'] as const;
const isConstant: ReadonlySet<string> = new Set(CONSTANT);

/** Whether a change of the inputs can change the outputs by a little. */
export const passesOn = (op: string): boolean => !isConstant.has(op);
