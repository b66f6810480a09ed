// Recall of captions by their image and of images by their caption, as people read it in a terminal and as JSON.

import type { EvaluateResult } from '../api/index.js';
import { accuracyGain, accuracyWithin } from '../records/index.js';
import { formatGain, formatPercent, formatShare } from '../words/index.js';
import { formatTable } from './format.js';

type Places = NonNullable<EvaluateResult['captions']>['model'];

const WITHIN = [1, 5, 10] as const;
const WAYS = [
  ['images', 'captions by image'],
  ['texts', 'images by caption'],
] as const;

/** A line per model for each way, the first model the one that others are compared with. */
export function recallTable(models: readonly (readonly [label: string, places: Places | undefined])[]): string[] {
  const scored = models.flatMap(([label, places]) => (places ? [{ label, places }] : []));
  const first = scored[0]!;
  const beside = scored.length > 1;
  return WAYS.flatMap(([way, title]) => {
    const head = [
      `${title} (${first.places[way].length})`,
      'R@1 (95 %)',
      'R@5',
      'R@10',
      ...(beside ? [`R@1 to ${first.label}`] : []),
    ];
    const lines = scored.map(({ label, places }) => [
      label,
      formatShare(accuracyWithin(places[way], 1)),
      ...[5, 10].map((k) => formatPercent(accuracyWithin(places[way], k).mean, 2)),
      ...(beside ? [places === first.places ? '–' : formatGain(accuracyGain(places[way], first.places[way]))] : []),
    ]);
    return [formatTable([head, ...lines]), ''];
  });
}

/** By way and k: the share and its interval. */
export const recallJson = (places: Places) => ({
  recall: Object.fromEntries(
    WAYS.map(([way, title]) => [
      title,
      {
        count: places[way].length,
        ...Object.fromEntries(
          WITHIN.map((k) => {
            const { mean, interval } = accuracyWithin(places[way], k);
            return [`R@${k}`, { share: mean, interval }];
          }),
        ),
      },
    ]),
  ),
});
