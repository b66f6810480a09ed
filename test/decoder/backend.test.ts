// The backends there are, by the cases of all.

import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, describe } from 'vitest';
import { createWasmBackend } from '../../src/decoder/wasm/backend.js';
import { startPool } from '../../src/decoder/wasm/pool.js';
import { startSingle } from '../../src/decoder/wasm/single.js';
import { startGpu } from '../gpu/gpu.js';
import { backendCases } from './backend-cases.js';

const kernels = await readFile(fileURLToPath(new URL('../../dist/kernels/runtime-single.wasm', import.meta.url)));

describe('wasm, two threads', () => backendCases(() => createWasmBackend(() => startPool(2))));
describe('wasm, alone', () => backendCases(() => createWasmBackend(() => startSingle(kernels))));

const started = await startGpu();
if ('reason' in started) console.warn(`skipped: the backend of WebGPU (${started.reason})`);
else {
  afterAll(() => started.gpu.close());
  describe('webgpu', () => backendCases(() => started.gpu.backend({ watched: true })));
}
