// Opens a packed model for decoding in the calling thread alone, with its own memory, or on the page's GPU. Any web page
// can do the first, cross-origin isolated or not. A step blocks the thread, so a page that must stay responsive runs this in a worker.

import { type GpuEntry, openGpu } from '../gpu/portable.js';
import type { KernelSource } from '../kernels/portable.js';
import type { PackedModel } from '../packed/portable.js';
import type { DecoderDevice } from './backend.js';
import { buildDecoder, type OpenDecoder, type SequenceOptions } from './build.js';
import { createWasmBackend } from './wasm/backend.js';
import { startSingle } from './wasm/single.js';
import { createWebgpuBackend } from './webgpu/backend.js';

export type AloneOptions = SequenceOptions & {
  /**
   * The kernels, or where they are. Defaults to the package's own: `dist/kernels/runtime-single-relaxed.wasm` where
   * engine and processor have dot products of bytes, `runtime-single.wasm` otherwise.
   */
  readonly kernels?: KernelSource | undefined;
  /**
   * What computes: `cpu`, or `webgpu` for the page's GPU, which needs `navigator.gpu` and never falls back. Defaults to
   * `cpu`.
   */
  readonly device?: DecoderDevice | undefined;
};

/**
 * Reads a packed model's weights into memory. The model may be closed afterwards.
 * @throws OptionError E_OPTION_POSITIONS; ResourceError E_RESOURCE_MEMORY, E_RESOURCE_KERNELS, E_RESOURCE_DEVICE;
 * CheckpointError, UnsupportedError
 */
export const openDecoderAlone = (packed: PackedModel, options: AloneOptions = {}): Promise<OpenDecoder> =>
  buildDecoder(
    packed,
    options,
    options.device === 'webgpu'
      ? createWebgpuBackend(() => openGpu(pageGpu()))
      : createWasmBackend(() => startSingle(options.kernels), options.ahead),
  );

/** A page's or worker's `navigator.gpu`, which only secure contexts of browsers with WebGPU have. */
const pageGpu = (): GpuEntry | undefined =>
  (globalThis as { readonly navigator?: { readonly gpu?: GpuEntry } }).navigator?.gpu;
