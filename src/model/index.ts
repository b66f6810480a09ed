export { type Activations, chunkTensor, createActivations } from './activations.js';
export { type BlockOutputs, TAP_OF, TAP_SITES, type TapSite } from './block.js';
export { type ModelConfig, readModelConfig } from './config.js';
export { FAMILIES, type FamilySpec } from './families/index.js';
export { EMBEDDING, inPlace, LINEAR_KINDS, type Linear, type LinearKind, linearsOf } from './layout.js';
export {
  type BlockSource,
  blockGraph,
  blockTensorNames,
  checkpointSource,
  headGraph,
  type Model,
  openModel,
} from './model.js';
export { mendConfig, renumberTensor } from './removal.js';
export { embedWindows, inLanes, runBlock, sameShape } from './stream.js';
