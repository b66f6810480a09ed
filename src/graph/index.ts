export {
  type Attribute,
  type Dimension,
  type ElementType,
  float,
  type Graph,
  GraphBuilder,
  type Initializer,
  type InitializerSource,
  int,
  type Node,
  text,
  type ValueInfo,
} from './graph.js';
export { OPSET, serialiseOnnx } from './onnx.js';
