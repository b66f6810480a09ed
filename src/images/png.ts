// PNG, decoded here: Node inflates, the rest is a page of code that cannot end the process or grow without bound. Colours
// become RGB as Pillow's convert('RGB') makes them: alpha and transparent colours are dropped, grey of 1, 2 and 4 bits is
// stretched to 8. Every checksum is checked. 16 bits a channel are refused: Pillow clips grey ones, others round.

import { promisify } from 'node:util';
import { crc32, inflate } from 'node:zlib';
import { checkSize, invalidImage, unsupportedImage } from './errors.js';
import { readOrientation } from './exif.js';
import type { Image } from './pixels.js';

const [GREY, RGB, PALETTE, GREY_ALPHA, RGBA] = [0, 2, 3, 4, 6];
const CHANNELS: Readonly<Record<number, number>> = { [GREY]: 1, [RGB]: 3, [PALETTE]: 1, [GREY_ALPHA]: 2, [RGBA]: 4 };
const DEPTHS: Readonly<Record<number, readonly number[]>> = {
  [GREY]: [1, 2, 4, 8, 16],
  [RGB]: [8, 16],
  [PALETTE]: [1, 2, 4, 8],
  [GREY_ALPHA]: [8, 16],
  [RGBA]: [8, 16],
};

/** Adam7: first column, first row, steps. */
const PASSES = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

export type PngHeader = {
  readonly width: number;
  readonly height: number;
  readonly orientation: number;
  readonly depth: number;
  readonly colour: number;
  readonly interlaced: boolean;
  readonly palette: Uint8Array | undefined;
  readonly data: readonly Uint8Array[];
};

/** Walks the chunks. @throws as `decodePng` */
export function readPngHeader(bytes: Uint8Array, name: string): PngHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const truncated = (): Error => invalidImage(name, `the PNG ends early, after ${bytes.length} bytes`);
  let header: ReturnType<typeof readIhdr> | undefined;
  let palette: Uint8Array | undefined;
  let orientation = 1;
  const data: Uint8Array[] = [];
  for (let at = 8; ; ) {
    if (at + 12 > bytes.length) throw truncated();
    const length = view.getUint32(at);
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (at + 12 + length > bytes.length) throw truncated();
    const body = bytes.subarray(at + 8, at + 8 + length);
    if (crc32(bytes.subarray(at + 4, at + 8 + length)) !== view.getUint32(at + 8 + length)) {
      throw invalidImage(name, `the checksum of the PNG chunk ${JSON.stringify(kind)} does not fit`);
    }
    if ((kind === 'IHDR') !== (header === undefined)) throw invalidImage(name, 'a PNG begins with one header chunk');
    if (kind === 'IHDR') header = readIhdr(body, name);
    else if (kind === 'acTL') throw unsupportedImage(name, 'an animated PNG');
    else if (kind === 'PLTE') palette = body;
    else if (kind === 'eXIf') orientation = readOrientation(body);
    else if (kind === 'IDAT') data.push(body);
    else if (kind === 'IEND') break;
    at += 12 + length;
  }
  if (!header || data.length === 0) throw invalidImage(name, 'the PNG has no pixels');
  if (header.colour === PALETTE && !palette) throw invalidImage(name, 'the PNG has no palette');
  if (palette && palette.length % 3 !== 0) throw invalidImage(name, 'the palette of the PNG is cut off');
  return { ...header, palette, orientation, data };
}

function readIhdr(body: Uint8Array, name: string) {
  if (body.length !== 13) throw invalidImage(name, 'the header of the PNG has a wrong length');
  const view = new DataView(body.buffer, body.byteOffset, 13);
  const [width, height, depth, colour] = [view.getUint32(0), view.getUint32(4), body[8]!, body[9]!];
  if (!DEPTHS[colour]?.includes(depth)) throw invalidImage(name, `the PNG has colour type ${colour} of ${depth} bits`);
  if (body[10] !== 0 || body[11] !== 0 || body[12]! > 1) {
    throw invalidImage(name, 'the PNG names a compression, filter or interlacing that PNG does not have');
  }
  checkSize(width, height, name);
  if (depth === 16) throw unsupportedImage(name, 'a PNG of 16 bits a channel');
  return { width, height, depth, colour, interlaced: body[12] === 1 };
}

type Pass = {
  readonly x: number;
  readonly y: number;
  readonly dx: number;
  readonly dy: number;
  readonly columns: number;
  readonly rows: number;
  readonly stride: number;
};

