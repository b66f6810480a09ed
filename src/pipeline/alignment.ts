// NeuronAl's criterion (TMLR 2025): how much a plan changes the inputs of linears. Blocks are pruned in order. x_l [columns]
// are the norms ‖X_j‖₂ of the input columns of linear l in the dense block, x̃_l those in the pruned block, both on the output
// of the pruned blocks before it. So the inputs of the first linears do not change, and q, k and v add nothing. The
// misalignment of a plan is
//   Σ_l ‖x_l/Σ_j x_lj − x̃_l/Σ_j x̃_lj‖₂/columns_l.
// We differ: masks are those of the run's own criterion in its pattern, even if it is a solver.

import { withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { createGemm } from '../linalg/index.js';
import type { Linear } from '../model/index.js';
import type { SquareSums } from '../profile/index.js';
import { passBlock, type Samples, sameShape } from '../stream/index.js';
import { tapBlock } from './dense.js';
import { measureEvidence, type Treating, treatBlock } from './treat.js';
import { withTreatedBlock } from './treated-block.js';

/** The misalignment of a plan on the windows of `text`, which is also the calibration text. Leaves no files in `dir`. */
export async function measureMisalignment(
  input: Treating & { readonly engine: Engine; readonly dir: string },
  text: Samples,
): Promise<number> {
  const { engine, model, operator, dir } = input;
  return await withResources(async (own) => {
    const seen = await own(sameShape(text.embedded));
    const gemm = operator.needs.includes('gram') ? await own(createGemm(engine)) : undefined;
    let sum = 0;
    for (const [block, linears] of model.linears.entries()) {
      const from = block === 0 ? text.embedded : seen;
      const dense = await tapBlock(engine, model, block, from, 'taps', undefined, text.padding);
      const evidence = await measureEvidence(
        engine,
        model,
        operator,
        block,
        from,
        text,
        text.importance ? undefined : dense,
      );
      const treated = await treatBlock(input, block, evidence, gemm);
      await withTreatedBlock(model, block, treated, dir, async (source) => {
        sum += compare(linears, dense, await tapBlock(engine, model, block, from, 'taps', source, text.padding));
        await passBlock(engine, model, block, [[from, seen]], source);
      });
    }
    return sum;
  });
}

function compare(linears: readonly Linear[], dense: SquareSums, pruned: SquareSums): number {
  return linears.reduce((sum, { site, columns }) => {
    const [a, b] = [shares(dense[site]!), shares(pruned[site]!)];
    return sum + Math.sqrt(a.reduce((square, share, j) => square + (share - b[j]!) ** 2, 0)) / columns;
  }, 0);
}

/** Norms of columns, scaled to sum 1; all 0 if the input is 0. */
function shares(squares: Float64Array): Float64Array {
  const norms = squares.map(Math.sqrt);
  const total = norms.reduce((a, b) => a + b, 0);
  return norms.map((norm) => (total > 0 ? norm / total : 0));
}
