// Relative reconstruction error through depth: the growth of errors that ATP is about.

import type { Manifest } from '../../records/index.js';
import { drawErrors } from '../charts.js';
import { escapeHtml, figure, type Html, section, table } from '../html.js';
import { keyOf } from '../key.js';
import { isUniform, policyName } from '../reading.js';

export function errorSection(manifest: Manifest): Html {
  const chosen = manifest.chosen.errors;
  if (chosen.length === 0) return '';
  const same = isUniform(manifest);
  const baseline = manifest.uniform?.errors;
  const uniform = same ? chosen : baseline?.length === chosen.length ? baseline : undefined;
  const plan = same ? undefined : chosen;
  const name = policyName(manifest);
  const series = [
    ...(uniform ? [{ mark: 'uniform' as const, text: 'uniform', errors: uniform }] : []),
    ...(plan ? [{ mark: 'chosen' as const, text: escapeHtml(name), errors: plan }] : []),
  ];
  const last = chosen.length - 1;
  const label = `Relative reconstruction error of the output of each of ${chosen.length} blocks. In the last: ${series
    .map(({ mark, errors }) => `${mark === 'uniform' ? 'uniform' : name} ${errors[last]!.toFixed(3)}`)
    .join(', ')}.`;
  return section(
    'errors',
    'Error through depth',
    figure(
      keyOf(series),
      drawErrors(uniform, plan, label),
      'Relative reconstruction error ‖X − X̃‖ / ‖X‖ of each block’s output, X dense and X̃ pruned. Errors made early are carried on by every block after them. The scale need not start at 0.',
      table(
        'Relative reconstruction error per block',
        ['block', ...series.map(({ text }) => text)],
        chosen.map((_, i) => ({ head: String(i), cells: series.map(({ errors }) => errors[i]!.toFixed(4)) })),
      ),
    ),
  );
}
