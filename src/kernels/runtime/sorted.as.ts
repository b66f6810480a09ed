// AssemblyScript: finds a row group's sorted tiles (layouts/tiles.ts). `starts` has for each group, and for the end,
// the index of its first entry in `order` (two bytes each) and the position of its tiles, in units of four bytes.
// `counts` has for each group the number of tiles with 1, 2, … 16 slots.

/** The address of the group's two numbers in `starts`. */
@inline
export function startOf(starts: usize, group: i32): usize {
  return starts + ((<usize>group) << 3);
}

/** Bytes from `order` to the entries of the group with this `start`. */
@inline
export function entriesAt(start: usize): usize {
  return (<usize>load<u32>(start)) << 1;
}

/** Bytes from `tiles` to the group's tiles. */
@inline
export function tilesAt(start: usize): usize {
  return (<usize>load<u32>(start, 4)) << 2;
}

/** The number of a group's tiles with n slots, 1 to 16. */
@inline
export function runOf(counts: usize, group: i32, n: i32): i32 {
  return <i32>load<u16>(counts + ((<usize>group) << 5) + ((<usize>(n - 1)) << 1));
}
