// Bits per block of a quantised model, counted from the files that were written.

import { escapeHtml, type Html, note, section, table } from '../../page/index.js';
import type { Manifest } from '../../records/index.js';

export function bitsSection({ bits }: Manifest): Html {
  if (!bits) return '';
  const counts = new Map<string, number>();
  for (const { weights, bits: own, group } of Object.values(bits.linears)) {
    const name = group === 0 ? `${own} (not quantised)` : `${own}, a scale for ${group} columns`;
    counts.set(name, (counts.get(name) ?? 0) + weights);
  }
  const all = [...counts.values()].reduce((a, b) => a + b, 0);
  return section(
    'bits',
    'Bits per block',
    table(
      'Bits per weight',
      ['bits', 'share of the weights'],
      [...counts].map(([name, weights]) => ({
        head: escapeHtml(name),
        cells: [`${((100 * weights) / all).toFixed(1)} %`],
      })),
    ),
    table(
      'Bits per weight of each block, with the scales',
      ['block', 'bits'],
      bits.blocks.map((own, block) => ({ head: String(block), cells: [own.toFixed(3)] })),
    ),
    note(
      'The checkpoint holds the weights in the dtype of its source, so it is as large as that; these bits are those of the integers and scales, which <code>layerwise.scales</code> keeps for packing.',
    ),
  );
}
