// Image files to RGB, equal to Pillow's Image.open(…).convert('RGB'). The format is told from the first bytes, never from the
// name. The header is read first; whatever is not decoded is refused by name before memory is taken for it.

import { invalidImage, unsupportedImage } from './errors.js';
import { orient } from './exif.js';
import { decodeJpeg, readJpegHeader } from './jpeg.js';
import type { Image } from './pixels.js';
import { decodePng, readPngHeader } from './png.js';
import { decodeWebp, readWebpHeader } from './webp.js';

/** `ignore` leaves the pixels as they are stored (torchvision's ImageFolder); `apply` turns them (transformers' load_image). */
const ORIENTATIONS = ['ignore', 'apply'] as const;
export type Orientation = (typeof ORIENTATIONS)[number];

export type DecodedImage = Image & {
  /** What EXIF says, 1 to 8. With `apply` the pixels are turned already. */
  readonly orientation: number;
};

/** What decodes each format, for records. */
export const DECODERS = {
  jpeg: 'mozjpeg (@jsquash/jpeg 1)',
  png: 'layerwise',
  webp: 'libwebp (@jsquash/webp 1)',
} as const;

const OTHERS: readonly (readonly [name: string, matches: (text: string) => boolean])[] = [
  ['a GIF', (text) => text.startsWith('GIF8')],
  ['a BMP', (text) => text.startsWith('BM')],
  ['a TIFF', (text) => text.startsWith('II*\0') || text.startsWith('MM\0*')],
  ['a HEIF or AVIF', (text) => text.slice(4, 8) === 'ftyp'],
  ['a JPEG XL', (text) => text.startsWith('\xff\x0a') || text.slice(4, 8) === 'JXL '],
  ['a JPEG 2000', (text) => text.slice(4, 8) === 'jP  '],
];

/**
 * Decodes an image; `name` is for errors.
 * @throws CheckpointError E_IMAGE_INVALID for damage; UnsupportedError E_UNSUPPORTED_IMAGE for another format, CMYK, 16 bits,
 * animation; ResourceError E_RESOURCE_IMAGE for more than 64 Mi pixels
 */
export async function decodeImage(
  bytes: Uint8Array,
  name: string,
  { orientation: wanted = 'ignore' }: { readonly orientation?: Orientation } = {},
): Promise<DecodedImage> {
  const { image, orientation } = await decodeStored(bytes, name);
  return { ...(wanted === 'apply' ? orient(image, orientation) : image), orientation };
}

async function decodeStored(
  bytes: Uint8Array,
  name: string,
): Promise<{ readonly image: Image; readonly orientation: number }> {
  const start = String.fromCharCode(...bytes.subarray(0, 16));
  if (start.startsWith('\xff\xd8\xff')) {
    const header = readJpegHeader(bytes, name);
    return { image: await decodeJpeg(bytes, header, name), orientation: header.orientation };
  }
  if (start.startsWith('\x89PNG\r\n\x1a\n')) {
    const header = readPngHeader(bytes, name);
    return { image: await decodePng(header, name), orientation: header.orientation };
  }
  if (start.startsWith('RIFF') && start.slice(8, 12) === 'WEBP') {
    const header = readWebpHeader(bytes, name);
    return { image: await decodeWebp(bytes, header, name), orientation: header.orientation };
  }
  const other = OTHERS.find(([, matches]) => matches(start));
  if (other) throw unsupportedImage(name, other[0]);
  if (bytes.length === 0) throw invalidImage(name, 'the file is empty');
  throw invalidImage(name, 'its first bytes are of no image format');
}
