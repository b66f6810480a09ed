// JPEG by mozjpeg's decoder as WebAssembly, which gives Pillow's pixels (libjpeg-turbo) except for vertical-only chroma
// subsampling (4:4:0: off by at most 2). The markers are walked first: what the decoder would end the process for (four
// components), fill with grey (a truncated file) or take minutes for is refused by name. ICC profiles are ignored.

import { decodeRgba } from './codecs.js';
import { checkSize, invalidImage, MAX_PIXELS, unsupportedImage } from './errors.js';
import { readOrientation } from './exif.js';
import { dropAlpha, type Image } from './pixels.js';

export type JpegHeader = { readonly width: number; readonly height: number; readonly orientation: number };

/** More passes over the same pixels than any encoder writes, and the most work that passes may make. */
const MAX_SCANS = 100;
const MAX_PASSED = 25 * MAX_PIXELS;

const KINDS: Readonly<Record<number, string>> = {
  195: 'a lossless JPEG',
  197: 'a hierarchical JPEG',
  198: 'a hierarchical JPEG',
  199: 'a hierarchical JPEG',
  201: 'an arithmetically coded JPEG',
  202: 'an arithmetically coded JPEG',
  203: 'an arithmetically coded JPEG',
  205: 'a hierarchical JPEG',
  206: 'a hierarchical JPEG',
  207: 'a hierarchical JPEG',
};

const SOF = [0xc0, 0xc1, 0xc2];
const [EOI, SOS, APP1] = [0xd9, 0xda, 0xe1];

/** Walks the markers to the end of the image. @throws as `decodeJpeg` */
export function readJpegHeader(bytes: Uint8Array, name: string): JpegHeader {
  const truncated = (): Error => invalidImage(name, `the JPEG ends early, after ${bytes.length} bytes`);
  const wordAt = (at: number): number => {
    if (at + 1 >= bytes.length) throw truncated();
    return (bytes[at]! << 8) | bytes[at + 1]!;
  };
  let frame: { readonly width: number; readonly height: number } | undefined;
  let [orientation, scans, at] = [1, 0, 2];
  for (;;) {
    at = bytes.indexOf(0xff, at);
    while (at >= 0 && bytes[at] === 0xff) at++; // fill bytes
    if (at < 0 || at >= bytes.length) throw truncated();
    const marker = bytes[at++]!;
    if (marker === EOI) break;
    if (marker <= 1 || (marker >= 0xd0 && marker <= 0xd8)) continue; // no segment follows
    const length = wordAt(at);
    if (length < 2) throw invalidImage(name, `a JPEG segment of ${length} bytes at byte ${at}`);
    if (at + length > bytes.length) throw truncated();
    if (KINDS[marker]) throw unsupportedImage(name, KINDS[marker]);
    if (SOF.includes(marker)) {
      if (frame) throw invalidImage(name, 'the JPEG has two frame headers');
      frame = readFrame(bytes.subarray(at, at + length), name);
    } else if (marker === APP1 && bytes[at + 2] === 0x45 && bytes[at + 3] === 0x78) {
      orientation = readOrientation(bytes.subarray(at + 2, at + length));
    } else if (marker === SOS) {
      if (!frame) throw invalidImage(name, 'the JPEG has no frame header before its first scan');
      if (++scans > MAX_SCANS || scans * frame.width * frame.height > MAX_PASSED) {
        throw unsupportedImage(name, `a JPEG of ${scans} scans or more`);
      }
    }
    at += length;
    if (marker === SOS) at = endOfScan(bytes, at);
  }
  if (!frame || scans === 0) throw invalidImage(name, 'the JPEG has no pixels');
  // Every 8×8 block takes a bit at least.
  const blocks = Math.ceil(frame.width / 8) * Math.ceil(frame.height / 8);
  if (bytes.length * 8 < blocks) {
    throw invalidImage(
      name,
      `${bytes.length} bytes cannot hold the ${frame.width}×${frame.height} pixels of its header`,
    );
  }
  return { ...frame, orientation };
}

/** Where the next marker is that belongs to no scan. */
function endOfScan(bytes: Uint8Array, from: number): number {
  for (let at = from; ; at += 2) {
    at = bytes.indexOf(0xff, at);
    if (at < 0) return bytes.length;
    const next = bytes[at + 1];
    if (next === 0xff)
      at--; // a fill byte: look at the next again
    else if (next !== 0 && (next === undefined || next < 0xd0 || next > 0xd7)) return at;
  }
}

function readFrame(segment: Uint8Array, name: string): { readonly width: number; readonly height: number } {
  if (segment.length < 8) throw invalidImage(name, 'a JPEG frame header is too short');
  const [precision, components] = [segment[2]!, segment[7]!];
  const [height, width] = [(segment[3]! << 8) | segment[4]!, (segment[5]! << 8) | segment[6]!];
  if (segment.length < 8 + components * 3) throw invalidImage(name, 'a JPEG frame header is too short');
  if (precision !== 8) throw unsupportedImage(name, `a JPEG of ${precision} bits a channel`);
  if (components === 4) throw unsupportedImage(name, 'a JPEG with four channels (CMYK)');
  if (components !== 1 && components !== 3) throw unsupportedImage(name, `a JPEG with ${components} channels`);
  checkSize(width, height, name);
  return { width, height };
}

/** What the decoder says of missing pixels. Of other oddities it says nothing, or what changes no pixel. */
const MISSING = /premature end|bad huffman|corrupt|invalid|inconsistent/i;
const HARMLESS = /extraneous bytes before marker/i;

/** @throws CheckpointError E_IMAGE_INVALID; UnsupportedError E_UNSUPPORTED_IMAGE; ResourceError E_RESOURCE_IMAGE */
export async function decodeJpeg(bytes: Uint8Array, header: JpegHeader, name: string): Promise<Image> {
  const { rgba, width, height, said } = await decodeRgba('jpeg', bytes, name);
  const missing = said.find((line) => MISSING.test(line) && !HARMLESS.test(line));
  if (missing !== undefined) throw invalidImage(name, `the JPEG decoder says “${missing}”`);
  if (width !== header.width || height !== header.height) {
    throw invalidImage(name, `its header says ${header.width}×${header.height}, its pixels are ${width}×${height}`);
  }
  return dropAlpha(rgba, width, height);
}
