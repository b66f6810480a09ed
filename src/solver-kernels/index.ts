export { type Kernels, LARGEST_BLOCK, type SweepPanel, WIDEST_PANEL } from './kernels.js';
export { nearestCode, plainKernels } from './plain.js';
export { loadKernels } from './wasm.js';
