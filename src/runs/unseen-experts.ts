// Warns about experts that no token of the calibration text reached.

/** Up to this many are named one by one; layerwise.json names all. */
const NAMED = 8;

/** A sentence about experts without calibration tokens; undefined if there are none. */
export function describeUnseen(unseen: readonly (readonly number[])[]): string | undefined {
  const blocks = unseen.flatMap((experts, block) => (experts.length > 0 ? [{ experts, block }] : []));
  if (blocks.length === 0) return undefined;
  const count = blocks.reduce((sum, { experts }) => sum + experts.length, 0);
  const which =
    count <= NAMED
      ? blocks.map(({ experts, block }) => `${experts.join(', ')} of block ${block}`).join('; ')
      : `of blocks ${blocks.map(({ block }) => block).join(', ')}; layerwise.json names them`;
  const [were, their] = count === 1 ? ['expert was', 'its'] : ['experts were', 'their'];
  return `Warning: ${count} ${were} given no calibration token, so all ${their} inputs counted alike (${which}). Use more calibration text, or text more like what the model is for.`;
}
