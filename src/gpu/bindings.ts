// The bindings of every kernel (kernels/shader.ts) as layouts of a device, and a dispatch's parameters as numbers.

import { COMPUTE_STAGE, type GpuDevice } from './api.js';
import { PARAMETER_BYTES, PARAMETERS, type Parameters } from './kernels/shader.js';

/** W, A, C and p. With `dynamic`, p is chosen by an offset when a group is bound. */
export function kernelLayout(device: GpuDevice, dynamic = false) {
  const parameters = dynamic
    ? { type: 'uniform', hasDynamicOffset: true, minBindingSize: PARAMETER_BYTES }
    : { type: 'uniform' };
  const buffers = [{ type: 'read-only-storage' }, { type: 'storage' }, { type: 'storage' }, parameters];
  const group = device.createBindGroupLayout({
    entries: buffers.map((buffer, binding) => ({ binding, visibility: COMPUTE_STAGE, buffer })),
  });
  return { group, pipeline: device.createPipelineLayout({ bindGroupLayouts: [group] }) };
}

/** The parameters in their order in memory; what is not given is 0. */
export function parameterWords(parameters: Parameters): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(PARAMETER_BYTES / 4);
  for (const [i, name] of PARAMETERS.entries()) words[i] = parameters[name] ?? 0;
  return words;
}
