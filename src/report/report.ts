// report.html from the record of a run, and from nothing else.

import type { Manifest } from '../records/index.js';

/** One self-contained HTML document: opens from disk, needs no network. */
export function renderReport(manifest: Manifest): string {
  return `<!doctype html><title>${manifest.source.name}</title>`;
}
