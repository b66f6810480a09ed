// The runtime's kernels in a page, as a browser loads them: the built files, served; memory shared where the page is
// isolated, and the variant for one thread where it is not. The results are those of Node, to the last bit.

import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  encodeFixedTiles,
  type LinearLayout,
  plainMultiplyQuantised,
  plainQuantise,
  SUMS_BYTES,
} from '../../src/kernels/index.js';
import { startBrowser } from '../browser.js';
import { quantised } from './matrices.js';

const FOLDER = fileURLToPath(new URL('../../dist/kernels/', import.meta.url));
const TYPES: Readonly<Record<string, string>> = { js: 'text/javascript', wasm: 'application/wasm' };
const started = await startBrowser();
if ('reason' in started) console.warn(`skipped: kernels in a page (${started.reason})`);

let server: Server;
beforeAll(async () => {
  server = createServer(async ({ url = '/' }, response) => {
    const isolated = url.startsWith('/isolated/');
    if (isolated) {
      response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
      response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    }
    const name = url.replace(/^\/(isolated|plain)\//, '');
    if (name === '')
      return response.setHeader('Content-Type', 'text/html').end('<!doctype html><title>kernels</title>');
    try {
      const body = await readFile(FOLDER + name);
      response.setHeader('Content-Type', TYPES[name.split('.').at(-1)!] ?? 'text/plain').end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  server.close();
  if ('browser' in started) await started.browser.close();
});

const matrix = quantised({ rows: 21, columns: 300, density: 0.25, saturated: false, seed: 4 }, 'int4');
const encoded = encodeFixedTiles(matrix);
const x = Float32Array.from({ length: 300 }, (_, i) => Math.sin(i));

/** What runs in the page; it sees nothing of this file. */
async function multiplyInPage(call: {
  file: string;
  shared: boolean;
  layout: LinearLayout;
  parts: number[][];
  x: number[];
  sumsBytes: number;
}) {
  const page = globalThis as unknown as { crossOriginIsolated: boolean; location: { href: string } };
  // Vitest would put its own loader in the place of an import that it sees.
  const load = new Function('name', 'return import(new URL(name, location.href).href)');
  const { createRuntimeKernels } = (await load('runtime-kernels.js')) as typeof import('../../src/kernels/index.js');
  const { compileRuntime, createRuntimeMemory } = (await load(
    'runtime-module.js',
  )) as typeof import('../../src/kernels/index.js');
  const bytes = new Uint8Array(await (await fetch(new URL(call.file, page.location.href).href)).arrayBuffer());
  const memory = createRuntimeMemory(4, call.shared);
  const kernels = createRuntimeKernels(compileRuntime(bytes), memory);
  let used = 1024;
  const take = (size: number): number => {
    const address = used;
    used += Math.ceil(size / 64) * 64;
    return address;
  };
  const parts = call.parts.map((part) => {
    const address = take(part.length);
    new Uint8Array(memory.buffer).set(part, address);
    return address;
  });
  const linear = kernels.bindLinear(call.layout, parts);
  const source = { address: take(4 * linear.columns), stride: 4 * linear.columns };
  new Float32Array(memory.buffer).set(call.x, source.address / 4);
  const quantised = { address: take(512), stride: 512, scales: take(4) };
  kernels.quantise({ x: source, y: quantised, count: linear.columns, from: 0, to: 1 });
  const y = { address: take(4 * linear.rows), stride: 4 * linear.rows };
  linear.multiply({ x: quantised, y, tokens: 1, from: 0, to: linear.groups, sums: take(call.sumsBytes) });
  return {
    isolated: page.crossOriginIsolated,
    shared: memory.buffer.constructor.name,
    y: [...new Float32Array(memory.buffer, y.address, linear.rows)],
  };
}

test.skipIf('reason' in started).each([
  ['isolated', 'runtime.wasm', true, 'SharedArrayBuffer'],
  ['plain', 'runtime-single.wasm', false, 'ArrayBuffer'],
] as const)('%s page, %s', async (folder, file, shared, buffer) => {
  if (!('browser' in started)) return;
  const page = await started.browser.newPage();
  const { port } = server.address() as AddressInfo;
  await page.goto(`http://127.0.0.1:${port}/${folder}/`);
  const parts = encoded.parts.map((part) => [...part]);
  const call = { file, shared, layout: encoded.layout, parts, x: [...x], sumsBytes: SUMS_BYTES };
  const result = await page.evaluate(multiplyInPage, call);
  expect(result.isolated).toBe(shared);
  expect(result.shared).toBe(buffer);
  expect(Float32Array.from(result.y)).toEqual(plainMultiplyQuantised(encoded, plainQuantise(x)));
  await page.close();
});
