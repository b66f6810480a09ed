// Packed models in a page, as those who use the package get there: `layerwise/browser` and the kernels bundled by Vite,
// served without cross-origin isolation, opened by headless Chromium. Logits are those of Node's pool of threads to the
// last bit, texts the same, and a damaged file is refused with the same code.

import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silent } from '../../src/base/index.js';
import type * as Browser from '../../src/browser.js';
import { openDecoder } from '../../src/decoder/index.js';
import { generateText, openForText } from '../../src/generation/index.js';
import { describeTensors, openModel } from '../../src/model/index.js';
import { openPacked, type PackSettings, partOffsets, writePacked } from '../../src/packed/index.js';
import { SOFTWARE_GPU, startBrowser } from '../browser.js';
import { codeOf } from '../checkpoint/make.js';
import { decodeAll, EXACT, INT8 } from '../decoder/make.js';
import { furthest, goldenDir, readGolden } from '../model/golden.js';
import { directoryOf, INT4, readBuffer, withDirectory } from '../packed/make.js';
import { limit } from '../scale.js';
import { LOGITS } from '../tolerances.js';
import { makeUneven } from '../uneven.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.wasm': 'application/wasm',
};
const started = await startBrowser(SOFTWARE_GPU);
if ('reason' in started) console.warn(`skipped: packed models in a page (${started.reason})`);

let folder: string;
let site: string;
let server: Server;
let page: Page;
let origin: string;

