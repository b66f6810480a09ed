export { cotangentOf, type DifferentiateOptions, differentiate, gradientOf } from './differentiate.js';
export { feedInitializers } from './feed.js';
export {
  type Attribute,
  type ElementType,
  float,
  type Graph,
  GraphBuilder,
  type Initializer,
  type InitializerSource,
  int,
  ints,
  type Node,
  text,
  type ValueInfo,
} from './graph.js';
export { keepOutputs } from './keep.js';
export { ERROR, meanSquares, squaredError, squaresOf, sumSquares, TARGET } from './loss.js';
export { serialiseOnnx } from './onnx.js';
