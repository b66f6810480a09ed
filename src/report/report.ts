// report.html from the record of a run alone. One self-contained document that opens from disk: no script, no font, no
// picture from elsewhere. Sections whose numbers are not in the record are left out. Equal records give equal bytes.

import { escapeHtml, formatTarget, page } from '../page/index.js';
import type { Manifest, WorkersRecord } from '../records/index.js';
import { formatNumber } from '../words/index.js';
import { describePlan, policyName } from './reading.js';
import { bitsSection } from './sections/bits.js';
import { errorSection } from './sections/errors.js';
import { fidelitySection } from './sections/fidelity.js';
import { imageSection, type Thumbnails } from './sections/images.js';
import { originSection, textSection } from './sections/origin.js';
import { perplexitySection } from './sections/perplexity.js';
import { searchSection } from './sections/search.js';
import { sizeSection } from './sections/sizes.js';
import { sparsitySection } from './sections/sparsity.js';
import { verdictParagraph } from './sections/verdict.js';
import { workersSection } from './sections/workers.js';
import { taskSection } from './tasks.js';

/** One self-contained HTML document: opens from disk, needs no network. Equal manifests give equal bytes; images are shown where the caller has them. */
export function renderReport(manifest: Manifest, thumbnails?: Thumbnails, workers?: WorkersRecord): string {
  const { source, sparsity, bits, criterion, tool } = manifest;
  const name = escapeHtml(source.name);
  // A quantised model has a sparsity too where its plan has zeros.
  const sparse = bits === undefined || sparsity.target > 0;
  const aims = [
    ...(bits ? [`${formatNumber(bits.stored)} bits`] : []),
    ...(sparse ? [formatTarget(sparsity.target)] : []),
  ];
  const target = aims.join(', ');
  const made = `${escapeHtml(describePlan(manifest))} · ${escapeHtml(criterion)}`;
  const panels = [
    sparse ? sparsitySection(manifest) : '',
    bitsSection(manifest),
    errorSection(manifest),
    searchSection(manifest),
    bits ? '' : sizeSection(manifest),
  ].filter((part) => part !== '');
  const parts = [
    `<header>
<h1>${name} <span class="target">at ${target}${bits ? '' : ' sparsity'}</span></h1>
<p class="made">${made} · ${source.blocks} blocks, ${escapeHtml(source.family)}, ${escapeHtml(source.dtype)}${source.trunk ? `; the ${source.trunk} trunk ${manifest.towers ? 'after the others' : 'alone'}` : ''}</p>
</header>`,
    verdictParagraph(manifest),
    perplexitySection(manifest),
    imageSection(manifest, thumbnails),
    fidelitySection(manifest),
    taskSection(manifest),
    `<div class="panels">\n${panels.join('\n')}\n</div>`,
    textSection(manifest),
    originSection(manifest),
    workersSection(workers),
  ].filter((part) => part !== '');
  const title = `${name} at ${target}: ${escapeHtml(policyName(manifest))}, ${escapeHtml(criterion)}`;
  return page(title, tool.version, parts);
}
