export { blockConfig } from './block-config.js';
export { buildWith } from './blocks/architectures.js';
export type { BlockBuilder } from './blocks/block-builder.js';
export { linearRole, ROUTER } from './blocks/parts.js';
export { type BlockConfig, type ModelConfig, readModelConfig } from './config.js';
export { type Rope, ropeTables } from './rope.js';
export { blockTensors, linearsOf, storedPair, type TensorNames, tensorNamesOf } from './tensor-names.js';
export { describeTensors, type ModelTensor } from './tensors.js';
