// Sparsity per block, counted from the files that were written, against the target.

import {
  drawSparsity,
  escapeHtml,
  figure,
  formatPercent,
  formatTarget,
  type Html,
  keyOf,
  section,
  table,
} from '../../page/index.js';
import type { Manifest } from '../../records/index.js';
import { isUniform, policyName } from '../reading.js';

export function sparsitySection(manifest: Manifest): Html {
  const { blocks, target, linears } = manifest.sparsity;
  if (blocks.length === 0) return '';
  const name = isUniform(manifest) ? 'uniform' : policyName(manifest);
  const ranges = rangesOf(linears, blocks.length);
  const numbers = table(
    'Sparsity per block',
    ['block', 'sparsity', 'over target', ...(ranges ? ['least sparse linear', 'sparsest linear'] : [])],
    blocks.map((rate, i) => ({
      head: String(i),
      cells: [formatPercent(rate), signed(rate - target), ...(ranges?.[i]?.map((one) => formatPercent(one)) ?? [])],
    })),
  );
  const lowest = Math.min(...blocks);
  const highest = Math.max(...blocks);
  const label = `Sparsity of each of ${blocks.length} blocks, from ${formatPercent(lowest)} to ${formatPercent(highest)}; the target is ${formatTarget(target)}.`;
  return section(
    'sparsity',
    'Sparsity per block',
    figure(
      keyOf([
        { mark: 'bar', text: escapeHtml(name) },
        { mark: 'target', text: `target ${formatTarget(target)}` },
      ]),
      drawSparsity(blocks, target, label),
      'Share of zeros in the linears of each block, first block on the left. Bars start at the target.',
      numbers,
    ),
  );
}

function signed(difference: number): string {
  const text = `${(100 * Math.abs(difference)).toFixed(2)} points`;
  return Number(text.split(' ')[0]) === 0 ? text : `${difference < 0 ? '−' : '+'}${text}`;
}

/** Least and greatest sparsity of the linears of each block; undefined where names do not show their block. */
function rangesOf(linears: Manifest['sparsity']['linears'], blocks: number): [number, number][] | undefined {
  const ranges: [number, number][] = [];
  for (const [name, { weights, zeros }] of Object.entries(linears)) {
    const block = Number(name.match(/(?:^|\.)(\d+)\./)?.[1] ?? Number.NaN);
    if (!(block < blocks) || weights === 0) return undefined;
    const rate = zeros / weights;
    const [low, high] = ranges[block] ?? [rate, rate];
    ranges[block] = [Math.min(low, rate), Math.max(high, rate)];
  }
  return Object.keys(ranges).length === blocks ? ranges : undefined;
}
