// Every case on every engine, against the reference.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { createOrtEngine, createReferenceEngine, type Engine } from '../../src/engine/index.js';
import { ENGINE } from '../tolerances.js';
import { blockCases, type Case, opCases, writeHeadCases } from './cases.js';
import { convnextCase, imageOpCases } from './image-cases.js';
import { excess } from './numbers.js';
import { startHost, startWebgpu } from './webgpu.js';

const dir = await mkdtemp(join(tmpdir(), 'layerwise-engines-'));
const cases = [...opCases, ...imageOpCases, convnextCase(), ...blockCases, ...(await writeHeadCases(dir))];
const reference = createReferenceEngine();
const cpu = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
const webgpu = await startWebgpu();
if ('reason' in webgpu) console.warn(`skipped: the WebGPU engine (${webgpu.reason})`);

afterAll(async () => {
  await cpu.close();
  if ('engine' in webgpu) await webgpu.engine.close();
  await rm(dir, { recursive: true });
});

async function runOn(engine: Engine, { graph, inputs }: Case) {
  const session = await engine.load(graph);
  try {
    return await session.run(inputs);
  } finally {
    await session.release();
  }
}

async function compare(engine: Engine, item: Case): Promise<void> {
  const expected = await runOn(reference, item);
  const got = await runOn(engine, item);
  expect(Object.keys(got).sort()).toEqual(item.graph.outputs.map(({ name }) => name).sort());
  for (const [name, tensor] of Object.entries(expected)) {
    expect(excess(got[name]!, tensor, ENGINE), name).toBeLessThanOrEqual(1);
  }
}

describe('ONNX Runtime on the CPU agrees with the reference', () => {
  test.each(cases.map((item) => [item.name, item] as const))('%s', (_, item) => compare(cpu, item));
});

describe.skipIf('reason' in webgpu)('ONNX Runtime on WebGPU agrees with the reference', () => {
  test.each(cases.map((item) => [item.name, item] as const))('%s', async (_, item) => {
    if ('engine' in webgpu) await compare(webgpu.engine, item);
  });
});

test.runIf(process.platform === 'linux')('a GPU that is not there is said before anything is loaded', async () => {
  const nowhere = { VK_ICD_FILENAMES: '/dev/null', VK_DRIVER_FILES: '/dev/null' };
  await expect(startHost(nowhere)).rejects.toMatchObject({
    code: 'E_RESOURCE_DEVICE',
    message: expect.stringMatching(/Failed to get a WebGPU adapter.*--device cpu/),
  });
});

const cuda = await createOrtEngine({ device: 'cuda', workers: 1, threads: 1 }).then(
  async (engine) => void (await engine.close()),
  (error) => error as { readonly code: string; readonly message: string },
);
if (!cuda) console.warn('skipped: how missing CUDA libraries are refused (they are here)');
test.runIf(cuda)('missing CUDA libraries are said, and how to get them', () => {
  expect(cuda).toMatchObject({
    code: 'E_RESOURCE_DEVICE',
    message: expect.stringMatching(/shared library.*CUDA 12.*ONNXRUNTIME_NODE_INSTALL=cuda12.*--device cpu/),
  });
});
