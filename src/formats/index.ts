export { type CompressedPlan, planCompressed, writeCompressed } from './compressed-tensors.js';
export { writeFolder } from './folder.js';
export type { ZeroCounts } from './zeros.js';
