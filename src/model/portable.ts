export { linearRole, ROUTER } from './blocks/parts.js';
export type { Kit } from './blocks/shape.js';
export { buildWith } from './blocks/shapes.js';
export { type ModelConfig, readModelConfig } from './config.js';
export { type Rope, ropeTables } from './rope.js';
export { blockTensors, type Layout, layoutOf, linearsOf, storedPair } from './tensor-names.js';
export { describeTensors, type ModelTensor } from './tensors.js';
