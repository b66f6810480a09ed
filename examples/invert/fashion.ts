// Fashion-MNIST (Xiao, Rasul, Vollgraf 2017; MIT) from its IDX files, such as Debian's package dataset-fashion-mnist has them.
// A picture of 28 × 28 gets a border of two black pixels and is averaged over 2 × 2: 16 × 16 values in [0, 1].

import { readFile } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';

const [FROM, BORDER, SIDE] = [28, 2, 16];
const HEADER = 16;
const MAGIC = 0x803;

/** The pictures of a file `…-images-idx3-ubyte.gz`, one after the other. */
export async function readFashion(path: string, count: number): Promise<Float32Array<ArrayBuffer>> {
  const bytes = gunzipSync(await readFile(path));
  const [magic, there, rows, columns] = [0, 4, 8, 12].map((at) => bytes.readUInt32BE(at)) as [
    number,
    number,
    number,
    number,
  ];
  if (magic !== MAGIC || rows !== FROM || columns !== FROM || there < count) {
    throw new Error(
      `${path}: expected ${count} images of ${FROM} × ${FROM} in IDX, got ${there} of ${rows} × ${columns}.`,
    );
  }
  const images = new Float32Array(count * SIDE * SIDE);
  for (let i = 0; i < count; i++) {
    const start = HEADER + i * FROM * FROM;
    for (let y = 0; y < FROM; y++) {
      for (let x = 0; x < FROM; x++) {
        const to = ((y + BORDER) >> 1) * SIDE + ((x + BORDER) >> 1);
        images[i * SIDE * SIDE + to]! += bytes[start + y * FROM + x]! / (4 * 255);
      }
    }
  }
  return images;
}
