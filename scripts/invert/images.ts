// The images that examples/invert.ts shows: the first of Fashion-MNIST's test images, which the generator was not trained on.
//
//   node build/scripts/invert/images.js /usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz demo/generator

import { join } from 'node:path';
import { writeSafetensors } from '#src/checkpoint';
import { fromFloat32 } from '#src/tensor';
import { SIDE } from '../../examples/invert/decoder.js';
import { readFashion } from '../../examples/invert/fashion.js';

const COUNT = 16;

const [source, folder] = process.argv.slice(2);
if (source === undefined || folder === undefined)
  throw new Error('usage: images.js <t10k-images-idx3-ubyte.gz> <folder>');
const images = await readFashion(source, COUNT);
await writeSafetensors(join(folder, 'images.safetensors'), [
  { name: 'images', dtype: 'F32', shape: [COUNT, 1, SIDE, SIDE], read: async () => fromFloat32(images, 'F32') },
]);
