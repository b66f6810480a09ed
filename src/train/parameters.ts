// Which tensors of a model are trained, and as what: `kept` all of a block's linears without their zeros, its norms and its
// biases; `lora` the linears by low-rank additions; `norms` norms and biases; `blocks` as kept, in some blocks; `new` all of the
// blocks that were grown, zeros too. Routers of experts, the embeddings, the final norm and the head stay as they are.

import { createRng, OptionError } from '../base/index.js';
import { readScales, readTensorFloat32 } from '../checkpoint/index.js';
import { blockTensors, type Linear, type Model, readLinear, weightName } from '../model/index.js';
import { type GridParameter, gridParameter } from './grid-parameter.js';
import { keptParameter, loraParameter, type Parameter } from './parameter.js';

export type Trained =
  | { readonly kind: 'kept' }
  | { readonly kind: 'lora'; readonly rank: number; readonly adapter: boolean }
  | { readonly kind: 'norms' }
  | { readonly kind: 'blocks'; readonly blocks: readonly number[] }
  | { readonly kind: 'new'; readonly blocks: readonly number[] };

/** s of W + s·BA is LORA_ALPHA: alpha is that many times the rank. */
export const LORA_ALPHA = 2;

/** The parameters of each block. */
export async function createParameters(
  model: Model,
  trained: Trained,
  seed: number,
): Promise<readonly (readonly Parameter[])[]> {
  const scales = await scalesOf(model);
  const all: Parameter[][] = [];
  for (const [block, linears] of model.linears.entries()) {
    const made: Parameter[] = [];
    all.push(made);
    if ('blocks' in trained && !trained.blocks.includes(block)) continue;
    const weights = new Map(linears.map((linear) => [weightName(linear), linear]));
    for (const { name, role } of blockTensors(model.config, model.tensorNames, block)) {
      const linear = weights.get(name);
      if (linear) {
        if (trained.kind === 'norms') continue;
        made.push(await linearParameter(model, linear, trained, scales, seed + all.length * 1000 + made.length));
      } else if (role !== ROUTER && trained.kind !== 'lora') {
        const values = await readTensorFloat32(model.checkpoint, name);
        made.push(keptParameter(name, values, { zeros: 'move', decays: false }));
      }
    }
  }
  return all;
}

/**
 * Refuses what cannot be trained, from headers alone.
 * @throws OptionError E_OPTION_TRAIN
 */
export async function checkTrained(model: Model, trained: Trained): Promise<void> {
  if (trained.kind === 'lora' && !trained.adapter) {
    const [grid] = (await scalesOf(model))?.grids.keys() ?? [];
    if (grid === undefined) return;
    const message = `--train lora: ${grid} lies on a grid of few levels, and what is merged into it would not. Use --train kept, or --adapter.`;
    throw new OptionError('E_OPTION_TRAIN', message, { option: 'train', got: 'lora', tensor: grid });
  }
  const { config, tensorNames, linears } = model;
  const weights = new Set(linears.flat().map(weightName));
  const others = Array.from({ length: config.blocks }, (_, block) => blockTensors(config, tensorNames, block))
    .flat()
    .filter(({ name, role }) => role !== ROUTER && !weights.has(name));
  if (trained.kind !== 'norms' || others.length > 0) return;
  const message = '--train: this model has no norms or biases to train. Use --train kept.';
  throw new OptionError('E_OPTION_TRAIN', message, { option: 'train', got: trained.kind });
}

const scalesOf = (model: Model): ReturnType<typeof readScales> =>
  readScales(
    model.checkpoint,
    model.linears.flat().map((linear) => ({ ...linear, name: weightName(linear) })),
  );

const ROUTER = 'router.weight';

async function linearParameter(
  model: Model,
  linear: Linear,
  trained: Trained,
  scales: Awaited<ReturnType<typeof readScales>>,
  seed: number,
): Promise<Parameter> {
  const { checkpoint } = model;
  const name = weightName(linear);
  const { transposed } = linear;
  if (trained.kind === 'lora') {
    return loraParameter(name, await readTensorFloat32(checkpoint, name), {
      out: linear.rows,
      in: linear.columns,
      transposed,
      rank: trained.rank,
      scale: LORA_ALPHA,
      masked: !trained.adapter,
      rng: createRng(seed),
    });
  }
  if (scales?.grids.has(name)) {
    const { dtype } = checkpoint.tensors.get(name)!;
    const grid = await scales.read(name, await readLinear(checkpoint, linear), dtype);
    return gridParameter(name, grid, transposed);
  }
  const zeros = trained.kind === 'new' ? 'move' : 'stay';
  return keptParameter(name, await readTensorFloat32(checkpoint, name), { zeros, decays: true });
}

export const isGrid = (parameter: Parameter): parameter is GridParameter => 'bits' in parameter;
