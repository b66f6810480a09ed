// What a run says of experts that its calibration text did not reach.

/** The experts of each block that no calibration token was given to, in a sentence; undefined where there are none. */
export function describeUnseen(unseen: readonly (readonly number[])[]): string | undefined {
  const blocks = unseen.flatMap((experts, block) => (experts.length > 0 ? [{ experts, block }] : []));
  if (blocks.length === 0) return undefined;
  const count = blocks.reduce((sum, { experts }) => sum + experts.length, 0);
  const listed = blocks.map(({ experts, block }) => `${experts.join(', ')} of block ${block}`).join('; ');
  return `Warning: ${count === 1 ? 'one expert was' : `${count} experts were`} given no calibration token, so every input of theirs counted alike (${listed}). Use more calibration text, or more like what the model is for.`;
}
