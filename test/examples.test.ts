// The README's example, as a user would run it: against the built package, by its name.

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import ts from 'typescript';
import { afterAll, expect, test } from 'vitest';
import { makeFolder, makeTexts, makeTiny } from './api/make.js';

const root = fileURLToPath(new URL('..', import.meta.url));
// Inside the project, so that `layerwise` is the project itself.
const folder = join(root, 'build', `example-${process.pid}`);
afterAll(() => rm(folder, { recursive: true, force: true }));

test('examples/prune.ts prunes a checkpoint', async () => {
  const scratch = await makeFolder();
  const { calibration, validation } = await makeTexts(scratch, 40);
  const checkpoint = await makeTiny(join(scratch, 'model'));
  const source = await readFile(join(root, 'examples/prune.ts'), 'utf8');
  expect(source.trim().split('\n').length).toBeLessThanOrEqual(13);
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 },
  });
  await mkdir(folder, { recursive: true });
  const script = join(folder, 'prune.mjs');
  await writeFile(script, outputText);
  const out = join(scratch, 'out');
  const { stdout } = await promisify(execFile)(process.execPath, [script, checkpoint, calibration, validation, out]);
  expect(existsSync(join(out, 'report.html'))).toBe(true);
  expect(stdout).toMatch(/\d/);
});
