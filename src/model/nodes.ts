// Pieces of graphs that blocks and the head share: checkpoint tensors as values, norms, activations.

import { type Attribute, float, type GraphBuilder, type InitializerSource, int, text } from '../graph/index.js';
import type { DType } from '../tensor/index.js';
import type { ModelConfig } from './config.js';

/** A tensor that a graph can point at. */
export type TensorSource = {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly source: InitializerSource;
};

/** The tensor's values in float32. */
export function weight(g: GraphBuilder, { name, dtype, shape, source }: TensorSource): string {
  const raw = g.initializer({ name, dtype, shape, source });
  return dtype === 'F32' ? raw : g.op('Cast', [raw], { to: int(1) });
}

/**
 * Divides x by its root mean square, or standardises it, along the last axis; multiplies by the scale and adds the bias, if
 * there is one.
 */
export function normalise(
  g: GraphBuilder,
  { norm, normEps }: Pick<ModelConfig, 'norm' | 'normEps'>,
  x: string,
  tensors: {
    readonly scale: TensorSource | undefined;
    readonly bias: TensorSource | undefined;
    readonly width: number;
  },
): string {
  const { scale, bias, width } = tensors;
  const ones = (): string => g.constant(`ones[${width}]`, new Float32Array(width).fill(1), [width]);
  const given = scale ? weight(g, scale) : ones();
  const factors = norm === 'rms+1' ? g.op('Add', [given, ones()]) : given;
  const attributes = { axis: int(-1), epsilon: float(normEps) };
  if (norm !== 'layer') return g.op('RMSNormalization', [x, factors], attributes);
  return g.op('LayerNormalization', bias ? [x, factors, weight(g, bias)] : [x, factors], attributes);
}

/** c·tanh(x/c), or x itself without a cap. */
export function softCap(g: GraphBuilder, x: string, cap: number | undefined): string {
  if (cap === undefined) return x;
  const scaled = g.op('Mul', [x, g.constant('1/cap', Float32Array.of(1 / cap), [1])]);
  return g.op('Mul', [g.op('Tanh', [scaled]), g.constant('cap', Float32Array.of(cap), [1])]);
}

const GELU: Readonly<Record<'gelu' | 'gelu_tanh', Attribute>> = { gelu: text('none'), gelu_tanh: text('tanh') };

export function activate(g: GraphBuilder, { activation }: Pick<ModelConfig, 'activation'>, x: string): string {
  switch (activation) {
    case 'silu':
      return g.op('Mul', [x, g.op('Sigmoid', [x])]);
    case 'relu':
      return g.op('Relu', [x]);
    case 'quick_gelu': {
      const scaled = g.op('Mul', [x, g.constant('1.702', Float32Array.of(1.702), [1])]);
      return g.op('Mul', [x, g.op('Sigmoid', [scaled])]);
    }
    case 'gelu':
    case 'gelu_tanh':
      return g.op('Gelu', [x], { approximate: GELU[activation] });
    default:
      return activation satisfies never;
  }
}
