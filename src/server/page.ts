// The page at `/`: one form to try the model with. It is self-contained (its only requests go to /v1), text from the model
// enters it as text, and its policy allows this script alone.

import { createHash } from 'node:crypto';
import { PAGE_SCRIPT } from './page-script.js';

const STYLE = `
:root { color-scheme: light dark; --ink: #1b1e23; --paper: #fbfbf9; --soft: #5c6370; --line: #c9ccd1; --accent: #0b5cad; --field: #fff; --onaccent: #fff; --bad: #a3261b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e7ea; --paper: #16181c; --soft: #a2a8b3; --line: #444a54; --accent: #7db7f5; --field: #1f2228; --onaccent: #10151c; --bad: #ff9d92; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 46rem; padding: 1rem; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.15rem; margin: 0 0 1rem; overflow-wrap: anywhere; }
h1 small { color: var(--soft); font-weight: normal; }
label { display: block; color: var(--soft); font-size: .875rem; }
textarea, input { width: 100%; margin-top: .2rem; padding: .5rem; border: 1px solid var(--line); border-radius: .3rem; background: var(--field); color: var(--ink); font: inherit; }
textarea { min-height: 6rem; resize: vertical; }
.row { display: grid; grid-template-columns: repeat(auto-fit, minmax(7rem, 1fr)); gap: .75rem; margin: .75rem 0; }
button { padding: .55rem 1.2rem; border: 1px solid var(--accent); border-radius: .3rem; background: var(--accent); color: var(--onaccent); font: inherit; cursor: pointer; }
button.plain { background: none; color: var(--accent); }
button[hidden], label[hidden] { display: none; }
#output { margin: 1rem 0 .25rem; min-height: 6rem; padding: .75rem; border: 1px solid var(--line); border-radius: .3rem; background: var(--field); white-space: pre-wrap; overflow-wrap: anywhere; }
#output .prompt { color: var(--soft); }
#status { min-height: 1.5rem; margin: 0; color: var(--soft); font-size: .875rem; }
#status.bad { color: var(--bad); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
`;

const digest = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

/** The Content-Security-Policy of the page. */
export const PAGE_POLICY = [
  "default-src 'none'",
  `script-src ${digest(PAGE_SCRIPT)}`,
  `style-src ${digest(STYLE)}`,
  "connect-src 'self'",
  'img-src data:',
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

/** What the page shows of a model. `chat` is set where it has a chat template. */
export type PageFacts = { readonly name: string; readonly chat: boolean; readonly maxPositions: number };

/** The page. */
export function renderPage({ name, chat, maxPositions }: PageFacts): string {
  const tokens = Math.min(200, Math.max(1, Math.floor(maxPositions / 2)));
  const label = chat ? 'Message' : 'Text to continue';
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(name)} · Layerwise</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body data-model="${escapeHtml(name)}" data-chat="${chat}">
<main>
<h1>${escapeHtml(name)} <small>served by Layerwise</small></h1>
<form id="form">
<label>${label}<textarea id="prompt" autofocus></textarea></label>
<div class="row">
<label>Tokens<input id="tokens" type="number" min="1" step="1" value="${tokens}" required></label>
<label>Temperature<input id="temperature" type="number" min="0" max="2" step="0.05" value="0.8" required></label>
<label>Top-p<input id="top-p" type="number" min="0" max="1" step="0.01" value="0.95" required></label>
<label>Seed<input id="seed" type="number" step="1" placeholder="any"></label>
</div>
<label id="key-label" hidden>API key<input id="key" type="password" autocomplete="off"></label>
<p><button id="go">${chat ? 'Send' : 'Continue'}</button> <button id="stop" type="button" class="plain" hidden>Stop</button>${chat ? ' <button id="clear" type="button" class="plain">New conversation</button>' : ''}</p>
</form>
<div id="output" role="log" aria-live="polite" aria-label="Text"></div>
<p id="status" role="status"></p>
</main>
<script>${PAGE_SCRIPT}</script>
</body>
</html>
`;
}
