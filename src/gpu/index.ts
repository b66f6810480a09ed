export { openGpuInNode } from './node.js';
export {
  type Gpu,
  head,
  KERNEL_DATA,
  kernelLayout,
  linearGroups,
  linearKernel,
  main,
  PARAMETER_BYTES,
  parameterWords,
  USAGE,
} from './portable.js';
