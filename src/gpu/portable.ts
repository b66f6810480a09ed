export { type GpuBindGroup, type GpuBuffer, type GpuEntry, type GpuPipeline, USAGE } from './api.js';
export { kernelLayout, parameterWords } from './bindings.js';
export { type Gpu, KERNEL_DATA, openGpu, READ_BACK } from './device.js';
export { attendKernel, headsKernel } from './kernels/attention.js';
export { activateKernel, addKernel, copyKernel, lookKernel, pickKernel, scaleKernel } from './kernels/elements.js';
export { chooseKernel, combineKernel, sortKernel } from './kernels/experts.js';
export { LIKELIEST_GROUPS, likeliestKernel, nextKernel } from './kernels/likeliest.js';
export { formOf, hasPrompt, type LinearShape, linearGroups, linearKernel, TOKEN_TILES } from './kernels/linear.js';
export { PROMPT_TOKENS, promptShape } from './kernels/prompt.js';
export { type Copies, normKernel, quantiseKernel } from './kernels/rows.js';
export {
  head,
  type Kernel,
  MOST_PARTS,
  main,
  nameOf,
  PARAMETER_BYTES,
  type Parameters,
  type PartParameter,
} from './kernels/shader.js';
export { readsOf } from './kernels/units.js';
