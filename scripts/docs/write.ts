// npm run docs: writes docs/reference/commands/*.md, docs/reference/errors.md, docs/reference/api.md and FEATURES.md.
// test/docs.test.ts fails where one of them is stale.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { COMMANDS, OPTIONS, TOPICS } from '#src/cli';
import { FAMILIES } from '#src/model';
import { CRITERIA } from '#src/operators';
import { renderApi } from './api.js';
import { readCodes } from './codes.js';
import { renderErrors } from './errors.js';
import { renderFeatures } from './features.js';
import { makeMatrix } from './matrix.js';
import { renderPage, renderTopics } from './pages.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const folder = join(root, 'docs/reference/commands');
mkdirSync(folder, { recursive: true });
for (const spec of COMMANDS) writeFileSync(join(folder, `${spec.name}.md`), renderPage(spec, OPTIONS));
writeFileSync(join(folder, 'help.md'), renderTopics(TOPICS, COMMANDS));
writeFileSync(join(root, 'docs/reference/errors.md'), renderErrors(readCodes(join(root, 'src'))));
writeFileSync(join(root, 'docs/reference/api.md'), renderApi(join(root, 'dist')));

const TEXT_FAMILIES = new Map([...FAMILIES].filter(([, { image, head }]) => !image && !head));
writeFileSync(join(root, 'FEATURES.md'), renderFeatures(makeMatrix(TEXT_FAMILIES, CRITERIA)));
