export { openGpuInNode } from './node.js';
export { type Gpu, KERNEL_DATA, linearGroups, linearKernel, PARAMETERS, USAGE } from './portable.js';
