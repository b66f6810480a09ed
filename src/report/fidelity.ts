// How far models are from their dense model, in one table: a row for each model that was compared.

import { formatPercent, type Html, type Row, table } from '../page/index.js';
import { type Fidelity, readFidelity } from '../records/index.js';
import { formatNats } from '../words/index.js';

export type ComparedModel = {
  readonly name: Html;
  readonly fidelity: Fidelity | undefined;
  readonly chosen?: boolean;
};

/** Empty where no model was compared. */
export function fidelityTable(models: readonly ComparedModel[]): Html {
  const compared = models.filter((model) => model.fidelity);
  if (compared.length === 0) return '';
  const greedy = compared.some(({ fidelity }) => fidelity!.greedy);
  const columns = [
    '',
    'mean KL <span class="interval">[95 %]</span>',
    '99.9th percentile',
    'same top-1',
    ...(greedy ? ['tokens before the first difference'] : []),
  ];
  const rows = compared.map(({ name, fidelity, chosen }): Row => {
    const { divergence, tail, agreement, same } = readFidelity(fidelity!);
    const [low, high] = divergence.interval.map(formatNats);
    return {
      head: name,
      cells: [
        `${formatNats(divergence.mean)} <span class="interval">[${low}, ${high}]</span>`,
        formatNats(tail),
        formatPercent(agreement.mean, 1),
        ...(greedy ? [same === null ? '–' : `${same.toFixed(1)} of ${fidelity!.greedy!.tokens}`] : []),
      ],
      ...(chosen === undefined ? {} : { chosen }),
    };
  });
  return table('Distance to the dense model', columns, rows);
}
