// How much each linear matters on its own: mean token KL(dense ‖ dense with only that linear pruned at the target). One
// sweep for all linears (variants.ts). A criterion that gives masks prunes each linear by statistics of the dense pass; a
// solver by the Gram matrices of the dense calibration residual, which walks along: what it repairs need not be spared.

import { type OnProgress, type Own, settleAll, silent, withResources } from '../base/index.js';
import { createGemm } from '../linalg/index.js';
import { checkpointSource } from '../model/index.js';
import { passBlock, sameShape, type Text } from '../stream/index.js';
import { type BlockPruning, pruneLinear } from './block-file.js';
import type { DensePass } from './dense.js';
import { type BlockInput, prepareBlock } from './sequential.js';
import { sweepVariants } from './variants.js';

export type SensitivityInput = BlockInput & { readonly onProgress?: OnProgress };

/**
 * The divergence of every linear, nats per token, in the order of the model's linears. `counts` says how many weights each
 * loses.
 */
export async function measureSensitivity(input: SensitivityInput, dense: DensePass, text: Text): Promise<number[]> {
  const { engine, model, onProgress = silent } = input;
  onProgress({ kind: 'stage', stage: 'sensitivity', total: model.config.blocks });
  return await withResources(async (own) => {
    const prepare = await createPruner(own, input, dense);
    const { variants } = await sweepVariants({
      engine,
      model,
      text,
      base: async () => checkpointSource(model.checkpoint),
      variants: async (block) => {
        const pruning = await prepare(block);
        return await settleAll(
          model.linears[block]!.map(async (linear) => ({
            linear: linear.name,
            weights: await pruneLinear(model, linear, pruning),
          })),
        );
      },
      onProgress,
    });
    return model.linears.flat().map(({ name }) => mean(variants.get(name)!));
  });
}

/** What a block of the dense model is pruned with; blocks are asked for in order. */
type Prepare = (block: number) => Promise<BlockPruning>;

async function createPruner(own: Own, input: BlockInput, dense: DensePass): Promise<Prepare> {
  const { engine, model, criterion, pattern, counts, calibration } = input;
  if (criterion.kind === 'mask') {
    const sequences = calibration?.windows.windows.length ?? 0;
    return async (block) => ({ criterion, pattern, counts, squareSums: dense.squareSums[block], sequences });
  }
  const { embedded } = calibration!;
  const seen = await own(sameShape(embedded));
  const gemm = await own(createGemm(engine));
  return async (block) => {
    const from = block === 0 ? embedded : seen;
    const pruning = await prepareBlock(input, block, from, gemm);
    await passBlock(engine, model, block, [[from, seen]]);
    return pruning;
  };
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
