// Every op of the reference engine, by its ONNX name. To add one, write it in the file of its group and list it here.

import { Attention, RotaryEmbedding } from './attention.js';
import {
  Add,
  Cast,
  Div,
  Exp,
  Gelu,
  Identity,
  LessOrEqual,
  Log,
  Mul,
  Neg,
  Relu,
  Sigmoid,
  Sub,
  Tanh,
  Where,
} from './elementwise.js';
import { Gemm } from './linear.js';
import { LayerNormalization, LogSoftmax, ReduceMax, ReduceSum, ReduceSumSquare, RMSNormalization } from './reduce.js';
import { ArgMax, CumSum, Gather, NonZero, OneHot, Split, TopK } from './routing.js';
import { Concat, Expand, GatherElements, Reshape, Shape, Slice } from './shapes.js';
import type { Op } from './value.js';

export const OPS: ReadonlyMap<string, Op> = new Map(
  Object.entries({
    Add,
    ArgMax,
    Attention,
    Cast,
    Concat,
    CumSum,
    Div,
    Exp,
    Expand,
    Gather,
    GatherElements,
    Gelu,
    Gemm,
    Identity,
    LayerNormalization,
    LessOrEqual,
    Log,
    LogSoftmax,
    Mul,
    Neg,
    NonZero,
    OneHot,
    ReduceMax,
    ReduceSum,
    ReduceSumSquare,
    Relu,
    Reshape,
    RMSNormalization,
    RotaryEmbedding,
    Shape,
    Sigmoid,
    Slice,
    Split,
    Sub,
    Tanh,
    TopK,
    Where,
  }),
);
