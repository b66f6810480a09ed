// An image in memory: RGB, 8 bits a channel, row by row.

export type Image = {
  readonly width: number;
  readonly height: number;
  /** height × width × 3 */
  readonly pixels: Uint8Array;
};

/** Drops the alpha of RGBA, as Pillow's convert('RGB') does: what was transparent shows the colour below. */
export function dropAlpha(rgba: Uint8Array | Uint8ClampedArray, width: number, height: number): Image {
  const pixels = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < pixels.length; from += 4, to += 3) {
    pixels[to] = rgba[from]!;
    pixels[to + 1] = rgba[from + 1]!;
    pixels[to + 2] = rgba[from + 2]!;
  }
  return { width, height, pixels };
}
