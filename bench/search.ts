// The search against the published grid scaled to this depth (β_max·j/9, j = 0 … 9): is the β it chooses as good on
// validation, and in how many exact trials?
//
//   npm run bench:search -- <checkpoint> <calibration.txt> <validation.txt> [--sparsity 0.5,0.6,0.7,0.8]

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { prune } from 'layerwise';
import { openModel } from '#src/model';
import { maxBeta } from '#src/plan';
import { GRID } from '#src/search';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { sparsity: { type: 'string', default: '0.7' } },
});
const [checkpoint, calibration, validation] = positionals;
if (!checkpoint || !calibration || !validation) {
  console.error('usage: npm run bench:search -- <checkpoint> <calibration.txt> <validation.txt> [--sparsity 0.7]');
  process.exit(2);
}
const { config } = await openModel(checkpoint);
const scratch = mkdtempSync(join(tmpdir(), 'layerwise-search-'));

async function run(sparsity: number, beta?: number) {
  const out = join(scratch, 'out');
  const fixed = beta === undefined ? {} : { beta };
  const result = await prune({
    checkpoint: checkpoint!,
    out,
    sparsity,
    calibration: calibration!,
    validation: validation!,
    ...fixed,
  });
  rmSync(out, { recursive: true });
  return result;
}

try {
  for (const sparsity of values.sparsity.split(',').map(Number)) {
    const found = await run(sparsity);
    const chosen = found.manifest.chosen.validation!.perplexity;
    const exact = found.trials.filter((trial) => trial.exact);
    const grid: { beta: number; validation: number }[] = [];
    for (let j = 0; j <= GRID; j++) {
      const beta = (maxBeta(sparsity, config.blocks) * j) / GRID;
      const known = exact.find((trial) => trial.beta === beta);
      const perplexity =
        known?.validation.perplexity ?? (await run(sparsity, beta)).manifest.chosen.validation!.perplexity;
      grid.push({ beta, validation: perplexity });
    }
    const best = Math.min(...grid.map((point) => point.validation));
    const { beta } = found.manifest.plan.from!.values;
    const document = {
      sparsity,
      chosen: { beta, validation: chosen },
      exactTrials: exact.length - 1,
      ratioToGrid: chosen / best,
      grid,
    };
    console.log(JSON.stringify(document));
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