beforeAll(async () => {
  if (!('browser' in started)) return;
  folder = await mkdtemp(join(tmpdir(), 'layerwise-page-'));
  site = join(folder, 'dist');
  await bundle();
  server = createServer(async ({ url = '/' }, response) => {
    const name = url === '/' ? 'index.html' : url;
    try {
      const body = await readFile(join(site, name));
      response.setHeader('Content-Type', TYPES[extname(name)] ?? 'application/octet-stream').end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  page = await started.browser.newPage();
  await page.goto(origin);
});
afterAll(async () => {
  if (!('browser' in started)) return;
  await started.browser.close();
  server?.close();
  await rm(folder, { recursive: true, force: true });
});

/** A project of its own that has the package installed: a page for the tests, one with a worker, and the example. */
async function bundle(): Promise<void> {
  await mkdir(join(folder, 'node_modules'));
  await symlink(root, join(folder, 'node_modules/layerwise'), 'junction');
  const script = (name: string): string =>
    `<!doctype html><title>test</title><script type="module" src="/${name}"></script>`;
  await writeFile(join(folder, 'index.html'), script('main.js'));
  await writeFile(
    join(folder, 'main.js'),
    `import * as layerwise from 'layerwise/browser';
     globalThis.layerwise = layerwise;
     globalThis.startWorker = () => new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });`,
  );
  await writeFile(
    join(folder, 'worker.js'),
    `import { generateText, openBytesForText } from 'layerwise/browser';
     onmessage = async ({ data: { url, request } }) => {
       const model = await openBytesForText(await fetch(url));
       postMessage((await generateText(model, request)).text);
     };`,
  );
  await copyFile(join(root, 'examples/page.html'), join(folder, 'example.html'));
  const result = await build({
    root: folder,
    configFile: false,
    logLevel: 'error',
    worker: { format: 'es' },
    build: {
      outDir: site,
      rolldownOptions: { input: ['index.html', 'example.html'].map((name) => join(folder, name)) },
    },
  });
  const outputs = [result].flat().flatMap((one) => ('output' in one ? one.output : []));
  const modules = outputs.flatMap((one) => (one.type === 'chunk' ? one.moduleIds : []));
  expect(modules.filter((id) => id.includes('layerwise') || id.includes('/dist/')).length).toBeGreaterThan(30);
  // What Vite puts in the place of Node's modules.
  expect(modules.filter((id) => id.includes('browser-external'))).toEqual([]);
}

const UNEVEN = 'uneven';

/** A golden checkpoint, or one whose blocks have unequal widths. */
const dirOf = async (name: string): Promise<string> =>
  name === UNEVEN ? await makeUneven(join(folder, name)) : goldenDir(name);

/** Packs a tiny checkpoint into the site, and returns where it lies on disk. */
async function serve(name: string, settings: PackSettings, as: string): Promise<string> {
  const { checkpoint, config, tensorNames } = await openModel(await dirOf(name));
  const path = join(site, as);
  await writePacked(path, { checkpoint, tensors: describeTensors(config, tensorNames) }, settings, silent);
  return path;
}

/** What runs in the page; it sees nothing of this file. */
type InPage = { readonly layerwise: typeof Browser; startWorker(): unknown; crossOriginIsolated: boolean };

type Asked = { url: string; tokens: number[]; as: string; device?: 'webgpu' };

async function decodeInPage({ url, tokens, as, device }: Asked) {
  const { layerwise, crossOriginIsolated } = globalThis as unknown as InPage;
  const { openBytes, LayerwiseError } = layerwise;
  try {
    const response = await fetch(url);
    const bytes =
      as === 'response'
        ? response
        : as === 'blob'
          ? await response.blob()
          : as === 'view'
            ? new Uint8Array(await response.arrayBuffer())
            : await response.arrayBuffer();
    const decoder = await openBytes(bytes, { positions: tokens.length, device });
    const sequence = decoder.open();
    const [logits] = await decoder.step([{ sequence, tokens, logits: 'all' }]);
    // Greedily, as many tokens again, each of which is read before the next.
    decoder.truncate(sequence, 0);
    const greedy: number[] = [];
    for (let token = tokens[0]!; greedy.length + 1 < tokens.length; ) {
      const [row] = await decoder.step([{ sequence, tokens: [token], logits: 'last' }]);
      token = row!.indexOf(Math.max(...row!));
      greedy.push(token);
    }
    const { threads } = decoder.info;
    await decoder.close();
    return { bits: [...new Uint32Array(logits!.buffer)], greedy, threads, isolated: crossOriginIsolated };
  } catch (error) {
    if (error instanceof LayerwiseError) return { code: error.code };
    throw error;
  }
}

async function generateInPage({ url, request }: { url: string; request: Browser.GenerateRequest }) {
  const { openBytesForText, generateText } = (globalThis as unknown as InPage).layerwise;
  const model = await openBytesForText(await fetch(url));
  const pieces: string[] = [];
  const { text } = await generateText(model, { ...request, onText: (piece) => void pieces.push(piece) });
  await model.close();
  return { text, pieces };
}

describe.skipIf('reason' in started)('token ids in, logits out', () => {
  test.each([
    ['llama', 'int8', INT8, 'response'],
    ['llama', 'int4', INT4, 'blob'],
    ['gemma2', 'int8', INT8, 'view'],
    ['gpt_neox', 'f32', EXACT, 'buffer'],
    ['gpt2', 'int8', INT8, 'response'],
    [UNEVEN, 'int8', INT8, 'view'],
  ] as const)('%s in %s: the bits that Node gives', async (name, values, settings, as) => {
    const file = `${name}-${values}.lw`;
    const path = await serve(name, settings, file);
    const tokens = [...(await readGolden(name === UNEVEN ? 'llama' : name)).windows.windows[0]!];
    const packed = await openPacked(path);
    const decoder = await openDecoder(packed, { threads: 2, positions: tokens.length });
    const logits = await decodeAll(decoder, tokens);
    const sequence = decoder.open();
    const greedy: number[] = [];
    for (let token = tokens[0]!; greedy.length + 1 < tokens.length; ) {
      const [row] = await decoder.step([{ sequence, tokens: [token], logits: 'last' }]);
      token = row!.indexOf(Math.max(...row!));
      greedy.push(token);
    }
    await decoder.close();
    await packed.close();
    const result = await page.evaluate(decodeInPage, { url: `/${file}`, tokens, as });
    expect(result).toEqual({ bits: [...new Uint32Array(logits.buffer)], greedy, threads: 1, isolated: false });
  });
});

describe.skipIf('reason' in started)('on the page’s GPU', () => {
  test('a model in f32: the logits of Node, prompt and token after token', async (context) => {
    const path = await serve('llama', EXACT, 'llama-gpu.lw');
    const tokens = [...(await readGolden('llama')).windows.windows[0]!];
    const packed = await openPacked(path);
    const decoder = await openDecoder(packed, { threads: 2, positions: tokens.length });
    const logits = await decodeAll(decoder, tokens);
    await decoder.close();
    await packed.close();
    const asked = { url: '/llama-gpu.lw', tokens, as: 'buffer', device: 'webgpu' } as const;
    const result = await page.evaluate(decodeInPage, asked);
    if (result.code === 'E_RESOURCE_DEVICE') {
      console.warn('skipped: a model on the GPU of a page (this browser has no adapter)');
      return context.skip();
    }
    expect(result.greedy).toHaveLength(tokens.length - 1);
    expect(furthest(new Float32Array(Uint32Array.from(result.bits!).buffer), logits)).toBeLessThanOrEqual(LOGITS);
  });

  test('a page without WebGPU is told so, by name', async () => {
    if (!('browser' in started)) return;
    const context = await started.browser.newContext();
    const plain = await context.newPage();
    await plain.addInitScript('Object.defineProperty(navigator, "gpu", { value: undefined })');
    await plain.goto(origin);
    await serve('llama', INT8, 'llama-none.lw');
    const asked = { url: '/llama-none.lw', tokens: [1, 2], as: 'buffer', device: 'webgpu' as const };
    expect(await plain.evaluate(decodeInPage, asked)).toEqual({ code: 'E_RESOURCE_DEVICE' });
    await context.close();
  });
});

describe.skipIf('reason' in started)('text in, text out', () => {
  const ask = (temperature: number) => ({
    prompt: 'The night was',
    maxTokens: 40,
    sampling: { temperature, topP: 0.95, seed: 5 },
  });
  const fromNode: Record<number, string> = {};
  beforeAll(async () => {
    const { checkpoint, config, tensorNames } = await openModel(join(root, 'demo/model'));
    const path = join(site, 'demo.lw');
    await writePacked(path, { checkpoint, tensors: describeTensors(config, tensorNames) }, INT8, silent);
    const model = await openForText(path, { threads: 2, sequences: 1, onProgress: silent });
    for (const temperature of [0, 0.9]) fromNode[temperature] = (await generateText(model, ask(temperature))).text;
    await model.close();
    expect(fromNode[0]).not.toBe(fromNode[0.9]);
  });

  test.each([0, 0.9])('at temperature %d, piece by piece', async (temperature) => {
    const { text, pieces } = await page.evaluate(generateInPage, { url: '/demo.lw', request: ask(temperature) });
    expect(text).toBe(fromNode[temperature]);
    expect(pieces.join('')).toBe(text);
    expect(pieces.length).toBeGreaterThan(10);
  });

  test('in a worker of the page', async () => {
    const text = await page.evaluate(
      ({ url, request }) =>
        new Promise((resolve, reject) => {
          const worker = (globalThis as unknown as InPage).startWorker() as {
            onmessage: (event: { data: unknown }) => void;
            onerror: (event: { message: string }) => void;
            postMessage(message: unknown): void;
          };
          worker.onmessage = ({ data }) => resolve(data);
          worker.onerror = ({ message }) => reject(new Error(message));
          worker.postMessage({ url, request });
        }),
      { url: `${origin}/demo.lw`, request: ask(0.9) },
    );
    expect(text).toBe(fromNode[0.9]);
  });

  test('the example', async () => {
    if (!('browser' in started)) return;
    const other = await started.browser.newPage();
    await other.goto(`${origin}/example.html`);
    await other.setInputFiles('input', join(site, 'demo.lw'));
    const model = await openForText(join(site, 'demo.lw'), { threads: 1, sequences: 1, onProgress: silent });
    const sampling = { temperature: 0.8, topP: 0.95, seed: 1 };
    const { text } = await generateText(model, { prompt: 'Once upon a time', maxTokens: 50, sampling });
    await model.close();
    await expect.poll(() => other.textContent('pre'), { timeout: limit(30_000) }).toBe(text);
    await other.close();
  });
});

describe.skipIf('reason' in started)('what is damaged has the same code as in Node', () => {
  let sound: Buffer;
  let tokens: number[];
  beforeAll(async () => {
    sound = await readBuffer(await serve('llama', { ...INT8, layout: 'tiles' }, 'sound.lw'));
    tokens = [...(await readGolden('llama')).windows.windows[0]!];
  });

  type Tensor = { name: string; sha256: string };
  type Directory = { files: { offset: number }[]; weights: { offset: number }; tensors: Tensor[] };
  const flipped = (at: number): Buffer => {
    const bytes = Buffer.from(sound);
    bytes[at]! ^= 1;
    return bytes;
  };
  const changed = (change: (directory: Directory) => void): Buffer => {
    const directory = JSON.parse(directoryOf(sound)) as Directory;
    change(directory);
    return withDirectory(sound, JSON.stringify(directory));
  };
  const directory = () => JSON.parse(directoryOf(sound)) as Directory;

  test.each<[what: string, make: () => Promise<Buffer> | Buffer, code: string]>([
    ['nothing', () => sound, 'no error'],
    ['cut', () => sound.subarray(0, sound.length - 1), 'E_CHECKPOINT_PACKED'],
    ['not one at all', () => Buffer.from('<!doctype html>'.repeat(20)), 'E_CHECKPOINT_PACKED'],
    ['empty', () => Buffer.alloc(0), 'E_CHECKPOINT_PACKED'],
    ['of another version', () => flipped(8), 'E_UNSUPPORTED_PACKED_VERSION'],
    ['its directory', () => flipped(sound.length - 20), 'E_CHECKPOINT_PACKED_CHECKSUM'],
    ['its config', () => flipped(directory().files[0]!.offset + 9), 'E_CHECKPOINT_PACKED_CHECKSUM'],
    ['a tensor short', () => changed(({ tensors }) => (tensors.at(-1)!.name = 'other')), 'E_CHECKPOINT_MISSING'],
    ['a scale', scaleOfNothing, 'E_CHECKPOINT_PACKED_TENSOR'],
  ])('%s', async (_, make, code) => {
    const bytes = await make();
    const path = join(site, 'damaged.lw');
    await writeFile(path, bytes);
    const inNode = async (): Promise<void> => {
      const packed = await openPacked(path);
      try {
        await (await openDecoder(packed, { threads: 1 })).close();
      } finally {
        await packed.close();
      }
    };
    expect(await codeOf(inNode())).toBe(code);
    for (const as of ['response', 'buffer', 'blob']) {
      const result = await page.evaluate(decodeInPage, { url: '/damaged.lw', tokens, as });
      expect('code' in result ? result.code : 'no error').toBe(code);
    }
  });

  /** The last number of a linear's scales is no number. */
  async function scaleOfNothing(): Promise<Buffer> {
    const packed = await openPacked(join(site, 'sound.lw'));
    const tensor = [...packed.tensors.values()].find(({ role }) => role === 'linear')!;
    const bytes = Buffer.from(sound);
    const at = packed.directory.weights.offset + partOffsets(tensor).at(-1)!;
    bytes.writeFloatLE(Number.NaN, at);
    await packed.close();
    return bytes;
  }

  test('a file that is not there, and a page without checksums', async () => {
    const absent = { url: '/absent.lw', tokens, as: 'response' };
    expect(await page.evaluate(decodeInPage, absent)).toEqual({ code: 'E_REMOTE_STATUS' });
    if (!('browser' in started)) return;
    const insecure = await started.browser.newPage();
    await insecure.addInitScript(() => Object.defineProperty(globalThis.crypto, 'subtle', { value: undefined }));
    await insecure.goto(origin);
    const asked = { url: '/sound.lw', tokens, as: 'response' };
    expect(await insecure.evaluate(decodeInPage, asked)).toEqual({ code: 'E_UNSUPPORTED_PAGE' });
    await insecure.close();
  });
});
