// The runtime's kernels in a page, as a browser loads them: the built files, served; memory shared where the page is
// isolated, and the variant for one thread where it is not. The results are those of Node, to the last bit.

import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { plainMultiplyQuantised, plainQuantise, sumsBytes } from '../../src/kernels/index.js';
import {
  activationBytes,
  encodeDense,
  encodeFixedTiles,
  encodeSortedTiles,
  type LinearLayout,
} from '../../src/layouts/index.js';
import { startBrowser } from '../browser.js';
import { quantised } from './matrices.js';

const FOLDER = fileURLToPath(new URL('../../dist/', import.meta.url));
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
    if (name === 'kernels/')
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

/** Every layout, and as many slots as a tile may have. */
const linears = (['int8', 'int4', 'int3', 'int2'] as const).flatMap((values) => {
  const whole = quantised({ rows: 21, columns: 300, density: 1, saturated: false, seed: 4 }, values);
  if (values === 'int3' || values === 'int2') return [encodeDense(whole)];
  const sparse = quantised({ rows: 21, columns: 300, density: 0.25, saturated: false, seed: 5 }, values);
  const slots = Array.from({ length: 16 }, (_, i) => i + 1);
  const some = (n: number) => ({ ...whole, q: whole.q.map((q, i) => ((i % 300) % 16 < n ? q : 0)) });
  return [encodeDense(whole), encodeSortedTiles(sparse), ...slots.map((n) => encodeFixedTiles(some(n), n))];
});
/** Numbers of tokens that go every way there is. */
const TOKENS = [1, 3, 29];
const vectors = Array.from({ length: 29 }, (_, token) =>
  plainQuantise(Float32Array.from({ length: 300 }, (_, i) => Math.sin(i * (token + 1)))),
);

type Call = {
  readonly file: string;
  readonly shared: boolean;
  readonly linears: readonly { readonly layout: LinearLayout; readonly parts: readonly (readonly number[])[] }[];
  readonly tokens: readonly number[];
  /** int8, with the zeros behind each. */
  readonly x: readonly (readonly number[])[];
  readonly scales: readonly number[];
  readonly sumsBytes: number;
};

/** What runs in the page; it sees nothing of this file. */
async function multiplyInPage({ file, shared, linears, tokens, x, scales, sumsBytes }: Call) {
  const page = globalThis as unknown as { crossOriginIsolated: boolean; location: { href: string } };
  // Vitest would put its own loader in the place of an import that it sees.
  const load = new Function('name', 'return import(new URL(name, location.href).href)');
  const { createRuntimeKernels } = (await load('runtime-kernels.js')) as typeof import('../../src/kernels/index.js');
  const { compileRuntime, createRuntimeMemory, hasByteDots } = (await load(
    'runtime-module.js',
  )) as typeof import('../../src/kernels/index.js');
  const told = { isolated: page.crossOriginIsolated, relaxed: hasByteDots() };
  if (file.includes('relaxed') && !told.relaxed) return { ...told, buffer: '', results: [] };
  const bytes = new Uint8Array(await (await fetch(new URL(file, page.location.href).href)).arrayBuffer());
  const memory = createRuntimeMemory(16, shared);
  const kernels = createRuntimeKernels(compileRuntime(bytes), memory);
  const results = linears.map(({ layout, parts }) => {
    let used = 1024;
    const take = (size: number): number => {
      const address = used;
      used += Math.ceil(size / 64) * 64;
      return address;
    };
    const put = (numbers: readonly number[]): number => {
      const address = take(numbers.length);
      new Uint8Array(memory.buffer).set(numbers, address);
      return address;
    };
    const linear = kernels.bindLinear(layout, parts.map(put));
    const rows = { address: put(x.flat()), stride: x[0]!.length, scales: take(4 * x.length) };
    new Float32Array(memory.buffer).set(scales, rows.scales / 4);
    const y = { address: take(4 * x.length * linear.rows), stride: 4 * linear.rows };
    const sums = take(sumsBytes);
    return tokens.map((count) => {
      linear.multiply({ x: rows, y, tokens: count, from: 0, to: linear.groups, sums });
      return [...new Float32Array(memory.buffer, y.address, count * linear.rows)];
    });
  });
  return { ...told, buffer: memory.buffer.constructor.name, results };
}

test.skipIf('reason' in started).each([
  ['isolated', 'runtime.wasm', true, 'SharedArrayBuffer'],
  ['isolated', 'runtime-relaxed.wasm', true, 'SharedArrayBuffer'],
  ['plain', 'runtime-single.wasm', false, 'ArrayBuffer'],
  ['plain', 'runtime-single-relaxed.wasm', false, 'ArrayBuffer'],
] as const)('%s page, %s', async (folder, file, shared, buffer) => {
  if (!('browser' in started)) return;
  const page = await started.browser.newPage();
  const { port } = server.address() as AddressInfo;
  await page.goto(`http://127.0.0.1:${port}/${folder}/kernels/`);
  const result = await page.evaluate(multiplyInPage, {
    ...{ file, shared, tokens: TOKENS, sumsBytes: sumsBytes(300, 29) },
    linears: linears.map(({ layout, parts }) => ({ layout, parts: parts.map((part) => [...part]) })),
    x: vectors.map(({ q }) => Array.from({ length: activationBytes(300) }, (_, i) => q[i] ?? 0)),
    scales: vectors.map(({ scale }) => scale),
  });
  await page.close();
  expect(result.isolated).toBe(shared);
  if (file.includes('relaxed') && !result.relaxed) {
    console.warn(`skipped: ${file} in a page (this browser or processor has no dot product of bytes)`);
    return;
  }
  expect(result.buffer).toBe(buffer);
  for (const [i, encoded] of linears.entries()) {
    const expected = vectors.map((x) => [...plainMultiplyQuantised(encoded, x)]);
    for (const [j, count] of TOKENS.entries()) {
      const what = JSON.stringify({ ...encoded.layout, parts: [], tokens: count });
      expect(result.results[i]![j], what).toEqual(expected.slice(0, count).flat());
    }
  }
});
