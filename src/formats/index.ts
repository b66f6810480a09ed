export { type CompressedPlan, planCompressed, writeCompressed } from './compressed-tensors.js';
export { CODE_FILE, customCode } from './custom-code.js';
export { writeFolder } from './folder.js';
export { GGUF_TYPES, type GgufType, type OwnTypes, planGguf, writeModel } from './gguf.js';
export { GGUF_FAMILIES } from './gguf-model.js';
export { type Loads, loadsWhere } from './loads-where.js';
export { planPadded } from './padded.js';
export type { ZeroCounts } from './zeros.js';
