// WebP by libwebp as WebAssembly. The chunks are walked first: animation, size and truncation are known before decoding.

import { decodeRgba } from './codecs.js';
import { checkSize, invalidImage, unsupportedImage } from './errors.js';
import { readOrientation } from './exif.js';
import { dropAlpha, type Image } from './pixels.js';

export type WebpHeader = { readonly width: number; readonly height: number; readonly orientation: number };

const ANIMATED = 0x02;

/** @throws as `decodeWebp` */
export function readWebpHeader(bytes: Uint8Array, name: string): WebpHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = 8 + view.getUint32(4, true);
  if (end > bytes.length) throw invalidImage(name, `the WebP should have ${end} bytes and has ${bytes.length}`);
  let size: readonly [width: number, height: number] | undefined;
  let [orientation, hasPixels] = [1, false];
  for (let at = 12; at + 8 <= end; ) {
    const kind = String.fromCharCode(...bytes.subarray(at, at + 4));
    const length = view.getUint32(at + 4, true);
    const body = bytes.subarray(at + 8, at + 8 + length);
    if (at + 8 + length > end) throw invalidImage(name, `the WebP chunk ${JSON.stringify(kind)} ends early`);
    if (kind === 'ANIM' || kind === 'ANMF' || (kind === 'VP8X' && (body[0]! & ANIMATED) !== 0)) {
      throw unsupportedImage(name, 'an animated WebP');
    }
    const dimensions = DIMENSIONS[kind]?.(body);
    if (dimensions) {
      checkSize(...dimensions, name);
      hasPixels ||= kind !== 'VP8X';
      size ??= dimensions;
      if (size[0] !== dimensions[0] || size[1] !== dimensions[1]) {
        throw invalidImage(name, 'its canvas and its frame differ in size');
      }
    }
    if (kind === 'EXIF') orientation = readOrientation(body);
    at += 8 + length + (length % 2);
  }
  if (!size || !hasPixels) throw invalidImage(name, 'the WebP has no pixels');
  return { width: size[0], height: size[1], orientation };
}

type Dimensions = (body: Uint8Array) => readonly [width: number, height: number] | undefined;

const DIMENSIONS: Readonly<Record<string, Dimensions>> = {
  VP8X: (b) =>
    b.length < 10
      ? undefined
      : [1 + (b[4]! | (b[5]! << 8) | (b[6]! << 16)), 1 + (b[7]! | (b[8]! << 8) | (b[9]! << 16))],
  'VP8 ': (b) => (b.length < 10 ? undefined : [(b[6]! | (b[7]! << 8)) & 0x3fff, (b[8]! | (b[9]! << 8)) & 0x3fff]),
  VP8L: (b) => {
    if (b.length < 5) return undefined;
    const bits = b[1]! | (b[2]! << 8) | (b[3]! << 16) | (b[4]! << 24);
    return [1 + (bits & 0x3fff), 1 + ((bits >>> 14) & 0x3fff)];
  },
};

/** @throws CheckpointError E_IMAGE_INVALID; UnsupportedError E_UNSUPPORTED_IMAGE; ResourceError E_RESOURCE_IMAGE */
export async function decodeWebp(bytes: Uint8Array, header: WebpHeader, name: string): Promise<Image> {
  const { rgba, width, height } = await decodeRgba('webp', bytes, name);
  if (width !== header.width || height !== header.height) {
    throw invalidImage(name, `its header says ${header.width}×${header.height}, its pixels are ${width}×${height}`);
  }
  return dropAlpha(rgba, width, height);
}
