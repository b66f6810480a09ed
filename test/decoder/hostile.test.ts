// A packed model whose tensors are not those that its config asks for is refused before a thread starts: kernels trust the
// shapes, so a smaller tensor under a larger one's name would have them read beyond it.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { pack } from '../../src/api/index.js';
import { openDecoder } from '../../src/decoder/index.js';
import { openPacked } from '../../src/packed/index.js';
import { makeFolder, makeTiny } from '../api/make.js';
import { codeOf } from '../checkpoint/make.js';
import { makeFamily } from '../families.js';
import { directoryOf, readBuffer, withDirectory } from '../packed/make.js';

test.each([
  ['a tensor is missing', 'model.norm.weight', 'other', 'E_CHECKPOINT_MISSING'],
  [
    'two have changed names',
    'model.layers.0.self_attn.k_proj.weight',
    'model.layers.0.mlp.up_proj.weight',
    'E_CHECKPOINT_SHAPE',
  ],
])('%s', async (_, one, other, code) => {
  const folder = await makeFolder();
  const path = join(folder, 'model.lw');
  await pack({ checkpoint: await makeTiny(join(folder, 'model'), { blocks: 1 }), out: path });
  const sound = await readBuffer(path);
  const directory = JSON.parse(directoryOf(sound)) as { tensors: { name: string }[] };
  for (const tensor of directory.tensors) {
    if (tensor.name === one) tensor.name = other;
    else if (tensor.name === other) tensor.name = one;
  }
  await writeFile(path, withDirectory(sound, JSON.stringify(directory)));
  const packed = await openPacked(path);
  expect(await codeOf(openDecoder(packed, { threads: 1 }))).toBe(code);
  await packed.close();
});

test('a router that is not exact is refused', async () => {
  const folder = await makeFolder();
  const path = join(folder, 'mixture.lw');
  await pack({ checkpoint: await makeFamily(join(folder, 'model'), 'mixtral'), out: path });
  const sound = await readBuffer(path);
  const directory = JSON.parse(directoryOf(sound)) as { tensors: { name: string; role: string }[] };
  for (const tensor of directory.tensors) if (tensor.name === 'lm_head.weight') tensor.role = 'router';
  await writeFile(path, withDirectory(sound, JSON.stringify(directory)));
  await expect(openPacked(path)).rejects.toMatchObject({
    code: 'E_CHECKPOINT_PACKED_TENSOR',
    message: expect.stringContaining('expected router in f32, got int8'),
  });
});
