export { type Activations, chunkTensor, createActivations } from './activations.js';
export { type BlockOutputs, GIVEN } from './blocks/kit.js';
export { expertOf, expertSite, linearRole, ROUTER, type TapSite } from './blocks/parts.js';
export type { Kit } from './blocks/shape.js';
export { buildWith } from './blocks/shapes.js';
export { findFamily, keyOf, type ModelConfig, readModelConfig } from './config.js';
export { embedWindows } from './embed.js';
export { FAMILIES, type FamilySpec } from './families/index.js';
export { LINEAR_KINDS, type LinearKind } from './families/names.js';
export { blockTensors, inPlace, type Layout, type Linear, layoutOf, linearsOf, modelTensors } from './layout.js';
export { readLinear, toRows, toStored, weightName } from './linear.js';
export {
  type BlockSource,
  blockGraph,
  blockTensorNames,
  checkpointSource,
  headGraph,
  type Model,
  openModel,
} from './model.js';
export { type Mending, mendConfig, mendingOf, renumberTensor } from './removal.js';
export { longestAlike, type Rope, ropeTables } from './rope.js';
export { inLanes, runBlock, runChunk, sameShape } from './stream.js';
export { describeTensors, type ModelTensor } from './tensors.js';
