// A decoder of blocks that have unequal heads: the same bits on any number of threads, and alone as in a page.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from 'vitest';
import { silent } from '../../src/base/index.js';
import { openDecoderAlone } from '../../src/decoder/index.js';
import { describeTensors, openModel } from '../../src/model/index.js';
import { openPackedBytes, writePacked } from '../../src/packed/index.js';
import { makeDir } from '../checkpoint/make.js';
import { makeUneven } from '../uneven.js';
import { decodeAll, EXACT, INT8, openCheckpoint } from './make.js';

const kernels = await readFile(fileURLToPath(new URL('../../dist/kernels/runtime-single.wasm', import.meta.url)));
const tokens = Array.from({ length: 24 }, (_, i) => (i * 37) % 256);

let dir: string;
beforeAll(async () => {
  dir = await makeUneven(await makeDir());
});

test.each([
  ['f32', EXACT],
  ['int8', INT8],
  ['int4', { ...INT8, values: 'int4', head: 'int4' }],
] as const)('in %s', async (_, settings) => {
  const results: Float32Array[] = [];
  for (const threads of [1, 3]) {
    const decoder = await openCheckpoint(dir, settings, { threads });
    for (const stride of [tokens.length, 1, 5]) results.push(await decodeAll(decoder, tokens, stride));
    await decoder.close();
  }
  for (const result of results) expect(result).toEqual(results[0]);

  const { checkpoint, config, tensorNames } = await openModel(dir);
  const path = join(await makeDir(), 'model.lw');
  await writePacked(path, { checkpoint, tensors: describeTensors(config, tensorNames) }, settings, silent);
  const alone = await openDecoderAlone(await openPackedBytes(await readFile(path)), { kernels });
  expect(await decodeAll(alone, tokens)).toEqual(results[0]);
  await alone.close();
});
