// AssemblyScript: where a row group's sorted tiles lie (layouts/tiles.ts). `starts` has for each group, and for the end, the
// number of its first entry in `order`, two bytes each, and where its tiles begin, in fours of bytes; `counts` has for each
// group how many tiles have 1, 2, … 16 slots.

/** Where the group's two numbers in `starts` lie. */
@inline
export function startOf(starts: usize, group: i32): usize {
  return starts + ((<usize>group) << 3);
}

/** Bytes from `order` on to the entries of the group whose `start` is given. */
@inline
export function entriesAt(start: usize): usize {
  return (<usize>load<u32>(start)) << 1;
}

/** Bytes from `tiles` on to the group's tiles. */
@inline
export function tilesAt(start: usize): usize {
  return (<usize>load<u32>(start, 4)) << 2;
}

/** How many tiles of a group have n slots, 1 to 16. */
@inline
export function runOf(counts: usize, group: i32, n: i32): i32 {
  return <i32>load<u16>(counts + ((<usize>group) << 5) + ((<usize>(n - 1)) << 1));
}
