export { type CompressedPlan, planCompressed, writeCompressed } from './compressed-tensors.js';
export { writeFolder } from './folder.js';
export { GGUF_TYPES, type GgufType, type OwnTypes, planGguf, writeModel } from './gguf.js';
export { GGUF_FAMILIES } from './gguf-model.js';
export type { ZeroCounts } from './zeros.js';
