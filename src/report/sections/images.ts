// What a run cost on images: accuracy with intervals, paired against the dense model; the classes that lost most; images that the
// dense model gets right and the chosen one does not. Pictures are in the page only where the run that drew it had the images.

import { escapeHtml, type Html, note, type Row, section, table } from '../../page/index.js';
import { accuracyGain, accuracyWithin, lossesByClass, type Manifest, type ResultRow } from '../../records/index.js';
import { formatGain, formatShare } from '../../words/index.js';
import { describePlan, isUniform } from '../reading.js';

/** PNG files of images by their place in the test set. */
export type Thumbnails = ReadonlyMap<number, Uint8Array>;

/** The most classes that are listed. */
const CLASSES = 10;

export function imageSection(manifest: Manifest, thumbnails: Thumbnails | undefined): Html {
  const { images, dense, uniform, chosen } = manifest;
  if (!images) return '';
  const which = chosen.test?.ranks ? 'test' : undefined;
  if (!which) return '';
  const models: readonly (readonly [name: string, row: ResultRow | null])[] = [
    ['dense', dense],
    ['uniform', isUniform(manifest) ? null : uniform],
    [describePlan(manifest), chosen],
  ];
  return section(
    'images',
    'Accuracy on the test images',
    accuracyTable(models.map(([name, row]) => [name, row?.test?.ranks, row === chosen])),
    note(`${chosen.test!.ranks!.length} images. Intervals of differences are paired (McNemar).`),
    classes(manifest),
    lost(manifest, thumbnails),
  );
}

/** Of the places of labels: accuracies, beside those of the first model, which is dense. */
export function accuracyTable(
  models: readonly (readonly [name: string, ranks: readonly number[] | undefined, chosen: boolean])[],
): Html {
  const first = models[0]?.[1];
  const rows = models.flatMap(([name, ranks, chosen]): Row[] => {
    if (!ranks) return [];
    const gain = first && ranks !== first ? formatGain(accuracyGain(ranks, first)) : '–';
    const cells = [formatShare(accuracyWithin(ranks, 1)), formatShare(accuracyWithin(ranks, 5)), gain];
    return [{ head: escapeHtml(name), chosen, cells }];
  });
  return table('Accuracy', ['', 'top-1 (95 %)', 'top-5', 'top-1 to dense'], rows);
}

function classes({ images, dense, chosen }: Manifest): Html {
  const labels = images?.labels.test;
  if (!labels || !dense.test?.ranks || !chosen.test?.ranks) return '';
  const worst = lossesByClass(labels, chosen.test.ranks, dense.test.ranks).slice(0, CLASSES);
  const rows = worst.map(({ label, images: count, right, before }): Row => {
    const share = (some: number): string => `${some} of ${count}`;
    return { head: escapeHtml(images.classes[label] ?? `class ${label}`), cells: [share(before), share(right)] };
  });
  return `<details><summary>The classes that suffered most</summary>${table('Classes', ['', 'dense', 'chosen'], rows)}</details>`;
}

function lost({ images }: Manifest, thumbnails: Thumbnails | undefined): Html {
  if (!images || images.lost.length === 0) return '';
  const pictured = images.lost.some(({ place }) => thumbnails?.has(place));
  const rows = images.lost.map(({ place, name, label, cost }): Row => {
    const png = thumbnails?.get(place);
    const picture = png ? `<img alt="" src="data:image/png;base64,${Buffer.from(png).toString('base64')}">` : '–';
    const cells = [escapeHtml(images.classes[label] ?? `class ${label}`), `+${cost.toFixed(2)}`];
    return { head: escapeHtml(name), cells: pictured ? [picture, ...cells] : cells };
  });
  const columns = ['', ...(pictured ? ['image'] : []), 'label', 'cross-entropy'];
  return `<details><summary>Images that the dense model gets right and this one wrong</summary>${table('Images', columns, rows)}</details>`;
}
