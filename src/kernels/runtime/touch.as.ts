// AssemblyScript: asking for memory before it is needed. One after the other, the loads of a multiplication keep too few
// lines of memory under way; where a processor does not fetch far ahead by itself (small pages, virtual machines), they then
// wait for each. So before a row group is multiplied the next one is touched, a load for every line, all under way together.

/** Bytes of a line. */
const LINE: usize = 64;

/** Made of what was touched, and exported: no compiler may leave the loads out. */
export let touched: i32 = 0;

/** Touches `bytes` bytes from `at` on, as far as there is memory. */
export function touch(at: usize, bytes: usize): void {
  const end = <usize>min<u64>(<u64>at + <u64>bytes, (<u64>memory.size() << 16) - <u64>LINE);
  let all = touched;
  for (; at < end; at += LINE) all ^= load<i32>(at);
  touched = all;
}

/** Touches the tiles of the row group after that whose `start` is given, and their numbers. */
export function touchSorted(start: usize, order: usize, tiles: usize): void {
  const entry = (<usize>load<u32>(start, 8)) << 1;
  const tile = (<usize>load<u32>(start, 12)) << 2;
  touch(order + entry, ((<usize>load<u32>(start, 16)) << 1) - entry);
  touch(tiles + tile, ((<usize>load<u32>(start, 20)) << 2) - tile);
}
