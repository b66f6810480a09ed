export { type Arena, createArena, reserveMemory } from './arena.js';
export { checkLayout, checkLinear } from './layouts/check.js';
export type { LinearLayout } from './layouts/linear.js';
export { activationBytes, TILE_ROWS } from './layouts/shape.js';
export { fetchRuntimeModule, type KernelSource } from './runtime-fetch.js';
export { createRuntimeKernels, scoresBytes, sumsBytes } from './runtime-kernels.js';
export type { RuntimeMemory } from './runtime-module.js';
