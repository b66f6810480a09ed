// The GPU for tests, in a child process (host.mjs): the machine's own adapter or the software one (SwiftShader), or the reason why
// there is neither.

import { fileURLToPath } from 'node:url';
import type { DecodeBackend } from '../../src/decoder/backend.js';
import type { Choice } from '../../src/decoder/decoder.js';
import type { Parameters } from '../../src/gpu/kernels/shader.js';
import { type Environment, firstAdapter, startGpuProcess } from '../gpu-process.js';

export type KernelCall = {
  readonly code: string;
  readonly weights: Uint8Array;
  readonly arena: Uint32Array;
  readonly cache: Float32Array;
  readonly parameters: Parameters;
  readonly x: number;
  readonly y: number;
};

export interface TestGpu {
  readonly name: string;
  /** The arena after a dispatch. Rejects where the kernel indexes outside (watch.mjs). */
  run(call: KernelCall): Promise<Uint32Array>;
  /**
   * The backend in that process. `largestBuffer` makes the GPU smaller than it is; with `watched` a session's close
   * rejects where a kernel indexed outside.
   */
  backend(options?: {
    readonly largestBuffer?: number;
    readonly fused?: boolean;
    readonly watched?: boolean;
  }): DecodeBackend & { lose(): Promise<void> };
  close(): void;
}

/** The GPU, or the reason why there is none. */
export async function startGpu(): Promise<{ readonly gpu: TestGpu } | { readonly reason: string }> {
  const started = await firstAdapter(startHost);
  return 'found' in started ? { gpu: started.found } : started;
}

async function startHost(environment: Environment): Promise<TestGpu> {
  const file = fileURLToPath(new URL('./host.mjs', import.meta.url));
  const { child, name, ask } = await startGpuProcess(file, environment);
  return {
    name,
    run: (call) => ask({ kind: 'kernel', call }),
    backend: (options) => {
      let session = -1;
      return {
        name: 'webgpu',
        lose: () => ask({ kind: 'lose', session }),
        open: async (program, source, limits) => {
          const weights = new Uint8Array(source.weightBytes);
          await source.readWeightsInto(weights);
          const tensors = new Map(source.tensors);
          const own = await ask<number>({ kind: 'open', program, tensors, weights, limits, ...options });
          session = own;
          return {
            threads: 1,
            step: (rows) => ask({ kind: 'step', session: own, rows }),
            async *write(rows, count) {
              const writer = await ask<number>({ kind: 'write', session: own, rows, count });
              try {
                for (;;) {
                  const { value, done } = await ask<IteratorResult<readonly Choice[]>>({ kind: 'next', writer });
                  if (done) return;
                  yield value;
                }
              } finally {
                await ask({ kind: 'return', writer });
              }
            },
            fork: (from, to, positions) => ask({ kind: 'fork', session: own, from, to, positions }),
            measureBandwidth: () => ask({ kind: 'bandwidth', session: own }),
            close: () => ask({ kind: 'close', session: own }),
          };
        },
      };
    },
    close: () => child.disconnect(),
  };
}
