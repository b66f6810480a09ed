// A decoder that the calling thread runs alone, in memory that is not shared, from the bytes of a file: what a page does,
// here in Node. Its logits are a pool's.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { silent } from '../../src/base/index.js';
import { openDecoderAlone } from '../../src/decoder/index.js';
import { FIRST, GAP, TRY } from '../../src/decoder/wasm/company.js';
import { describeTensors, openModel } from '../../src/model/index.js';
import { openPackedBytes, type PackedFile, writePacked } from '../../src/packed/index.js';
import { codeOf, makeDir } from '../checkpoint/make.js';
import { goldenDir, readGolden } from '../model/golden.js';
import { decodeAll, INT8, openCheckpoint } from './make.js';

const kernels = await readFile(fileURLToPath(new URL('../../dist/kernels/runtime-single.wasm', import.meta.url)));

async function packedOf(name: string): Promise<PackedFile> {
  const { checkpoint, config, tensorNames } = await openModel(goldenDir(name));
  const path = join(await makeDir(), 'model.lw');
  await writePacked(path, { checkpoint, tensors: describeTensors(config, tensorNames) }, INT8, silent);
  return await openPackedBytes(await readFile(path));
}

test.each(['llama', 'gemma2', 'gpt_neox'])('%s: the bits of a pool', async (name) => {
  const tokens = [...(await readGolden(name)).windows.windows[0]!];
  const pool = await openCheckpoint(goldenDir(name), INT8, { threads: 2, sequences: 2 });
  const alone = await openDecoderAlone(await packedOf(name), { kernels, sequences: 2 });
  expect(alone.info).toEqual({ ...pool.info, threads: 1 });
  const logits = await decodeAll(pool, tokens);
  for (const stride of [tokens.length, 3]) expect(await decodeAll(alone, tokens, stride)).toEqual(logits);
  expect(await alone.measureBandwidth()).toBeGreaterThan(0);
  await Promise.all([alone.close(), pool.close()]);
  expect(await codeOf(alone.step([{ sequence: alone.open(), tokens: [1], logits: 'last' }]))).toBe('E_INTERNAL_CLOSED');
});

test('passes that the leader of a pool tries alone have the bits of the others', async () => {
  const tokens = [...(await readGolden('llama')).windows.windows[0]!];
  const pool = await openCheckpoint(goldenDir('llama'), INT8, { threads: 2, sequences: 8 });
  const logits = await decodeAll(pool, tokens);
  // Enough passes of one token for some tries.
  for (let passes = 0; passes < 2 * (FIRST + GAP.first + TRY); passes += tokens.length) {
    expect(await decodeAll(pool, tokens, 1)).toEqual(logits);
  }
  await pool.close();
});

test('kernels that cannot be had, or are none, are named', async () => {
  const packed = await packedOf('llama');
  for (const wrong of ['http://127.0.0.1:1/kernels.wasm', new Uint8Array(100)]) {
    const opening = openDecoderAlone(packed, { kernels: wrong });
    await expect(opening).rejects.toMatchObject({
      code: 'E_RESOURCE_KERNELS',
      message: expect.stringContaining(typeof wrong === 'string' ? wrong : '100 bytes'),
    });
  }
});
