export {
  COMPUTE_STAGE,
  type GpuBindGroup,
  type GpuBuffer,
  type GpuEntry,
  type GpuPipeline,
  USAGE,
} from './api.js';
export { type Gpu, type GpuOptions, KERNEL_DATA, openGpu, READ_BACK } from './device.js';
export { attendKernel, rotateKernel } from './kernels/attention.js';
export {
  activateKernel,
  addKernel,
  type Copies,
  copyKernel,
  lookKernel,
  normKernel,
  pickKernel,
  quantiseKernel,
  scaleKernel,
} from './kernels/elements.js';
export { chooseKernel, combineKernel, sortKernel } from './kernels/experts.js';
export { linearGroups, linearKernel, readsOf, TOKEN_TILES } from './kernels/linear.js';
export { type Kernel, PARAMETER_BYTES, PARAMETER_STRIDE, PARAMETERS, type Parameters } from './kernels/shader.js';
