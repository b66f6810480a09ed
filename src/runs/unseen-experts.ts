// Warns about experts that no token of the calibration text reached.

/** Up to this many are named one by one; layerwise.json names all. */
const NAMED = 8;

/**
 * A sentence about experts without calibration tokens, and what came of it, of one and of several; undefined if there are none. By
 * default what pruning and quantising make of them.
 */
export function describeUnseen(
  unseen: readonly (readonly number[])[],
  [ofOne, ofMany]: readonly [string, string] = ['all its inputs counted alike', 'all their inputs counted alike'],
): string | undefined {
  const blocks = unseen.flatMap((experts, block) => (experts.length > 0 ? [{ experts, block }] : []));
  if (blocks.length === 0) return undefined;
  const count = blocks.reduce((sum, { experts }) => sum + experts.length, 0);
  const which =
    count <= NAMED
      ? blocks.map(({ experts, block }) => `${experts.join(', ')} of block ${block}`).join('; ')
      : `of blocks ${blocks.map(({ block }) => block).join(', ')}; layerwise.json names them`;
  const [were, came] = count === 1 ? ['expert was', ofOne] : ['experts were', ofMany];
  return `Warning: ${count} ${were} given no calibration token, so ${came} (${which}). Use more calibration text, or text more like what the model is for.`;
}
