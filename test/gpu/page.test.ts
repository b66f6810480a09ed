// The kernels in a page: the same WGSL, compiled by the browser, and the twin's bits there too.

import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createRng } from '../../src/base/index.js';
import { SMALL } from '../../src/gpu/kernels/prompt.js';
import { encodeDense, encodeFixedTiles, encodeMaskedTiles, encodeSortedTiles } from '../../src/layouts/index.js';
import { SOFTWARE_GPU, startBrowser } from '../browser.js';
import { quantised } from '../kernels/matrices.js';
import { linearCase } from './calls.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const started = await startBrowser(SOFTWARE_GPU);
if ('reason' in started) console.warn(`skipped: kernels on the GPU of a page (${started.reason})`);

let server: Server;
beforeAll(async () => {
  server = createServer(async ({ url = '/' }, response) => {
    if (url === '/')
      return response.setHeader('Content-Type', 'text/html').end('<!doctype html><title>kernels</title>');
    try {
      const body = await readFile(ROOT + url.slice(1));
      response.setHeader('Content-Type', 'text/javascript').end(body);
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

const shape = { rows: 21, columns: 300, saturated: false };
const linears = (['int8', 'int4', 'int3', 'int2'] as const).flatMap((values) => {
  const dense = encodeDense(quantised({ ...shape, density: 1, seed: 4 }, values));
  if (values === 'int3' || values === 'int2') return [dense];
  const sparse = quantised({ ...shape, density: 0.15, seed: 5 }, values);
  const masks = values === 'int4' ? [encodeMaskedTiles(sparse, 8)] : [];
  return [dense, encodeFixedTiles(sparse), encodeSortedTiles(sparse), ...masks];
});

/** What runs in the page; it sees nothing of this file. */
async function multiplyInPage(
  calls: { code: string; weights: number[]; arena: number[]; parameters: object; x: number; y: number }[],
) {
  // Vitest would put its own loader in the place of an import that it sees.
  const load = new Function('name', 'return import(new URL(name, location.href).href)');
  const api = await load('dist/gpu/portable.js');
  const { runKernel } = await load('test/gpu/run-kernel.mjs');
  const { gpu: entry } = (globalThis as unknown as { navigator: { gpu?: unknown } }).navigator;
  let gpu: { close(): void };
  try {
    gpu = await api.openGpu(entry);
  } catch (error) {
    return { reason: String(error), results: [] };
  }
  const results: number[][] = [];
  for (const { code, weights, arena, parameters, x, y } of calls) {
    const data = { weights: Uint8Array.from(weights), arena: Uint32Array.from(arena), cache: new Float32Array(4) };
    results.push([...(await runKernel(api, gpu, { code, ...data, parameters, x, y }))]);
  }
  gpu.close();
  return { reason: undefined, results };
}

test.skipIf('reason' in started)('every layout: the twin’s bits', async (context) => {
  if (!('browser' in started)) return;
  const page = await started.browser.newPage();
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  const rng = createRng(2);
  const xs = Array.from({ length: 3 }, () => Float32Array.from({ length: 300 }, () => 2 * rng.uniform() - 1));
  const all = linears.map((encoded, i) => linearCase(encoded, xs, i % 2 === 0 ? SMALL : 4));
  const calls = all.map(({ call: { code, weights, arena, parameters, x, y } }) => {
    return { code, weights: [...weights], arena: [...arena], parameters, x, y };
  });
  const { reason, results } = await page.evaluate(multiplyInPage, calls);
  await page.close();
  if (reason !== undefined) {
    console.warn(`skipped: kernels on the GPU of a page (${reason})`);
    return context.skip();
  }
  for (const [i, { expected, read }] of all.entries()) {
    expect(read(Uint32Array.from(results[i]!)), JSON.stringify({ ...linears[i]!.layout, parts: [] })).toEqual(expected);
  }
});
