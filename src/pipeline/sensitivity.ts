// Measures how much each linear matters: mean token KL(dense ‖ dense with only that linear pruned at the target). One sweep
// covers all linears (variants.ts). A criterion that the statistics of the dense pass suffice for prunes by them. Any other prunes
// by what it needs of the dense calibration residual, which is run along: damage that a solver repairs does not count.

import { InternalError, type OnProgress, type Own, settleAll, silent, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { createGemm } from '../linalg/index.js';
import { biasName, checkpointSource, type Linear, unitOf, weightName } from '../model/index.js';
import { treatmentOf } from '../plan/index.js';
import { countOf, passBlock, type Samples, sameShape } from '../stream/index.js';
import type { TreatedBlock } from './block-file.js';
import type { DensePass } from './dense.js';
import { measureEvidence, type Treating, treatBlock } from './treat.js';
import { type Replaced, sweepVariants } from './variants.js';

export type SensitivityInput = Treating & {
  readonly engine: Engine;
  readonly calibration: Samples | undefined;
  readonly onProgress?: OnProgress;
};

/** The divergence of every linear that `plan` treats, nats per token, in the order of the model's linears. */
export async function measureSensitivity(
  input: SensitivityInput,
  dense: DensePass | undefined,
  text: Samples,
): Promise<number[]> {
  const { engine, model, onProgress = silent } = input;
  onProgress({ kind: 'stage', stage: 'sensitivity', total: model.config.blocks });
  return await withResources(async (own) => {
    const treat = await createTreatment(own, input, dense);
    const { variants } = await sweepVariants({
      engine,
      model,
      text,
      base: async () => checkpointSource(model.checkpoint),
      variants: async (block) => {
        const { edits } = await treat(block);
        return await settleAll(
          treatedOf(input, block).map(async (linear) => {
            const [weights, bias] = [edits.get(weightName(linear)), edits.get(biasName(linear))];
            const tensors = new Map<string, Replaced>();
            // What the bias takes over is known once the weights are read.
            for (const edit of bias ? [weights, bias] : [weights]) {
              if (!edit || 'remove' in edit) throw new InternalError('E_INTERNAL_EDIT', `${linear.name} has no edit.`);
              const { name, dtype, shape } = edit;
              tensors.set(name, { dtype, shape, bytes: await edit.read() });
            }
            return { id: linear.name, tensors };
          }),
        );
      },
      onProgress,
    });
    return [...model.linears.keys()]
      .flatMap((block) => treatedOf(input, block))
      .map(({ name }) => mean(variants.get(name)!));
  });
}

const treatedOf = ({ model, plan }: Treating, block: number): readonly Linear[] =>
  model.linears[block]!.filter((linear) => treatmentOf(plan, unitOf(linear)));

/** Treats a block of the dense model. Must be called for the blocks in order. */
type Treat = (block: number) => Promise<TreatedBlock>;

async function createTreatment(own: Own, input: SensitivityInput, dense: DensePass | undefined): Promise<Treat> {
  const { engine, model, operator, calibration } = input;
  const squareSums = dense?.squareSums ?? [];
  if (operator.needs.every((need) => need === 'squareSums' && squareSums.length > 0)) {
    const sequences = calibration ? countOf(calibration.content) : 0;
    return (block) => treatBlock(input, block, { squareSums: squareSums[block], sequences }, undefined);
  }
  const { embedded } = calibration!;
  const seen = await own(sameShape(embedded));
  const gemm = operator.needs.includes('gram') ? await own(createGemm(engine)) : undefined;
  return async (block) => {
    const from = block === 0 ? embedded : seen;
    const evidence = await measureEvidence(engine, model, operator, block, from, calibration);
    const treated = await treatBlock(input, block, evidence, gemm);
    if (block < model.config.blocks - 1) await passBlock(engine, model, block, [[from, seen]]);
    return treated;
  };
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
