// Relative reconstruction error through depth: the growth of errors that ATP is about. Up to four curves: the error of each
// chosen block alone, what the uniform plan carries on, what the chosen plan carries on, and, where the chosen model follows
// the dense stream, what it would carry on without.

import {
  drawErrors,
  drawLines,
  escapeHtml,
  figure,
  type Html,
  keyOf,
  keyOfLines,
  section,
  table,
} from '../../page/index.js';
import type { Manifest } from '../../records/index.js';
import { isUniform, policyName } from '../reading.js';

type Curve = { readonly name: string; readonly errors: readonly number[] };

export function errorSection(manifest: Manifest): Html {
  const { chosen, target } = manifest;
  const { errors, alone, own } = chosen;
  if (errors.length === 0) return '';
  const same = isUniform(manifest);
  const baseline = manifest.uniform?.errors;
  const uniform = same ? errors : baseline?.length === errors.length ? baseline : undefined;
  const plan = same ? undefined : errors;
  const name = policyName(manifest);
  const follows = target ? `, following α = ${target.alpha}, γ = ${target.gamma}` : '';
  const carried: Curve[] = [
    ...(uniform ? [{ name: `uniform${follows}`, errors: uniform }] : []),
    ...(plan ? [{ name: `${name}${follows}`, errors: plan }] : []),
  ];
  const more: Curve[] = [
    ...(own ? [{ name: `${own.samePlan ? name : 'uniform'}, own target`, errors: own.errors }] : []),
    ...(alone ? [{ name: 'each block alone', errors: alone }] : []),
  ];
  const curves = [...carried, ...more];
  const last = errors.length - 1;
  const label = `Relative reconstruction error of the output of each of ${errors.length} blocks. In the last: ${curves
    .map((curve) => `${curve.name} ${curve.errors[last]!.toFixed(3)}`)
    .join(', ')}.`;
  const marks =
    uniform && plan ? (['uniform', 'chosen'] as const) : [uniform ? ('uniform' as const) : ('chosen' as const)];
  const names = curves.map((curve) => escapeHtml(curve.name));
  const points = { name: 'block', labels: errors.map((_, block) => String(block)) };
  const [key, picture] =
    more.length === 0
      ? [keyOf(marks.map((mark, i) => ({ mark, text: names[i]! }))), drawErrors(uniform, plan, label)]
      : [
          keyOfLines(names),
          drawLines(
            curves.map((curve) => curve.errors),
            points,
            (x) => x.toFixed(2),
            label,
          ),
        ];
  return section(
    'errors',
    'Error through depth',
    figure(
      key,
      picture,
      `Relative reconstruction error ‖X − X̃‖ / ‖X‖ of each block’s output, X dense and X̃ treated. Errors made early are carried on by every block after them${follows ? ', unless later ones take them back' : ''}.${alone ? ' Alone: the block reads what the dense blocks before it made.' : ''} The scale need not start at 0.`,
      table(
        'Relative reconstruction error per block',
        ['block', ...names],
        errors.map((_, i) => ({ head: String(i), cells: curves.map((curve) => curve.errors[i]!.toFixed(4)) })),
      ),
    ),
  );
}