function passesOf({ width, height, depth, colour, interlaced }: PngHeader): readonly Pass[] {
  const bits = depth * CHANNELS[colour]!;
  return (interlaced ? PASSES : ([[0, 0, 1, 1]] as const))
    .map(([x, y, dx, dy]) => {
      const [columns, rows] = [Math.ceil((width - x) / dx), Math.ceil((height - y) / dy)];
      return { x, y, dx, dy, columns, rows, stride: Math.ceil((columns * bits) / 8) };
    })
    .filter(({ columns, rows }) => columns > 0 && rows > 0);
}

/** @throws CheckpointError E_IMAGE_INVALID; UnsupportedError E_UNSUPPORTED_IMAGE; ResourceError E_RESOURCE_IMAGE */
export async function decodePng(header: PngHeader, name: string): Promise<Image> {
  const passes = passesOf(header);
  const expected = passes.reduce((sum, { rows, stride }) => sum + rows * (stride + 1), 0);
  const packed = Buffer.concat(header.data);
  // Deflate makes at most 1032 bytes of one.
  if (packed.length * 1032 + 64 < expected) {
    throw invalidImage(
      name,
      `${packed.length} bytes cannot hold the ${header.width}×${header.height} pixels of its header`,
    );
  }
  let raw: Uint8Array;
  try {
    raw = await promisify(inflate)(packed, { maxOutputLength: expected });
  } catch (cause) {
    throw invalidImage(name, `the pixels of the PNG cannot be unpacked (${(cause as Error).message})`, cause);
  }
  if (raw.length !== expected) throw invalidImage(name, `the PNG holds ${raw.length} of ${expected} bytes of pixels`);
  const pixels = new Uint8Array(header.width * header.height * 3);
  let at = 0;
  for (const pass of passes) {
    const size = pass.rows * (pass.stride + 1);
    const rows = raw.subarray(at, at + size);
    unfilter(rows, pass, Math.max(1, (header.depth * CHANNELS[header.colour]!) >> 3), name);
    spread(rows, pass, header, pixels, name);
    at += size;
  }
  return { width: header.width, height: header.height, pixels };
}

/** Undoes the filter of each row, in place. `back` is the distance to the pixel on the left, in bytes. */
function unfilter(data: Uint8Array, { rows, stride }: Pass, back: number, name: string): void {
  for (let row = 0; row < rows; row++) {
    const start = row * (stride + 1) + 1;
    const above = start - stride - 1;
    const filter = data[start - 1]!;
    if (filter > 4) throw invalidImage(name, `a row of the PNG has the filter ${filter}`);
    if (filter === 0) continue;
    for (let i = 0; i < stride; i++) {
      const a = i >= back ? data[start + i - back]! : 0;
      const b = row > 0 ? data[above + i]! : 0;
      const c = row > 0 && i >= back ? data[above + i - back]! : 0;
      data[start + i]! += filter === 1 ? a : filter === 2 ? b : filter === 3 ? (a + b) >> 1 : paeth(a, b, c);
    }
  }
}

function paeth(a: number, b: number, c: number): number {
  const [pa, pb, pc] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)];
  return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}

/** Writes the pixels of a pass where they belong. */
function spread(data: Uint8Array, pass: Pass, header: PngHeader, pixels: Uint8Array, name: string): void {
  const { width, depth, colour, palette } = header;
  const channels = CHANNELS[colour]!;
  const [mask, scale] = [(1 << depth) - 1, colour === PALETTE ? 1 : 255 / ((1 << depth) - 1)];
  for (let row = 0; row < pass.rows; row++) {
    const start = row * (pass.stride + 1) + 1;
    for (let column = 0; column < pass.columns; column++) {
      const to = ((pass.y + row * pass.dy) * width + pass.x + column * pass.dx) * 3;
      if (channels >= 3) {
        const from = start + column * channels;
        pixels[to] = data[from]!;
        pixels[to + 1] = data[from + 1]!;
        pixels[to + 2] = data[from + 2]!;
        continue;
      }
      const bit = column * depth * channels;
      const value = ((data[start + (bit >> 3)]! >> (8 - depth - (bit & 7))) & mask) * scale;
      if (colour === PALETTE) {
        if (value * 3 >= palette!.length)
          throw invalidImage(name, `a pixel of the PNG has colour ${value}, which its palette has not`);
        pixels.set(palette!.subarray(value * 3, value * 3 + 3), to);
      } else {
        pixels.fill(value, to, to + 3);
      }
    }
  }
}
