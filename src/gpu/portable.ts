export { type GpuBindGroup, type GpuBuffer, type GpuEntry, type GpuPipeline, USAGE } from './api.js';
export { kernelLayout, parameterWords } from './bindings.js';
export { type Gpu, KERNEL_DATA, openGpu, READ_BACK } from './device.js';
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
export { linearGroups, linearKernel, TOKEN_TILES } from './kernels/linear.js';
export { head, type Kernel, main, PARAMETER_BYTES, PARAMETER_STRIDE, type Parameters } from './kernels/shader.js';
export { readsOf } from './kernels/units.js';
