// How far models are from their dense model, as people read it in a terminal and as JSON.

import { type Fidelity, readFidelity } from '../records/index.js';
import { formatNats, formatPercent } from '../words/index.js';
import { formatTable } from './format.js';

type Model = readonly [label: string, fidelity: Fidelity | undefined];

/** A line per model that was compared; empty where none was. */
export function fidelityTable(models: readonly Model[]): string[] {
  const compared = models.flatMap(([label, fidelity]) => (fidelity ? [{ label, fidelity }] : []));
  const first = compared[0]?.fidelity;
  if (!first) return [];
  const greedy = compared.some(({ fidelity }) => fidelity.greedy);
  const head = [
    `to dense, ${first.text}`,
    'KL (95 %)',
    'KL p99.9',
    'same top-1',
    ...(greedy ? ['first difference'] : []),
  ];
  const rows = compared.map(({ label, fidelity }) => {
    const { divergence, tail, agreement, same } = readFidelity(fidelity);
    const [low, high] = divergence.interval.map(formatNats);
    return [
      label,
      `${formatNats(divergence.mean)} (${low} … ${high})`,
      formatNats(tail),
      formatPercent(agreement.mean, 1),
      ...(greedy ? [same === null ? '–' : `after ${same.toFixed(1)} of ${fidelity.greedy!.tokens} tokens`] : []),
    ];
  });
  return [formatTable([head, ...rows]), ''];
}

/** The comparison for --json; nothing where there is none. */
export function fidelityJson(fidelity: Fidelity | undefined): { readonly fidelity?: unknown } {
  if (!fidelity) return {};
  const { divergence, agreement } = readFidelity(fidelity);
  const { text, windows, tokens, tail, greedy } = fidelity;
  return {
    fidelity: {
      ...{ text, windows, tokens },
      divergence: divergence.mean,
      divergenceInterval: divergence.interval,
      tail,
      agreement: agreement.mean,
      greedy,
    },
  };
}
