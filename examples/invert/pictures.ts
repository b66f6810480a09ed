// Images to and from files: tensors of a safetensors file, and PNG (8 bits, grey or RGB), rows of images side by side.

import { readFile, writeFile } from 'node:fs/promises';
import { crc32, deflateSync } from 'node:zlib';
import { readSafetensors } from 'layerwise';

/** The tensor `images` of a file, float32 of [count, channels, height, width] in [0, 1]. */
export async function readImages(path: string) {
  const { tensors } = await readSafetensors(path);
  const images = tensors.get('images');
  if (images?.dtype !== 'F32' || images.shape.length !== 4) {
    throw new Error(`${path}: expected a tensor images of F32 [count, channels, height, width].`);
  }
  const bytes = new Uint8Array(await readFile(path)).slice(images.offset, images.offset + images.length);
  const [count, channels, height, width] = images.shape as [number, number, number, number];
  return { data: new Float32Array(bytes.buffer), count, shape: [channels, height, width] as const };
}

/** Rows of images of one shape, every pixel a square of `scale`, with a line of white between two images. */
export async function writePicture(
  path: string,
  rows: readonly (readonly Float32Array[])[],
  [channels, height, width]: readonly [number, number, number],
  scale: number,
): Promise<void> {
  const [across, down] = [rows[0]!.length, rows.length];
  const [W, H] = [across * (width * scale + 1) - 1, down * (height * scale + 1) - 1];
  const lines = new Uint8Array(H * (1 + W * channels)).fill(255);
  for (let y = 0; y < H; y++) {
    lines[y * (1 + W * channels)] = 0; // no filter
    const [row, v] = [Math.floor(y / (height * scale + 1)), Math.floor((y % (height * scale + 1)) / scale)];
    if (v >= height) continue;
    for (let x = 0; x < W; x++) {
      const [column, u] = [Math.floor(x / (width * scale + 1)), Math.floor((x % (width * scale + 1)) / scale)];
      if (u >= width) continue;
      for (let c = 0; c < channels; c++) {
        const value = rows[row]![column]![(c * height + v) * width + u]!;
        lines[y * (1 + W * channels) + 1 + x * channels + c] = Math.round(255 * Math.min(1, Math.max(0, value)));
      }
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(W, 0);
  header.writeUInt32BE(H, 4);
  header.set([8, channels === 1 ? 0 : 2, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const data = deflateSync(lines, { level: 9 });
  await writeFile(
    path,
    Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', data), chunk('IEND', Buffer.alloc(0))]),
  );
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  check.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, check]);
}
