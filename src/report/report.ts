// report.html from the record of a run, and from nothing else: what it came to, why, and how to do it again. One
// self-contained document that opens from disk: no script, no font, no picture from elsewhere. Equal records give equal
// bytes.

import type { Manifest } from '../records/index.js';
import { startPage } from './charts.js';
import { escapeHtml } from './html.js';
import { perplexityTable, verdict } from './results.js';
import { errorSection, madeSection, rateSection, searchSection, sizeSection, textSection } from './sections.js';
import { STYLE } from './style.js';

/** The report of a run as one HTML document. */
export function renderReport(manifest: Manifest): string {
  startPage();
  const { source, plan, criterion, sparsity } = manifest;
  const target = `${Number((100 * sparsity.target).toPrecision(4))}\u00a0%`;
  const policy = plan.policy?.name ?? 'a given plan';
  const title = `${escapeHtml(source.name)} at ${target}`;
  const body = [
    `<h1>${title}</h1>`,
    `<p class="subtitle">Pruned with ${escapeHtml(policy)} and ${escapeHtml(criterion)}: ${source.blocks} blocks, family ${escapeHtml(source.family)}.</p>`,
    verdict(manifest),
    perplexityTable(manifest),
    rateSection(manifest),
    errorSection(manifest),
    searchSection(manifest),
    sizeSection(manifest),
    textSection(manifest),
    madeSection(manifest),
  ].filter((part) => part !== '');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="layerwise ${escapeHtml(manifest.tool.version)}">
<title>${title}</title>
<style>${STYLE}</style>
</head>
<body>
${body.join('\n')}
</body>
</html>
`;
}
