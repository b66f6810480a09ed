export { openGpuInNode } from './node.js';
export type { Gpu, GpuEntry, Kernel } from './portable.js';
