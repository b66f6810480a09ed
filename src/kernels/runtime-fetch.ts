// Loads the compiled single-thread kernels over the network, or from where a page keeps them. The URLs are written in
// the form that bundlers recognise, so that they copy the files beside their output.

import { ResourceError } from '../base/portable.js';
import { compileRuntime, hasByteDots, type RuntimeModule } from './runtime-module.js';

/** Where runtime-single.wasm (or runtime-single-relaxed.wasm) is, or its bytes. */
export type KernelSource = string | URL | Uint8Array;

/**
 * The module for a single thread with its own memory. @throws ResourceError E_RESOURCE_KERNELS where it cannot be
 * loaded
 */
export async function fetchRuntimeModule(source?: KernelSource): Promise<RuntimeModule> {
  const from = source ?? kernelsHere();
  try {
    return compileRuntime(from instanceof Uint8Array ? from : await download(from));
  } catch (cause) {
    const where = from instanceof Uint8Array ? `${from.length} bytes` : `${from}`;
    throw new ResourceError(
      'E_RESOURCE_KERNELS',
      `The kernels cannot be loaded from ${where}: ${(cause as Error).message}. Serve dist/kernels/runtime-single.wasm of the package, and pass its address as the option \`kernels\`.`,
      { kernels: where },
      { cause },
    );
  }
}

function kernelsHere(): URL {
  if (hasByteDots()) return new URL('../../dist/kernels/runtime-single-relaxed.wasm', import.meta.url);
  return new URL('../../dist/kernels/runtime-single.wasm', import.meta.url);
}

async function download(url: string | URL): Promise<Uint8Array> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}
