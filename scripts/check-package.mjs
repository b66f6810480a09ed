// Packs the package, installs the tarball in an empty folder as README says, and runs it there: the command and both doors.
//   npm run check:package

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'layerwise-package-'));
const run = (command, args, cwd = folder) =>
  execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });

try {
  // .npmrc says that no scripts run; prepack, the build, has to.
  const packing = ['pack', '--ignore-scripts=false', '--foreground-scripts=false', '--json'];
  const [{ filename }] = JSON.parse(run('npm', [...packing, '--pack-destination', folder], root));
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }));
  run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', join(folder, filename)]);

  const model = join(root, 'demo', 'model');
  const cli = (...args) => run('npx', ['--no-install', 'layerwise', ...args]);
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  expect(cli('--version').trim(), version);
  const before = JSON.parse(cli('inspect', model, '--json'));
  const out = join(folder, 'out');
  cli('prune', model, '--sparsity', '0.5', '--allocation', 'uniform', '--criterion', 'magnitude', '--out', out);
  expect(existsSync(join(out, 'report.html')), true);
  writeFileSync(
    join(folder, 'use.mjs'),
    `import { inspect } from 'layerwise'; console.log(JSON.stringify(await inspect(${JSON.stringify(out)})));`,
  );
  const after = JSON.parse(run(process.execPath, ['use.mjs']));
  expect(after.prunable, before.prunable);
  expect(after.zeros, Math.round(before.prunable / 2));
  // The page's door, which Node can open too where it is given the kernels.
  cli('pack', out, '--out', join(folder, 'model.lw'));
  writeFileSync(
    join(folder, 'page.mjs'),
    `import { readFileSync } from 'node:fs';
     import { openBytes } from 'layerwise/browser';
     const kernels = readFileSync('node_modules/layerwise/dist/kernels/runtime-single.wasm');
     const decoder = await openBytes(readFileSync('model.lw'), { kernels });
     const [logits] = await decoder.step([{ sequence: decoder.open(), tokens: [1, 2, 3], logits: 'last' }]);
     console.log(logits.length === decoder.info.vocabulary && logits.every(Number.isFinite));`,
  );
  expect(run(process.execPath, ['page.mjs']).trim(), 'true');
  console.log(`${filename} installs and runs from an empty folder`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function expect(got, expected) {
  if (got !== expected) throw new Error(`expected ${JSON.stringify(expected)}, got ${JSON.stringify(got)}`);
}
