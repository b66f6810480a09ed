// npm run demo: the main job on the checkpoint that ships with the project, on texts made on the spot. Writes the pruned
// checkpoint and its report to demo-out/.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Evaluation, prune } from 'layerwise';
import { TEXTS } from './texts.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const out = join(root, 'demo-out');
const texts = join(root, 'demo-out.partial-texts');

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
    onProgress: (event) => {
      if (event.kind === 'stage') console.error(event.stage);
      if (event.kind === 'note') console.error(`  ${event.text}`);
    },
  });

  const show = (evaluation: Evaluation | null): string => evaluation?.perplexity.toFixed(3) ?? '–';
  const beta = manifest.plan.from?.values.beta ?? 0;
  console.log(`
perplexity           validation      test
dense              ${show(manifest.dense.validation).padStart(12)}${show(manifest.dense.test).padStart(10)}
uniform, 70 %      ${show(manifest.uniform!.validation).padStart(12)}${show(manifest.uniform!.test).padStart(10)}
ATP, β = ${beta.toFixed(4)}    ${show(manifest.chosen.validation).padStart(12)}${show(manifest.chosen.test).padStart(10)}   ${WORDS[manifest.search!.verdict]} on test

${(100 * manifest.sparsity.realised).toFixed(2)} % of the prunable weights are zero, counted from the files written. ${seconds.toFixed(0)} seconds.
Open ${relative(process.cwd(), join(out, 'report.html'))} in a browser.`);
} finally {
  rmSync(texts, { recursive: true, force: true });
}
