// Selects exactly the k smallest of a group of scores without sorting: quickselect, in expected linear time, on the bit
// patterns of non-negative floats, which order as unsigned integers. Of equal scores at the threshold the lower index is
// taken first, as by a stable sort.

/** Up to this many elements are sorted by insertion. */
const SMALL = 12;

/**
 * The value at `rank` (0-based) of the sorted `keys`. Reorders `keys`.
 * @param keys unsigned 32-bit keys; @param rank in [0, keys.length)
 */
export function selectRank(keys: Uint32Array, rank: number): number {
  let low = 0;
  let high = keys.length - 1;
  while (high - low > SMALL) {
    const pivot = medianOfThree(keys[low]!, keys[(low + high) >>> 1]!, keys[high]!);
    let i = low;
    let j = high;
    while (i <= j) {
      while (keys[i]! < pivot) i++;
      while (keys[j]! > pivot) j--;
      if (i <= j) {
        const swapped = keys[i]!;
        keys[i++] = keys[j]!;
        keys[j--] = swapped;
      }
    }
    if (rank <= j) high = j;
    else if (rank >= i) low = i;
    else return pivot;
  }
  for (let i = low + 1; i <= high; i++) {
    const key = keys[i]!;
    let j = i - 1;
    while (j >= low && keys[j]! > key) {
      keys[j + 1] = keys[j]!;
      j--;
    }
    keys[j + 1] = key;
  }
  return keys[rank]!;
}

function medianOfThree(a: number, b: number, c: number): number {
  if (a < b) return b < c ? b : Math.max(a, c);
  return a < c ? a : Math.max(b, c);
}

/**
 * Marks the `count` smallest of `keys` in `mask` from `offset` on. Of equal keys the lower index is marked first.
 * @returns the smallest key that is not marked; 2³² if all are.
 */
export function markSmallest(
  keys: Uint32Array,
  count: number,
  mask: Uint8Array,
  offset: number,
  scratch: Uint32Array,
): number {
  if (count >= keys.length) {
    mask.fill(1, offset, offset + keys.length);
    return 2 ** 32;
  }
  scratch.set(keys);
  const threshold = selectRank(scratch.subarray(0, keys.length), count);
  if (count === 0) return threshold;
  let left = count;
  for (let j = 0; j < keys.length; j++) {
    if (keys[j]! < threshold) {
      mask[offset + j] = 1;
      left--;
    }
  }
  for (let j = 0; left > 0; j++) {
    if (keys[j] === threshold) {
      mask[offset + j] = 1;
      left--;
    }
  }
  return threshold;
}
