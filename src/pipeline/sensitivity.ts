// How much each linear matters on its own: mean token KL(dense ‖ dense with only that linear pruned at the target), from
// statistics of the dense pass. One sweep for all linears (variants.ts).

import { silent } from '../base/index.js';
import { checkpointSource } from '../model/index.js';
import { pruneLinear } from './block-file.js';
import type { DensePass, Text } from './dense.js';
import type { MaskInput, SequentialInput } from './sequential.js';
import { sweepVariants } from './variants.js';

/**
 * The divergence of every linear, nats per token, in the order of the model's linears. `counts` says how many weights each
 * loses.
 */
export async function measureSensitivity(
  input: MaskInput & { readonly onProgress?: SequentialInput['onProgress'] },
  dense: DensePass,
  text: Text,
): Promise<number[]> {
  const { engine, model, criterion, pattern, counts, calibration, onProgress = silent } = input;
  const sequences = calibration?.windows.windows.length ?? 0;
  onProgress({ kind: 'stage', stage: 'sensitivity', total: model.config.blocks });
  const { variants } = await sweepVariants({
    engine,
    model,
    text,
    base: async () => checkpointSource(model.checkpoint),
    variants: async (block) => {
      const pruning = { criterion, pattern, counts, squareSums: dense.squareSums[block], sequences };
      return await Promise.all(
        model.linears[block]!.map(async (linear) => ({
          linear: linear.name,
          weights: await pruneLinear(model, linear, pruning),
        })),
      );
    },
    onProgress,
  });
  return model.linears.flat().map(({ name }) => mean(variants.get(name)!));
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
