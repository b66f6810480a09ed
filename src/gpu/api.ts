// The part of the WebGPU API that Layerwise uses, as types: the library's own declarations need neither a browser's nor a
// package's. https://www.w3.org/TR/webgpu/

export interface GpuBuffer {
  readonly size: number;
  mapAsync(mode: number): Promise<undefined>;
  getMappedRange(offset?: number, size?: number): ArrayBuffer;
  unmap(): void;
  destroy(): void;
}

export interface GpuPass {
  setPipeline(pipeline: GpuPipeline): void;
  setBindGroup(index: number, group: GpuBindGroup, offsets?: readonly number[]): void;
  dispatchWorkgroups(x: number, y?: number, z?: number): void;
  end(): void;
}

interface GpuEncoder {
  beginComputePass(): GpuPass;
  copyBufferToBuffer(from: GpuBuffer, fromOffset: number, to: GpuBuffer, toOffset: number, size: number): void;
  finish(): GpuCommands;
}

type GpuCommands = { readonly label: string };
export type GpuPipeline = { readonly label: string };
export type GpuBindGroup = { readonly label: string };
type GpuLayout = { readonly label: string };
type GpuModule = { readonly label: string };

export type GpuLimits = {
  readonly maxBufferSize: number;
  readonly maxStorageBufferBindingSize: number;
  readonly maxComputeWorkgroupStorageSize: number;
  readonly maxComputeInvocationsPerWorkgroup: number;
  readonly maxComputeWorkgroupSizeX: number;
};

export interface GpuDevice {
  readonly limits: GpuLimits;
  readonly lost: Promise<{ readonly reason: string; readonly message: string }>;
  readonly queue: {
    writeBuffer(buffer: GpuBuffer, offset: number, data: ArrayBufferLike, dataOffset?: number, size?: number): void;
    submit(commands: readonly GpuCommands[]): void;
    onSubmittedWorkDone(): Promise<undefined>;
  };
  createBuffer(of: { readonly size: number; readonly usage: number; readonly label?: string }): GpuBuffer;
  createShaderModule(of: { readonly code: string; readonly label?: string }): GpuModule;
  createBindGroupLayout(of: object): GpuLayout;
  createPipelineLayout(of: { readonly bindGroupLayouts: readonly GpuLayout[] }): GpuLayout;
  createBindGroup(of: object): GpuBindGroup;
  createComputePipelineAsync(of: object): Promise<GpuPipeline>;
  createCommandEncoder(): GpuEncoder;
  pushErrorScope(filter: 'validation' | 'out-of-memory' | 'internal'): void;
  popErrorScope(): Promise<{ readonly message: string } | null>;
  destroy(): void;
}

interface GpuAdapter {
  readonly limits: GpuLimits;
  readonly info: { readonly vendor: string; readonly architecture: string; readonly description: string };
  requestDevice(of: { readonly requiredLimits: Readonly<Record<string, number>> }): Promise<GpuDevice>;
}

/** `navigator.gpu`, or what a package for Node has in its place. */
export interface GpuEntry {
  requestAdapter(of?: { readonly powerPreference?: 'high-performance' }): Promise<GpuAdapter | null>;
}

/** Bits of a buffer's `usage`, of a map's mode and of a shader's stage, as the specification numbers them. */
export const USAGE = { read: 1, copyFrom: 4, copyTo: 8, uniform: 64, storage: 128 } as const;
export const MAP_READ = 1;
export const COMPUTE_STAGE = 4;
