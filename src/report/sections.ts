// The page's sections. One that has nothing to show is an empty string.

import type { Manifest, ManifestText, Trial } from '../records/index.js';
import { drawErrors, drawRates, drawSearch, type Point } from './charts.js';
import {
  escapeHtml,
  figure,
  formatBytes,
  formatInteger,
  formatNumber,
  formatPercent,
  formatPerplexity,
  section,
  table,
} from './html.js';

export function rateSection({ sparsity }: Manifest): string {
  const rows = sparsity.blocks.map((rate, i) => [`block ${i}`, formatPercent(rate)]);
  const caption = `Share of zeros in each block, counted from the files written. Over all prunable weights it is ${formatPercent(sparsity.realised, 3)}.`;
  return section(
    'Sparsity per block',
    figure(drawRates(sparsity.blocks, sparsity.target), caption, table(['', 'sparsity'], rows)),
  );
}

export function errorSection({ uniform, chosen, plan }: Manifest): string {
  if (chosen.errors.length === 0) return '';
  const name = plan.policy?.name ?? 'the plan';
  const baseline = name === 'uniform' || !uniform || uniform.errors.length === 0 ? undefined : uniform.errors;
  const rows = chosen.errors.map((error, i) => [
    `block ${i}`,
    ...(baseline ? [baseline[i]!.toFixed(4)] : []),
    error.toFixed(4),
  ]);
  const head = ['', ...(baseline ? ['uniform'] : []), escapeHtml(name)];
  const caption =
    'Relative reconstruction error ‖X − X̃‖ / ‖X‖ of each block’s output, X dense and X̃ pruned, on the first validation windows. An error made early is carried on and grows: that is why sparsity should rise with depth.';
  return section('Error through depth', figure(drawErrors(baseline, chosen.errors, name), caption, table(head, rows)));
}

export function searchSection(manifest: Manifest): string {
  const { trials, search } = manifest;
  if (trials.length === 0 || !search) return '';
  const names = Object.keys(trials[0]!.hyperparameters);
  const rows = trials.map((trial) => [
    trial.exact ? 'exact' : 'surrogate',
    ...names.map((name) => formatNumber(trial.hyperparameters[name] ?? 0)),
    formatPerplexity(trial.validation.perplexity),
    trial.interval.map((ratio) => ratio.toFixed(3)).join(' … '),
  ]);
  const head = [
    'trial',
    ...names.map((name) => (name === 'beta' ? 'β' : escapeHtml(name))),
    'validation',
    'ratio to uniform (95&nbsp;%)',
  ];
  const numbers = table(head, rows);
  const note = `<p class="note">${escapeHtml(search.method)}</p>`;
  if (trials.some((trial) => trial.beta === null)) return section('The search', numbers, note);
  const point = (trial: Trial): Point => {
    const [low, high] = trial.interval;
    return { x: trial.beta!, ratio: Math.sqrt(low * high), low, high };
  };
  const exact = trials.filter((trial) => trial.exact);
  const beta = manifest.plan.policy?.hyperparameters.beta;
  const chosen = exact.find((trial) => trial.beta === beta);
  const svg = drawSearch(exact.map(point), trials.filter((trial) => !trial.exact).map(point), chosen && point(chosen));
  const caption =
    'Validation perplexity relative to uniform, with paired 95 % intervals. Triangles: the surrogate, masks from dense statistics on a sample of the windows, which only orders the candidates. Circles: the real procedure on all windows, which decides.';
  return section('The search for β', figure(svg, caption, numbers), note);
}

export function sizeSection({ source, sparsity }: Manifest): string {
  const dense = source.parameters - source.prunable;
  const s = sparsity.realised;
  const floor = ((8 * (1 - s) + 1) * source.prunable + 8 * dense) / 8;
  const zeros = Object.values(sparsity.linears).reduce((sum, linear) => sum + linear.zeros, 0);
  const rows = [
    ['parameters', formatInteger(source.parameters)],
    [
      'prunable weights',
      `${formatInteger(source.prunable)} (${formatPercent(source.prunable / source.parameters, 1)})`,
    ],
    ['zeros among them', `${formatInteger(zeros)} (${formatPercent(s, 3)})`],
    [`weights, ${escapeHtml(source.dtype)}, before and after`, formatBytes(source.bytes)],
    ['floor of an int8 format with a bit mask', formatBytes(floor)],
  ];
  const note =
    '<p class="note">A zero in a dense file takes as many bytes as any other number, so the checkpoint written is as large as its source, and dense engines run it no faster. The floor is what 8 bits for every weight that stays and one mask bit for every prunable weight would take.</p>';
  return section('Sizes', table(['', ''], rows), note);
}

export function textSection({ texts, seed }: Manifest): string {
  const row = (name: string, text: ManifestText | null): string[][] =>
    text
      ? [
          [
            name,
            escapeHtml(text.name),
            formatInteger(text.tokens),
            `${text.windows} × ${text.length}`,
            text.order,
            `<code>${escapeHtml(text.hash.slice(0, 12))}</code>`,
          ],
        ]
      : [];
  const rows = [
    ...row('calibration', texts.calibration),
    ...row('validation', texts.validation),
    ...row('test', texts.test),
  ];
  if (rows.length === 0) return '';
  return section(
    'Texts',
    table(['', 'file', 'tokens', 'windows', 'order', 'SHA-256'], rows),
    `<p class="note">Seed ${seed}.</p>`,
  );
}

export function madeSection(manifest: Manifest): string {
  const { tool, source, criterion, pattern, plan } = manifest;
  const rows = [
    ['layerwise', escapeHtml(tool.version)],
    ['engine', `${escapeHtml(tool.engine)}, ${escapeHtml(tool.device)}`],
    ['Node', escapeHtml(tool.node)],
    ['criterion', `${escapeHtml(criterion)}, weights compete in the ${escapeHtml(pattern)}`],
    ['budget', escapeHtml(plan.budget ?? 'as the plan says')],
    ...Object.entries(source.hashes).map(([file, hash]) => [
      escapeHtml(file),
      `<code>${escapeHtml(hash.slice(0, 16))}…</code>`,
    ]),
  ];
  return section('To do it again', `<pre>${escapeHtml(manifest.command)}</pre>`, table(['', ''], rows));
}
