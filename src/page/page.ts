// The frame of a page: one document with its style inside and a policy that forbids scripts and loads.

import { escapeHtml, type Html } from './html.js';
import { STYLE } from './style.js';

/** A whole document. `title` and `parts` are HTML; `version` is layerwise's. */
export function page(title: Html, version: string, parts: readonly Html[]): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="generator" content="layerwise ${escapeHtml(version)}">
<title>${title}</title>
<style>
${STYLE}</style>
</head>
<body>
<main>
${parts.filter((part) => part !== '').join('\n')}
</main>
</body>
</html>
`;
}
