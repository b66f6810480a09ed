export { type Arena, createArena, reserveMemory } from './arena.js';
export { fetchRuntimeModule, type KernelSource } from './runtime-fetch.js';
export { createRuntimeKernels, scoresBytes, sumsBytes } from './runtime-kernels.js';
export type { RuntimeMemory } from './runtime-module.js';
