// Transposes whole matrices. It works in squares, so that both the reads and the writes stay in the cache.

const SQUARE = 64;

/** A matrix [height, width], row-major, as [width, height] in a new array. */
export function transpose<A extends Float32Array | Uint8Array>(values: A, height: number, width: number): A {
  const turned = values.slice() as A;
  for (let top = 0; top < height; top += SQUARE) {
    for (let left = 0; left < width; left += SQUARE) {
      const [bottom, right] = [Math.min(top + SQUARE, height), Math.min(left + SQUARE, width)];
      for (let y = top; y < bottom; y++)
        for (let x = left; x < right; x++) turned[x * height + y] = values[y * width + x]!;
    }
  }
  return turned;
}
