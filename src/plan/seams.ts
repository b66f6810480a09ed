// Where a removal of blocks is made good: the block before each gap takes over what the blocks in it did. Where a model's first
// blocks are gone nothing is before them, and the first that stays takes over what they did.

/** A block that stays, the removed blocks it stands in for, and the first one that follows (L: the head). */
export type Seam = { readonly block: number; readonly gap: readonly number[]; readonly until: number };

/** The seams of a model of `blocks` blocks, ascending. At least one block stays. */
export function seamsOf(blocks: number, removed: ReadonlySet<number>): readonly Seam[] {
  const kept = Array.from({ length: blocks }, (_, block) => block).filter((block) => !removed.has(block));
  return kept.flatMap((block, i): Seam[] => {
    const until = kept[i + 1] ?? blocks;
    const from = i === 0 ? 0 : block;
    const gap = Array.from({ length: until - from }, (_, at) => from + at).filter((one) => one !== block);
    return gap.length > 0 ? [{ block, gap, until }] : [];
  });
}
