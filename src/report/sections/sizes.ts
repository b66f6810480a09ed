// The size of the checkpoint, which pruning does not change, and the size that a packed format could have.

import { escapeHtml, formatPercent, type Html, list, note, section } from '../../page/index.js';
import type { Manifest } from '../../records/index.js';
import { formatBytes, formatCount, formatNumber } from '../../words/index.js';

export function sizeSection({ source, sparsity }: Manifest): Html {
  const s = sparsity.realised;
  // Eight bits for each value that is left and one bit of mask for every prunable weight; scales are not counted.
  const bits = 8 * (1 - s) + 1;
  const zeros = Object.values(sparsity.linears).reduce((sum, linear) => sum + linear.zeros, 0);
  const share = source.parameters > 0 ? ` (${formatPercent(source.prunable / source.parameters, 1)})` : '';
  return section(
    'sizes',
    'Sizes',
    list([
      ['parameters', formatCount(source.parameters)],
      ['prunable weights', `${formatCount(source.prunable)}${share}`],
      ['zeros among them', `${formatCount(zeros)} (${formatPercent(s)})`],
      ['weight files', `${formatBytes(source.bytes)}, ${escapeHtml(source.dtype)}`],
      ['packed floor', `${formatNumber(bits)} bits per prunable weight, ${formatBytes((bits * source.prunable) / 8)}`],
    ]),
    note(
      `A zero in a dense file takes as many bytes as any other number, and no dense engine runs it faster: the checkpoint that was written is <b>as large as its source</b>. The packed floor is what int8 values with a bitmask cannot go below: 8 · (1 − s) + 1 bits per prunable weight at sparsity s, without scales, embeddings and norms. This run did not write such a file.`,
    ),
  );
}
