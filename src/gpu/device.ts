// A WebGPU device, and what can go wrong with it as errors with a next step: no WebGPU, no adapter, memory that is refused,
// a device that is lost. Nothing here needs Node; node.ts finds the way in there.

import { InternalError, messageOf, ResourceError } from '../base/portable.js';
import { type GpuBuffer, type GpuDevice, type GpuEntry, MAP_READ, USAGE } from './api.js';

/** An open device. Every method throws `E_RESOURCE_DEVICE` once the device is lost. */
export interface Gpu {
  readonly device: GpuDevice;
  /** The adapter as its driver describes it. */
  readonly name: string;
  /** Threads of a workgroup. */
  readonly workgroup: number;
  /** The same of one that has a row for itself: more, because nothing else runs beside it. */
  readonly rowWorkgroup: number;
  /** The most bytes of a buffer that a kernel can read. */
  readonly largestBuffer: number;
  /** A buffer of zeros. @throws ResourceError E_RESOURCE_MEMORY */
  allocate(bytes: number, usage: number, what: string): Promise<GpuBuffer>;
  /** Reads a buffer that was made to be mapped. @throws ResourceError E_RESOURCE_DEVICE */
  read(buffer: GpuBuffer, bytes: number): Promise<ArrayBuffer>;
  /** Waits for everything submitted. @throws ResourceError E_RESOURCE_DEVICE */
  finish(): Promise<void>;
  /** Runs calls of the API and says what it reports of them. @throws InternalError E_INTERNAL_GPU; ResourceError */
  checked<T>(run: () => T | Promise<T>): Promise<T>;
  close(): void;
}

const LIMITS = [
  ...['maxBufferSize', 'maxStorageBufferBindingSize', 'maxComputeWorkgroupStorageSize'],
  ...['maxComputeInvocationsPerWorkgroup', 'maxComputeWorkgroupSizeX'],
] as const;
/** Buffers of more than this are slow to create on some drivers, and nothing needs them. */
const LARGEST_SHARD = 2 ** 30;

export const deviceError = (what: string, cause?: unknown): ResourceError =>
  new ResourceError('E_RESOURCE_DEVICE', `The webgpu device failed: ${what}`, { device: 'webgpu' }, { cause });

const failureLater = (error: unknown): Promise<ResourceError> =>
  new Promise((resolve) => {
    setTimeout(() => resolve(deviceError(`${messageOf(error)}.`, error)), LOSS_DELAY);
  });

/** Opens the fastest adapter. @throws ResourceError E_RESOURCE_DEVICE where there is none */
export async function openGpu(entry: GpuEntry | undefined): Promise<Gpu> {
  if (!entry) {
    throw deviceError('this browser has no navigator.gpu. Use one with WebGPU, on HTTPS or localhost, or the cpu.');
  }
  const adapter = await entry.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) {
    throw deviceError('no adapter was found. Install a driver for Vulkan, Metal or Direct3D 12, or use the cpu.');
  }
  const device = await adapter
    .requestDevice({ requiredLimits: Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]])) })
    .catch((error: unknown) => {
      throw deviceError(`the adapter gives no device (${String(error)}). Restart the program, or use the cpu.`, error);
    });
  const { vendor, architecture, description } = adapter.info;
  return wrap(device, [vendor, architecture, description].join(' ').trim());
}

/** Adapters on which barriers of many threads are slow. */
const SOFTWARE = /swiftshader|llvmpipe/i;
const ROW_THREADS = 1024;
/** How long a loss may be told after what failed because of it, in milliseconds. */
const LOSS_DELAY = 1000;

function wrap(device: GpuDevice, name: string): Gpu {
  let closed = false;
  let lost: ResourceError | undefined;
  const loss = device.lost.then(({ message }) => {
    const why = closed ? 'it is closed.' : `it was lost (${message.trim() || 'without a reason'}).`;
    lost = deviceError(`${why} Open the model again; if that fails, use the cpu.`);
    return lost;
  });
  const orLost = async <T>(work: Promise<T>): Promise<T> => {
    const end = await Promise.race([
      work.then((value) => ({ value })).catch((error: unknown) => ({ error })),
      loss.then((error) => ({ error })),
    ]);
    if ('value' in end && !lost) return end.value;
    if (lost) throw lost;
    const { error } = end as { readonly error: unknown };
    // A map is rejected a moment before the loss itself is told; what fails without one is told as it is.
    throw error instanceof ResourceError ? error : await Promise.race([loss, failureLater(error)]);
  };
  const { limits } = device;
  const software = SOFTWARE.test(name);
  const most = Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX, ROW_THREADS);
  const gpu: Gpu = {
    device,
    name,
    workgroup: software ? 32 : 128,
    // Sums halve the threads, so they are a power of two.
    rowWorkgroup: software ? 32 : 2 ** Math.floor(Math.log2(most)),
    largestBuffer: Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize, LARGEST_SHARD),
    allocate: async (bytes, usage, what) => {
      if (lost) throw lost;
      device.pushErrorScope('out-of-memory');
      device.pushErrorScope('validation');
      const buffer = device.createBuffer({ size: Math.max(16, Math.ceil(bytes / 16) * 16), usage, label: what });
      const [invalid, refused] = [device.popErrorScope(), device.popErrorScope()];
      const problem = (await orLost(invalid)) ?? (await orLost(refused));
      if (!problem) return buffer;
      throw new ResourceError(
        'E_RESOURCE_MEMORY',
        `${what}: the GPU has no room for ${bytes} bytes. Take fewer positions or sequences, a smaller model, or the cpu.`,
        { bytes, what },
        { cause: new Error(problem.message) },
      );
    },
    read: async (buffer, bytes) => {
      await orLost(buffer.mapAsync(MAP_READ));
      const copy = buffer.getMappedRange(0, bytes).slice(0);
      buffer.unmap();
      return copy;
    },
    finish: async () => void (await orLost(device.queue.onSubmittedWorkDone())),
    checked: async (run) => {
      if (lost) throw lost;
      device.pushErrorScope('validation');
      const [outcome] = await Promise.allSettled([(async () => run())()]);
      const problem = await orLost(device.popErrorScope());
      if (!problem && outcome.status === 'fulfilled') return outcome.value;
      const what = problem?.message ?? String((outcome as PromiseRejectedResult).reason);
      throw new InternalError('E_INTERNAL_GPU', `${name}: ${what.trim()}; please report this.`, { device: name });
    },
    close: () => {
      closed = true;
      device.destroy();
    },
  };
  return gpu;
}

/** A buffer that is filled by copies and read by the CPU. */
export const READ_BACK = USAGE.read | USAGE.copyTo;
/** A buffer of kernels. */
export const KERNEL_DATA = USAGE.storage | USAGE.copyTo | USAGE.copyFrom;
