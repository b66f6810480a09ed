// The WebGPU engine for tests, in a child process: on the machine's own adapter or the software one, or the reason why there is
// neither.

import { fileURLToPath } from 'node:url';
import type { Engine, HostTensor } from '../../src/engine/index.js';
import { type Environment, firstAdapter, startGpuProcess } from '../gpu-process.js';

/** The engine, or the reason why there is none. */
export async function startWebgpu(): Promise<{ readonly engine: Engine } | { readonly reason: string }> {
  const started = await firstAdapter(startHost);
  return 'found' in started ? { engine: started.found } : started;
}

/** The engine in a process with these variables. Rejects with the `code` of the engine's own error. */
export async function startHost(environment: Environment): Promise<Engine> {
  const file = fileURLToPath(new URL('./webgpu-host.mjs', import.meta.url));
  const { child, name, ask } = await startGpuProcess(file, environment);
  let sessions = 0;
  return {
    name,
    device: 'webgpu',
    workers: 1,
    concurrency: 1,
    load: async (graph) => {
      const session = sessions++;
      await ask({ kind: 'load', session, graph });
      const run = (inputs: Readonly<Record<string, HostTensor>>) =>
        ask<Record<string, HostTensor>>({ kind: 'run', session, inputs });
      return {
        run,
        lend: async (inputs) => ({ inputs: { ...inputs }, outputs: await run(inputs) }),
        release: async () => void (await ask({ kind: 'release', session })),
      };
    },
    close: async () => {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.disconnect();
      await gone;
    },
  };
}
