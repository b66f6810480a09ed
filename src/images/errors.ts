// The errors of images: what a file is, what it should have been, and the next step. The name is the file's, or the place of
// the image inside a larger file.

import { CheckpointError, ResourceError, UnsupportedError } from '../base/index.js';

/** The largest image that is decoded, in pixels. */
export const MAX_PIXELS = 64 << 20;

/** Bytes that are no image, or a damaged one. */
export const invalidImage = (name: string, what: string, cause?: unknown): CheckpointError =>
  new CheckpointError(
    'E_IMAGE_INVALID',
    `${name}: expected a whole image; ${what}. Replace the file, or leave it out.`,
    { file: name },
    { cause },
  );

/** An image that is sound, and of a kind that is not read. */
export const unsupportedImage = (name: string, what: string): UnsupportedError =>
  new UnsupportedError(
    'E_UNSUPPORTED_IMAGE',
    `${name}: expected a JPEG, PNG or WebP with one frame and at most 8 bits a channel, got ${what}. Convert the file, or leave it out.`,
    { file: name, got: what },
  );

/** @throws ResourceError E_RESOURCE_IMAGE; CheckpointError E_IMAGE_INVALID for an image without pixels */
export function checkSize(width: number, height: number, name: string): void {
  if (width < 1 || height < 1) throw invalidImage(name, `its header says ${width}×${height} pixels`);
  if (width * height <= MAX_PIXELS) return;
  throw new ResourceError(
    'E_RESOURCE_IMAGE',
    `${name}: expected at most ${MAX_PIXELS} pixels, its header says ${width}×${height}. Make it smaller, or leave it out.`,
    { file: name, width, height },
  );
}
