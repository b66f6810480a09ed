// What a user of the library may write, and what the compiler refuses. Never run: `npm run types` compiles it.

import {
  compare,
  type LayerwiseError,
  type Manifest,
  makePlan,
  OptionError,
  type Plan,
  type PruneOptions,
  parsePlan,
  prune,
} from 'layerwise';
import { type GenerateRequest, generateText, openBytesForText } from 'layerwise/browser';

async function ofTheLibrary(): Promise<void> {
  const { manifest, trials } = await prune({ checkpoint: 'model', out: 'out', sparsity: 0.5, allocation: 'uniform' });
  const record: Manifest = manifest;
  const plan: Plan = record.plan;
  const rate: number | undefined = plan.units['blocks.0']?.zeros?.rate;
  const seconds: readonly number[] = trials.map((trial) => trial.seconds);
  const made: Plan = await makePlan({ checkpoint: 'model', sparsity: 0.5, beta: 0.01 });
  await prune({ checkpoint: 'model', out: 'out', plan: parsePlan(JSON.stringify(made), 'plan.json') });
  await compare({ checkpoint: 'model', out: 'out', sparsities: [0.5], validation: 'validation.txt' });
  const error: LayerwiseError = new OptionError('E_OPTION_NOTHING', 'a message', { option: 'nothing' });
  const options: PruneOptions = { checkpoint: 'model', out: 'out' };

  // @ts-expect-error a run writes somewhere
  await prune({ checkpoint: 'model', sparsity: 0.5 });
  // @ts-expect-error sparsity is a number
  await prune({ checkpoint: 'model', out: 'out', sparsity: '50 %' });
  // @ts-expect-error compare takes several sparsities
  await compare({ checkpoint: 'model', out: 'out', sparsity: 0.5, validation: 'validation.txt' });
  // @ts-expect-error records are read-only
  record.plan = plan;
  void [rate, seconds, error, options];
}

async function ofThePage(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const opened = await openBytesForText(bytes);
  const request: Partial<GenerateRequest> = {};
  void [opened, request, generateText];
  // @ts-expect-error a page has no files to prune
  const { prune: absent } = await import('layerwise/browser');
  void absent;
}

void [ofTheLibrary, ofThePage];
