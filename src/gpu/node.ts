// WebGPU in Node: Dawn, from the optional package `webgpu`. The object that it makes is kept for the life of the process,
// because Dawn ends the process when it is collected. Indices of kernels are not checked there, which would be a third of what
// sparse linears do: all that are data were checked before they went up (layouts/check.ts, the decoder's steps), and tests
// watch the others (test/gpu/watch.mjs). Pages check them, as browsers do.

import { messageOf } from '../base/index.js';
import type { GpuEntry } from './api.js';
import { deviceError, type Gpu, openGpu } from './device.js';

/**
 * Indices are not checked, and memory of workgroups is not zeroed, which every kernel writes before it reads: on a software
 * adapter most of a pipeline's compilation. Both are toggles of development.
 */
const FLAGS = ['enable-dawn-features=disable_robustness,disable_workgroup_init,allow_unsafe_apis'];

let kept: Promise<GpuEntry> | undefined;

/** @throws ResourceError E_RESOURCE_DEVICE where the package or an adapter is missing */
export async function openGpuInNode(): Promise<Gpu> {
  kept ??= load();
  kept.catch(() => {
    kept = undefined;
  });
  return openGpu(await kept);
}

async function load(): Promise<GpuEntry> {
  // Without this Dawn prints that the variable is missing.
  process.env.XDG_RUNTIME_DIR ??= '/tmp';
  try {
    const { create } = (await import('webgpu')) as { create(flags: readonly string[]): unknown };
    return create(FLAGS) as GpuEntry;
  } catch (error) {
    const missing = (error as { code?: string }).code === 'ERR_MODULE_NOT_FOUND';
    throw deviceError(
      missing
        ? 'the optional package webgpu is not installed. Run npm install webgpu, or use --device cpu.'
        : `the package webgpu cannot be loaded (${messageOf(error)}). Reinstall it, or use --device cpu.`,
      error,
    );
  }
}
