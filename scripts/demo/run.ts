// npm run demo: the main jobs on the checkpoint that ships with the project, on texts made on the spot: pruned to 70 % zeros,
// and compressed to 3.2 bits a weight. Writes the pruned checkpoint, the packed model and their reports to demo-out/.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compress, type Evaluation, type ProgressEvent, prune } from 'layerwise';
import { TEXTS } from './texts.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const out = join(root, 'demo-out');
const texts = join(root, 'demo-out.partial-texts');

const onProgress = (event: ProgressEvent): void => {
  if (event.kind === 'stage') console.error(event.stage);
  if (event.kind === 'note') console.error(`  ${event.text}`);
};

const WORDS = { better: 'better than uniform', tie: 'a tie with uniform', worse: 'worse than uniform' } as const;

rmSync(out, { recursive: true, force: true });
rmSync(`${out}.partial`, { recursive: true, force: true });
mkdirSync(texts, { recursive: true });
try {
  const paths = Object.fromEntries(
    Object.entries(TEXTS).map(([name, make]) => {
      const path = join(texts, `${name}.txt`);
      writeFileSync(path, make());
      return [name, path];
    }),
  ) as Record<keyof typeof TEXTS, string>;

  const { manifest, seconds } = await prune({
    checkpoint: join(root, 'demo', 'model'),
    sparsity: 0.7,
    allocation: 'atp',
    criterion: 'wanda',
    ...paths,
    calibrationSamples: 64,
    out,
    onProgress,
  });
  const small = await compress({
    checkpoint: join(root, 'demo', 'model'),
    bits: 3.2,
    ...paths,
    calibrationSamples: 64,
    targetShares: { alpha: 0.5, gamma: 0.5 },
    maxTrials: 2,
    greedyTokens: 0,
    out: join(out, 'model.lw'),
    onProgress,
  });

  const show = (evaluation: Evaluation | null): string => evaluation?.perplexity.toFixed(3) ?? '–';
  const beta = manifest.plan.from?.values.beta ?? 0;
  console.log(`
perplexity           validation      test
dense              ${show(manifest.dense.validation).padStart(12)}${show(manifest.dense.test).padStart(10)}
uniform, 70 %      ${show(manifest.uniform!.validation).padStart(12)}${show(manifest.uniform!.test).padStart(10)}
ATP, β = ${beta.toFixed(4)}    ${show(manifest.chosen.validation).padStart(12)}${show(manifest.chosen.test).padStart(10)}   ${WORDS[manifest.search!.verdict]} on test

${(100 * manifest.sparsity.realised).toFixed(2)} % of the prunable weights are zero, counted from the files written. ${seconds.toFixed(0)} seconds.

3 bits everywhere  ${show(small.manifest.uniform!.validation).padStart(12)}${show(small.manifest.uniform!.test).padStart(10)}
compressed to ${small.manifest.bits!.stored.toFixed(2)} ${show(small.manifest.chosen.validation).padStart(12)}${show(small.manifest.chosen.test).padStart(10)}

Bits per weight of the linears, with scales; the packed model has ${(small.packed!.fileBytes / 1e6).toFixed(1)} MB. ${small.seconds.toFixed(0)} seconds.
Open ${relative(process.cwd(), join(out, 'report.html'))} in a browser.`);
} finally {
  rmSync(texts, { recursive: true, force: true });
}
