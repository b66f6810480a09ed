// Does a plan hold for text of another form, and does --judge both help? Searches plans with validation text in one form,
// once for each kind of judge, and scores them on the test text in all forms, against uniform on the same windows.
//
//   npm run bench:judge -- <checkpoint> <calibration.txt> <validation.txt> <test.txt> [--sparsity 0.7]
//     [--allocations atp,layerwise] [--criterion wanda] [--form no-breaks] [--sequence-length n] [--max-trials n]

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Evaluation, evaluate, type Manifest, prune } from 'layerwise';
import { gainOf } from '#src/records';
import { PERTURBATIONS, type Perturbation } from '#src/text';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    sparsity: { type: 'string', default: '0.7' },
    allocations: { type: 'string', default: 'atp,layerwise' },
    criterion: { type: 'string', default: 'wanda' },
    form: { type: 'string' },
    'sequence-length': { type: 'string' },
    'max-trials': { type: 'string' },
  },
});
const [checkpoint, calibration, validation, test] = positionals;
if (!checkpoint || !calibration || !validation || !test) {
  console.error('usage: npm run bench:judge -- <checkpoint> <calibration.txt> <validation.txt> <test.txt> [options]');
  process.exit(2);
}
const numberOf = (text: string | undefined): number | undefined => (text === undefined ? undefined : Number(text));
const [sequenceLength, maxTrials] = [numberOf(values['sequence-length']), numberOf(values['max-trials'])];
const cut = sequenceLength === undefined ? {} : { sequenceLength };
const scratch = mkdtempSync(join(tmpdir(), 'layerwise-judge-'));

const form = (path: string, name: Perturbation | undefined): string => {
  if (name === undefined) return path;
  const formed = join(scratch, `${name}.txt`);
  writeFileSync(formed, PERTURBATIONS[name](readFileSync(path, 'utf8')));
  return formed;
};
const forms = [undefined, ...(Object.keys(PERTURBATIONS) as Perturbation[])];

/** Prunes, and scores the result on the test text in all forms. */
async function run(allocation: string, judge: string): Promise<{ manifest: Manifest; scores: readonly Evaluation[] }> {
  const out = join(scratch, 'out');
  const searched = allocation === 'uniform' ? {} : { judge, ...(maxTrials === undefined ? {} : { maxTrials }) };
  const texts = { calibration: calibration!, validation: form(validation!, values.form as Perturbation | undefined) };
  const options = { checkpoint: checkpoint!, out, ...texts, ...cut, ...searched, criterion: values.criterion };
  const { manifest } = await prune({ ...options, sparsity: Number(values.sparsity), allocation });
  const scores: Evaluation[] = [];
  for (const name of forms) {
    scores.push((await evaluate({ checkpoint: out, text: form(test!, name), ...cut })).text!);
  }
  rmSync(out, { recursive: true });
  return { manifest, scores };
}

const cell = ({ perplexity, nll }: Evaluation, uniform: Evaluation): string => {
  const { nats, interval } = gainOf(nll, uniform.nll);
  return `${perplexity.toFixed(2)} (${nats.toFixed(4)} ± ${(nats - interval[0]).toFixed(4)})`;
};

try {
  console.log(
    `Validation text: ${values.form ?? 'as it is'}. Test perplexity (gain over uniform in nats a token, 95 %).\n`,
  );
  console.log(
    `| plan | judge | on validation | on calibration | parted | ${forms.map((name) => name ?? 'test as it is').join(' | ')} |`,
  );
  console.log(`|---|---|---|---|---|${forms.map(() => '---|').join('')}`);
  const uniform = await run('uniform', 'validation');
  console.log(`| uniform | | | | | ${uniform.scores.map(({ perplexity }) => perplexity.toFixed(2)).join(' | ')} |`);
  for (const allocation of values.allocations.split(',')) {
    for (const judge of ['validation', 'both']) {
      const { manifest, scores } = await run(allocation, judge);
      const { gains, plan } = manifest;
      const found = gains
        ? [gains.onValidation.nats.toFixed(4), gains.onCalibration.nats.toFixed(4), gains.parted ? 'yes' : 'no']
        : ['0', '0', 'uniform'];
      const words = Object.entries(plan.from?.values ?? {}).map(
        ([name, value]) => `${name}=${Number(value.toPrecision(4))}`,
      );
      const cells = scores.map((score, i) => cell(score, uniform.scores[i]!));
      console.log(`| ${allocation} ${words.join(' ')} | ${judge} | ${[...found, ...cells].join(' | ')} |`);
    }
  }
} finally {
  rmSync(scratch, { recursive: true });
}
