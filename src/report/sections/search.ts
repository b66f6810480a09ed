// What the search tried: validation perplexity relative to uniform, with paired intervals, against the number that was
// searched (such as β), or against the trial’s number where several were searched.

import {
  drawSearch,
  escapeHtml,
  figure,
  formatEstimate,
  formatRatios,
  type Html,
  type KeyEntry,
  keyOf,
  note,
  searchTop,
  section,
  type TrialPoint,
  table,
} from '../../page/index.js';
import type { Manifest, Trial } from '../../records/index.js';
import { describeValues, formatNats, formatNumber, symbolOf, wordsOfLoss } from '../../words/index.js';
import { chosenTrial } from '../reading.js';

export function searchSection(manifest: Manifest): Html {
  const { trials, search } = manifest;
  if (trials.length === 0) return '';
  const chosen = chosenTrial(manifest);
  const searched = searchedName(trials);
  const quantity = searched === undefined ? undefined : symbolOf(searched);
  const points = trials.map(
    (trial, i): TrialPoint => ({
      x: searched === undefined ? i + 1 : valuesOf(trial)[searched]!,
      ratio: ratioOf(trial),
      low: trial.interval[0],
      high: trial.interval[1],
      exact: trial.exact,
      chosen: trial === chosen,
    }),
  );
  const entries: KeyEntry[] = [{ mark: 'exact', text: 'exact trial' }];
  if (trials.some(({ exact }) => !exact)) entries.push({ mark: 'surrogate', text: 'surrogate' });
  if (chosen) entries.push({ mark: 'ring', text: 'chosen' });
  entries.push({ mark: 'target', text: 'uniform' });
  const beyond = points.filter(({ ratio }) => ratio > searchTop(points));
  if (beyond.length > 0) entries.push({ mark: 'beyond', text: 'off the scale' });

  const words = wordsOfLoss(trials[0]?.validation);
  // Relative to uniform is a ratio of perplexities: exp of a difference of losses.
  const name = words.compared === 'ratio' ? words.name : `exp of the ${words.name}`;
  const where = chosen ? ` The chosen one has ${describe(chosen)}, ratio ${formatRatios([ratioOf(chosen)])[0]}.` : '';
  const label = `Validation ${name} relative to uniform of ${trials.length} trials, against ${quantity ?? 'trial'}.${where}`;
  const greatest = formatRatios([Math.max(...beyond.map(({ ratio }) => ratio))])[0];
  const caption = [
    `Validation ${name} relative to uniform against ${escapeHtml(quantity ?? 'the trial’s number')}, with paired 95 % intervals, on a logarithmic scale.`,
    beyond.length > 0 ? `${plural(beyond.length)} off the scale, up to ratio ${greatest}.` : '',
  ].join(' ');
  return section(
    'search',
    quantity === undefined ? 'Search' : escapeHtml(`Search for ${quantity}`),
    figure(keyOf(entries), drawSearch(points, quantity, label), caption.trim(), numbersOf(trials, chosen)),
    search
      ? `<details><summary>How the plan was searched</summary>${note(`${escapeHtml(search.method)} ${costOf(search)}`)}</details>`
      : '',
  );
}

const costOf = ({ equivalents }: NonNullable<Manifest['search']>): string =>
  `It cost as much as ${equivalents.toFixed(1)} trials besides uniform; the published grid makes nine.`;

/** exp of the mean paired difference: the middle of the interval on a logarithmic scale. */
const ratioOf = ({ interval: [low, high] }: Trial): number => Math.sqrt(low * high);

const valuesOf = ({ beta, hyperparameters }: Trial): Readonly<Record<string, number>> =>
  beta === null ? hyperparameters : { beta, ...hyperparameters };

/** The only number in which the trials differ, if every trial has it. */
function searchedName(trials: readonly Trial[]): string | undefined {
  const values = trials.map(valuesOf);
  const names = [...new Set(values.flatMap(Object.keys))];
  const varying = names.filter((name) => new Set(values.map((one) => one[name])).size > 1);
  const [name, ...others] = names.length === 1 ? names : varying;
  return others.length === 0 && name !== undefined && values.every((one) => one[name] !== undefined) ? name : undefined;
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

const describe = (trial: Trial): string => describeValues(valuesOf(trial));
const plural = (count: number): string => (count === 1 ? 'One trial is' : `${count} trials are`);

function numbersOf(trials: readonly Trial[], chosen: Trial | undefined): Html {
  const words = wordsOfLoss(trials[0]?.validation);
  const names = [...new Set(trials.flatMap((trial) => Object.keys(valuesOf(trial))))];
  const judged = trials.some(({ divergence }) => divergence);
  const columns = [
    ...names.map((name) => escapeHtml(symbolOf(name))),
    ...(judged ? ['KL to dense'] : []),
    ...[words.name, words.compared === 'ratio' ? 'windows' : 'samples', 'ratio [95 %]'],
  ];
  const rows = trials.map((trial, i) => {
    const values = valuesOf(trial);
    const { windows } = trial.validation;
    return {
      head: `${i + 1} ${trial.exact ? 'exact' : 'surrogate'}`,
      chosen: trial === chosen,
      cells: [
        ...names.map((name) => (values[name] === undefined ? '–' : formatNumber(values[name]))),
        ...(judged ? [trial.divergence ? formatNats(mean(trial.divergence)) : '–'] : []),
        words.format(trial.validation),
        String(windows),
        formatEstimate(ratioOf(trial), trial.interval),
      ],
    };
  });
  return `${table('Trials of the search', ['trial', ...columns], rows)}
${note(`Exact: the real procedure on all validation windows; it decides${judged ? ', by KL to the dense model' : ''}. Surrogate: masks from dense statistics on a few windows, relative to uniform by the same means; it orders the candidates.`)}`;
}
