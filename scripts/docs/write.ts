// npm run docs: writes docs/commands/*.md anew. test/docs.test.ts fails where a page is stale.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { COMMANDS, OPTIONS } from 'layerwise/cli';
import { renderPage } from './pages.js';

const folder = fileURLToPath(new URL('../../../docs/commands/', import.meta.url));
mkdirSync(folder, { recursive: true });
for (const spec of COMMANDS) writeFileSync(join(folder, `${spec.name}.md`), renderPage(spec, OPTIONS));
